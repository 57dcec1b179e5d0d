"""The files of a journal: ``journal-000001.jsonl``, closed ones compressed to ``journal-000001.jsonl.zst``.

A compressed segment appears whole by rename before the plain one goes; while both are there they hold the same.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, Protocol

import zstandard

SEGMENT_BYTES = 64 << 20
"""A segment is closed before it would grow beyond this (a single longer line has one of its own)."""
MAX_LINE_BYTES = 16 << 20
"""The longest line a journal may hold: what a reader keeps in memory."""

_NAME = re.compile(r"journal-(\d{6,})\.jsonl(\.zst)?")
_LEVEL = 3


class Source(Protocol):
    """A segment that is open for reading."""

    def read(self, size: int = ..., /) -> bytes:
        """At most so many bytes, none at the end; a plain segment may have more later."""

    def close(self) -> None:
        """Give the file back."""


def plain_path(directory: Path, number: int) -> Path:
    """Where segment ``number`` is written."""
    return directory / f"journal-{number:06d}.jsonl"


def packed_path(directory: Path, number: int) -> Path:
    """Where segment ``number`` is once it is compressed."""
    return directory / f"journal-{number:06d}.jsonl.zst"


def segment_numbers(directory: Path) -> list[int]:
    """The segments that are there, ascending; none for a directory that is not."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    return sorted({int(match[1]) for match in map(_NAME.fullmatch, names) if match})


def open_segment(directory: Path, number: int) -> Source | None:
    """A segment from its start, plain or compressed; None when it is not there."""
    # Twice: between the two looks the plain one may have become the compressed one.
    for _ in range(2):
        try:
            return plain_path(directory, number).open("rb", buffering=0)
        except FileNotFoundError:
            pass
        try:
            packed = packed_path(directory, number).open("rb")
        except FileNotFoundError:
            continue
        return _Unpacked(packed)
    return None


class _Unpacked:
    """A compressed segment, read as if it were plain; raises ``zstandard.ZstdError`` when it is damaged or cut short."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        self._waiting = b""
        self._ended = False

    def read(self, size: int = 1 << 20, /) -> bytes:
        while not self._waiting and not self._ended:
            chunk = self._packed.read(1 << 16)
            if not chunk:
                raise zstandard.ZstdError("ends in the middle of a frame")
            self._waiting = self._decompressor.decompress(chunk)
            self._ended = self._decompressor.eof
        answer, self._waiting = self._waiting[:size], self._waiting[size:]
        return answer

    def close(self) -> None:
        self._packed.close()


def compress_segment(directory: Path, number: int) -> None:
    """Replace a closed segment by its compressed form. Raises ``OSError``; the plain one is then still there and whole.

    Each step leaves a journal that reads the same: temporary file, sync, rename, unlink.
    """
    plain, packed = plain_path(directory, number), packed_path(directory, number)
    temporary = packed.with_name(packed.name + ".tmp")
    try:
        with plain.open("rb") as source, temporary.open("wb") as sink:
            zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).copy_stream(source, sink, size=plain.stat().st_size)
            sink.flush()
            os.fsync(sink.fileno())
        temporary.rename(packed)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    plain.unlink()
