"""Odd entries are made, or it is told why not."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.errors import NoSpaceError
from seatrial.workload.native import NativeFileWriter

OPTIONS = WriteOptions(max_dir_depth=0, max_num_files_per_write=1, max_file_size=4096, oddities=True)


def write(tmp_path: Path, *loses: str) -> tuple[Path, dict[str, object]]:
    writer = NativeFileWriter(tmp_path / "data", "client-1", 4096, loses=frozenset(loses))
    used = writer.write_random_files(Context(), OPTIONS, 1)
    writer.write_random_files(Context(), OPTIONS, 2)
    return tmp_path / "data/odd", used


@pytest.mark.skipif(sys.platform != "linux", reason="what macOS refuses is recorded, not made")
def test_all_kinds_are_there(tmp_path: Path) -> None:
    odd, used = write(tmp_path)
    skipped = {"mode unreadable", "mode execute-only"} if os.geteuid() else set()
    assert used["oddities-skipped"] == dict.fromkeys(skipped, "only root could read it for a snapshot")
    assert len(used["oddities"]) == 27 - len(skipped)  # type: ignore[arg-type]  # a double, or fields by name
    assert (odd / "empty").stat().st_size == 0
    assert list((odd / "empty-directory").iterdir()) == []
    assert os.readlink(bytes(odd / "link-not-utf8")) == b"latin1-\xe9\xff"  # noqa: PTH115  # bytes or text as it is
    assert not (odd / "dangling").exists()
    assert (odd / "hard-1").samefile(odd / "hard-2")
    sparse = (odd / "sparse").stat()
    assert sparse.st_blocks * 512 < sparse.st_size // 2
    assert stat.S_IMODE((odd / "sticky").stat().st_mode) == 0o1777
    assert stat.S_IMODE((odd / "read-only-directory").stat().st_mode) == 0o555
    assert stat.S_IMODE((odd / "setuid").stat().st_mode) == 0o4755
    names = os.listdir(bytes(odd))  # noqa: PTH208  # names as bytes
    assert {b"latin1-\xe9\xff", b"-rf", b"new\nline", b"  two  spaces ", b"..."} <= set(names)


def test_names_that_the_target_does_not_keep_are_left_out(tmp_path: Path) -> None:
    odd, used = write(tmp_path, "odd-names")
    skipped = used["oddities-skipped"]
    assert isinstance(skipped, dict)
    assert skipped["name newline"] == "the target does not keep odd names"
    assert all(path.name.isascii() for path in odd.iterdir())


def test_of_odd_names_those_that_are_no_utf_8_can_be_left_out_alone(tmp_path: Path) -> None:
    odd, used = write(tmp_path, "raw-names")
    assert used["oddities-skipped"]["name not UTF-8"] == "the target does not keep names that are no UTF-8"  # type: ignore[index]  # its form is the journal's
    names = os.listdir(bytes(odd))  # noqa: PTH208  # names as bytes
    assert b"latin1-\xe9\xff" not in names
    assert {b"-rf", b"new\nline", "größe-文件-😀".encode()} <= set(names)


def test_link_targets_that_the_target_does_not_keep_are_left_out(tmp_path: Path) -> None:
    odd, used = write(tmp_path, "odd-links")
    assert used["oddities-skipped"]["symlink, target not UTF-8"] == "the target does not keep odd link targets"  # type: ignore[index]  # its form is the journal's
    assert not (odd / "link-not-utf8").is_symlink()
    assert (odd / "dangling").is_symlink()


def test_what_the_file_system_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    _, used = write(tmp_path)
    skipped = used["oddities-skipped"]
    assert isinstance(skipped, dict)
    assert skipped["hard link"] == f"{sys.platform}: Operation not permitted"


def test_a_full_disk_is_no_oddity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(NoSpaceError):
        write(tmp_path)
