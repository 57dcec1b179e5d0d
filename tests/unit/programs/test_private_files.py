"""Files that only we may read."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.targets.private import write_private


def test_several_that_write_the_same_file_at_once_are_all_done_and_one_of_them_stays(tmp_path: Path) -> None:
    file, contents = tmp_path / "file", [bytes([number]) * 50_000 for number in range(8)]
    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map(lambda content: write_private(file, content), contents * 4))
    assert file.read_bytes() in contents
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_one_that_cannot_be_written_leaves_nothing_and_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_private(file, b"old")

    def full(_number: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_private(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
