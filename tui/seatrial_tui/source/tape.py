"""The journal and the telemetry of a run as one stream in time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from seatrial.history.events import Record
from seatrial.history.frames import Frame
from seatrial.history.reader import JournalDamagedError, JournalFollower, JournalGap, JournalPlace
from seatrial.history.segments import plain_path, segment_numbers
from seatrial.history.telemetry import TelemetryReader

_TAIL = 64 << 10


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tape stands."""

    journal: JournalPlace | None = None
    frame_ns: int = 0
    """Of the last frame that was taken."""


class Tape:
    """Reads records and frames in the order of their times, from the start or from a place. Writes nothing.

    Records keep the order of the journal whatever their clock did. Threading: one owner. Holds at most two open files; ``close`` it.
    """

    def __init__(self, directory: Path, on_gap: Callable[[JournalGap], object], after: Place | None = None) -> None:
        """``on_gap`` is told of gaps; reading goes on."""
        self._directory, self._on_gap = directory, on_gap
        place = after or Place()
        self._journal_place, self._frame_ns = place.journal, place.frame_ns
        self._journal = JournalFollower(directory, on_gap, after=place.journal)
        self._telemetry = TelemetryReader(directory, from_old=True)
        self._records: deque[Record] = deque()
        self._frames: deque[Frame] = deque()
        self._one_by_one = False
        self._damage: JournalDamagedError | None = None

    @property
    def ended(self) -> bool:
        """The end of the run has been read from the journal."""
        return self._journal.ended

    @property
    def place(self) -> Place | None:
        """Where to go on; None while records have been read ahead."""
        if self._records or self._journal.place is None:
            return None
        return Place(journal=self._journal.place, frame_ns=self._frame_ns)

    def read(self, limit: int, until_ns: int | None = None) -> list[Record | Frame]:
        """What comes next, not beyond ``until_ns``; fewer than ``limit`` where that is all there is for now, at most a few more.

        Raises ``JournalDamagedError`` after everything before the damage has been read, ``UsageError``, ``OSError``.
        """
        items: list[Record | Frame] = []
        more_frames = more_records = True
        while self._records or len(items) < limit:
            if not self._frames and more_frames:
                more_frames = self._fill_frames()
                # Frames are read before the records they are put among: those have all been written by then.
                more_records = more_records or more_frames
            if not self._records and more_records:
                more_records = self._fill_records(limit)
            item = self._next(until_ns)
            if item is None:
                break
            items.append(item)
        if self._damage is not None and not items:
            raise self._damage
        return items

    def close(self) -> None:
        """Give the files back. Idempotent."""
        self._journal.close()
        self._telemetry.close()

    def _next(self, until_ns: int | None) -> Record | Frame | None:
        frame_first = bool(self._frames) and (not self._records or self._frames[0].at_ns < self._records[0].at_ns)
        waiting: deque[Frame] | deque[Record] = self._frames if frame_first else self._records
        if not waiting or (until_ns is not None and waiting[0].at_ns > until_ns):
            return None
        item = waiting.popleft()
        if frame_first:
            self._frame_ns = item.at_ns
        return item

    def _fill_frames(self) -> bool:
        while not self._frames:
            frames = self._telemetry.poll()
            if not frames:
                return False
            self._frames.extend(frame for frame in frames if frame.at_ns > self._frame_ns)
        return True

    def _fill_records(self, limit: int) -> bool:
        if self._damage is not None:
            return False
        try:
            records = self._journal.poll(1 if self._one_by_one else limit)
        except JournalDamagedError as error:
            if self._one_by_one:
                self._damage = error  # told once there is nothing left before it
                return False
            # The records before the damage went with the poll that found it: read them again, one by one.
            self._one_by_one = True
            self._journal.close()
            self._journal = JournalFollower(self._directory, self._on_gap, after=self._journal_place)
            return True
        self._journal_place = self._journal.place
        self._records.extend(records)
        return bool(records)


class _Head(msgspec.Struct):
    """As much of a record as is needed."""

    at_ns: int


def last_record_ns(directory: Path) -> int:
    """When the last record of a journal was written, without reading all of it; 0 where that cannot be told."""
    numbers = segment_numbers(directory)
    if not numbers:
        return 0
    try:
        with plain_path(directory, numbers[-1]).open("rb") as file:
            size, tail = file.seek(0, os.SEEK_END), _TAIL
            while True:
                file.seek(max(0, size - tail))
                lines = file.read(tail).split(b"\n")
                # The first piece may lack its beginning, the last its end.
                if len(lines) > 2 or tail >= size:
                    return msgspec.json.decode(lines[-2], type=_Head).at_ns if len(lines) > 1 else 0
                tail *= 8
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return 0
