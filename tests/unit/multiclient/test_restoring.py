"""What comes back is compared, also where nobody may read it."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from seatrial.checker.fingerprint import fingerprint
from seatrial.checker.mismatch import MismatchError
from seatrial.checker.nodes import DEFAULT_KEEPS
from seatrial.context import Context
from seatrial.errors import HarnessError
from seatrial.multiclient.client import CheckedClientSnapshotter


class Client:
    """Restores one file."""

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        (into / "d").mkdir()
        (into / "d" / "file").write_bytes(b"content")


def _restore_while_opening_fails(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Client()
    source, into = tmp_path / "source", tmp_path / "into"
    for directory in (source, into):
        directory.mkdir()
    client.restore(Context(), "s", source)
    expected, real = fingerprint(source), os.open

    def refuse(path: str | bytes, flags: int, *args: int, dir_fd: int | None = None) -> int:
        if path == b"file":  # root would be let in all the same
            raise OSError(code, os.strerror(code))
        return real(path, flags, *args, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    restoring = CheckedClientSnapshotter(Context(), client, lambda _: pytest.fail("no access is needed"), DEFAULT_KEEPS)
    restoring.restore_snapshot_compare(Context(), "s", into, expected.root, expected.nodes.get, io.StringIO())


def test_a_file_that_came_back_with_a_mode_that_forbids_to_read_it_is_the_targets_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MismatchError) as caught:
        _restore_while_opening_fails(errno.EACCES, tmp_path, monkeypatch)
    assert caught.value.lines == ["d/file: mode: expected readable, got not readable for its owner"]


def test_a_disk_that_does_not_give_it_back_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="d/file: cannot be read: Input/output error"):
        _restore_while_opening_fails(errno.EIO, tmp_path, monkeypatch)
