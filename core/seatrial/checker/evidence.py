"""Damaged files, kept for whoever has to look at them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from seatrial.checker.nodes import from_printable

MAX_FILES = 20
MAX_BYTES = 64 << 20
REPORT_NAME = "difference.txt"
FILES_NAME = "restored"
_COPY_BYTES = 1 << 20


def keep_evidence(
    directory: Path, restored: Path, paths: Iterable[str], report: str, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> list[str]:
    """Copy the files at ``paths`` (printable, as a ``Difference`` has them) from below ``restored`` into ``directory``.

    The report goes beside them, and at its end what was left out: returned, too. Directories are not copied, symbolic links as links,
    and of a file that is too large its beginning. Never raises ``OSError`` for a file: evidence that cannot be had is left out.
    Raises it where ``directory`` itself cannot be written.
    """
    files = directory / FILES_NAME
    files.mkdir(parents=True, exist_ok=True)
    left_out: list[str] = []
    room, count = max_bytes, 0
    for path in dict.fromkeys(paths):
        raw = from_printable(path)
        if not raw or not _is_file(restored / os.fsdecode(raw)):
            continue
        if count == max_files or room == 0:
            left_out.append(f"{path}: not kept, there are too many")
            continue
        count += 1
        try:
            copied, size = _copy(restored / os.fsdecode(raw), files / os.fsdecode(raw), room)
        except OSError as error:
            left_out.append(f"{path}: not kept: {error.strerror}")
            continue
        room -= copied
        if copied < size:
            left_out.append(f"{path}: only the first {copied} of {size} bytes are kept")
    lines = "".join(f"{line}\n" for line in left_out)
    (directory / REPORT_NAME).write_text(f"{report.rstrip()}\n{lines}", encoding="utf-8", errors="backslashreplace")
    return left_out


def _is_file(path: Path) -> bool:
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _copy(source: Path, target: Path, limit: int) -> tuple[int, int]:
    """(bytes copied, bytes there)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode):
        target.symlink_to(source.readlink())
        return 0, 0
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "not a regular file")
    copied = 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while copied < limit and (piece := reader.read(min(_COPY_BYTES, limit - copied))):
            copied += writer.write(piece)
    return copied, status.st_size
