"""Reading journals: all of one, or its tail as it grows. Never writes, never locks; the writer may be alive, dead or elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import zstandard

from seatrial.errors import InconclusiveError, UsageError
from seatrial.history.events import JOURNAL_FORMAT, Record, RunEnded
from seatrial.history.segments import MAX_LINE_BYTES, Source, open_segment, packed_path, plain_path, segment_numbers

_CHUNK = 1 << 20
_TOO_LONG = "a line is longer than {:,} bytes"
_REMEDY = "copy the whole run directory again"
BATCH = 4096
"""The most records of one poll."""


class JournalGap(msgspec.Struct, frozen=True, kw_only=True):
    """Where ``seq`` does not go on by one: records are missing (``found > expected``) or come again (``found < expected``)."""

    expected: int
    found: int
    where: str

    def __str__(self) -> str:
        if self.found > self.expected:
            return f"records {self.expected} to {self.found - 1} are missing"
        return f"record {self.found} comes again where {self.expected} is due"


class JournalPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reader stands: after so many lines of a segment, having read the record ``seq``."""

    number: int
    line: int
    seq: int


class JournalGapError(InconclusiveError):
    """A journal has holes or repetitions, so that no verdict can stand on it."""

    def __init__(self, gap: JournalGap) -> None:
        super().__init__(str(gap), where=gap.where, remedy=_REMEDY)
        self.gap = gap


class JournalDamagedError(InconclusiveError):
    """A line or segment of a journal that is not the last cannot be read."""


class _HeadEvent(msgspec.Struct):
    kind: str = ""
    format: int = JOURNAL_FORMAT


class _Head(msgspec.Struct):
    """As much of the first line as any version has."""

    event: _HeadEvent


_decode = msgspec.json.Decoder(Record).decode
_decode_head = msgspec.json.Decoder(_Head).decode


def decode_record(line: bytes, *, where: str = "") -> Record:
    """One line. Raises ``JournalDamagedError``."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalDamagedError(f"the line cannot be decoded: {error}", where=where, remedy=_REMEDY) from error


class JournalFollower:
    """Reads a journal from its start, then what has come since, over rotation and compression.

    Threading: one owner. Holds at most one open file; ``close`` it.
    """

    def __init__(self, directory: Path, on_gap: Callable[[JournalGap], object] | None = None, *, after: JournalPlace | None = None) -> None:
        """``on_gap`` is told of gaps, and reading goes on (what comes again is left out); without it they raise.

        ``after``: go on where another reader of the same journal stood; the lines before are passed over undecoded.
        """
        self._directory, self._on_gap = directory, on_gap
        self._number, self._line, self._seq = (after.number - 1, 0, after.seq) if after else (0, 0, 0)
        self._skip = after.line if after else 0
        self._source: Source | None = None
        self._rest = b""
        self._lines: Iterator[bytes] = iter(())
        self.ended = False
        """``RunEnded`` has been read."""

    @property
    def place(self) -> JournalPlace | None:
        """After the last record that ``poll`` returned; None before the first."""
        return JournalPlace(number=self._number, line=self._line, seq=self._seq) if self._seq and not self._skip else None

    def poll(self, limit: int = BATCH) -> list[Record]:
        """The records that are there and have not been returned yet, at most ``limit``; none when there is nothing new.

        Raises ``JournalGapError``, ``JournalDamagedError``, ``UsageError`` (a format of another version), ``OSError``.
        """
        records: list[Record] = []
        while len(records) < limit:
            line = next(self._lines, None)
            if line is None:
                if not self._fill():
                    break
                continue
            if self._skip:
                self._skip -= 1
                self._line += 1
                continue
            record = self._record(line)
            if record is not None:
                records.append(record)
        return records

    def close(self) -> None:
        """Give the file back. Idempotent."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _fill(self) -> bool:
        """Read on; False when there is nothing more for now. All complete lines before have been taken."""
        if len(self._rest) > MAX_LINE_BYTES:
            raise self._damaged(_TOO_LONG.format(MAX_LINE_BYTES), self._line + 1)
        if self._source is None and not self._open_next():
            return False
        chunk = self._read()
        if not chunk:
            # What follows was begun after the last write to this one, so that a second look sees all of it.
            if not self._has_next():
                self._unread_rest()
                return False
            chunk = self._read()
            if not chunk:
                return self._open_next()
        complete, newline, rest = chunk.rpartition(b"\n")
        if newline:
            self._lines = iter((self._rest + complete).split(b"\n"))
            self._rest = rest
        else:
            self._rest += chunk
        return True

    def _read(self) -> bytes:
        if self._source is None:
            return b""
        try:
            return self._source.read(_CHUNK)
        except zstandard.ZstdError as error:
            raise self._damaged(f"the compressed segment cannot be read: {error}", self._line + 1) from error

    def _unread_rest(self) -> None:
        """A line that is not whole yet is read again from its start: a writer that met a full disk takes it back, and writes another."""
        if self._rest and isinstance(self._source, FileIO):
            self._source.seek(-len(self._rest), os.SEEK_CUR)
            self._rest = b""

    def _has_next(self) -> bool:
        if plain_path(self._directory, self._number + 1).exists() or packed_path(self._directory, self._number + 1).exists():
            return True
        return any(number > self._number for number in segment_numbers(self._directory))

    def _open_next(self) -> bool:
        if self._rest:
            raise self._damaged("the last line of a closed segment is cut short", self._line + 1)
        later = [number for number in segment_numbers(self._directory) if number > self._number]
        source = open_segment(self._directory, later[0]) if later else None
        if source is None:
            return False
        self.close()
        self._source, self._number, self._line = source, later[0], 0
        return True

    def _record(self, line: bytes) -> Record | None:
        self._line += 1
        if len(line) > MAX_LINE_BYTES:
            raise self._damaged(_TOO_LONG.format(MAX_LINE_BYTES), self._line)
        if self._seq == 0:
            self._check_format(line)
        try:
            record = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damaged(f"the line cannot be decoded: {error}", self._line) from error
        if record.seq != self._seq + 1:
            self._gap(record.seq)
            if record.seq <= self._seq:
                return None
        self._seq = record.seq
        if isinstance(record.event, RunEnded):
            self.ended = True
        return record

    def _check_format(self, line: bytes) -> None:
        try:
            head = _decode_head(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # the full decoding says it better
        if head.event.kind == "plan" and not 1 <= head.event.format <= JOURNAL_FORMAT:
            raise UsageError(
                f"the journal has format {head.event.format}; this seatrial reads 1 to {JOURNAL_FORMAT}",
                where=str(self._directory),
                remedy="use the version of seatrial that wrote it",
            )

    def _gap(self, found: int) -> None:
        gap = JournalGap(expected=self._seq + 1, found=found, where=self._place(self._line))
        if self._on_gap is None:
            raise JournalGapError(gap)
        self._on_gap(gap)

    def _damaged(self, what: str, line: int) -> JournalDamagedError:
        return JournalDamagedError(what, where=self._place(line), remedy=_REMEDY)

    def _place(self, line: int) -> str:
        return f"{plain_path(self._directory, self._number)} line {line}"


def read_journal(directory: Path, *, on_gap: Callable[[JournalGap], object] | None = None) -> Iterator[Record]:
    """All records of a journal as it is now; a torn last line is ignored. Errors and ``on_gap`` as in ``JournalFollower``.

    Raises ``UsageError`` where there is no journal.
    """
    if not segment_numbers(directory):
        raise UsageError("there is no journal", where=str(directory), remedy="`seatrial runs` lists the runs there are")
    with JournalFollower(directory, on_gap) as follower:
        while records := follower.poll():
            yield from records


def follow(directory: Path, on_gap: Callable[[JournalGap], object] | None = None) -> JournalFollower:
    """A reader for whoever watches; the journal need not be there yet."""
    return JournalFollower(directory, on_gap)
