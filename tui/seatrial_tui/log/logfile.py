"""A log file that another process appends to, by lines, without ever letting the screen wait for a disk."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial_tui.log.index import Index
from seatrial_tui.log.lines import LogLine, parse
from seatrial_tui.log.pages import PAGE_LINES, Pages
from seatrial_tui.log.text import LINE_BYTES

PATIENCE_S = 0.003
"""So long a caller waits for what is not in memory: a page that the system still holds comes in a tenth of that."""
_POLL_S = 0.1
_STEP_BYTES = 1 << 20
"""Read at a time while the index grows; between two steps whoever waits for a page is served."""
_OVERLAP_BYTES = 64
"""Compared with what was read before: a file cut off and written again between two looks may be longer than it was."""
_WANTED_MOST = 256
"""Pages and places asked for at a time."""
_CLOSE_S = 2.0


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log is known."""

    generation: int = 0
    """Grows when the file turned out to be another one, or was cut: all line numbers are then void."""
    lines: int = 0
    """Indexed so far, an open last one included."""
    open: bool = False
    """Whether the last line has no newline yet."""
    indexed_bytes: int = 0
    size_bytes: int = 0
    reason: str = ""
    """Why this generation began: ``cut off``, ``replaced``; empty for the first."""
    missing: bool = False
    """There is no such file now; what was read of it stays."""


class LogFile:
    """Reads a log with a thread of its own; a missing file reads as empty until it appears.

    Threading: any thread. The thread owns the file and the index. The condition guards the state, the pages and what is wanted of them;
    it is never held while the disk is read.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path, self._clock = path, clock
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._closed = False
        self._state = LogState()
        self._pages = Pages()
        self._wanted: OrderedDict[int, None] = OrderedDict()
        self._places: OrderedDict[int, int | None] = OrderedDict()  # offset -> line, None while it is looked for
        self._index = Index()
        self._fd = -1
        self._identity = (0, 0)
        self._tail = b""
        self._thread = threading.Thread(target=self._serve, name=f"log {path.name}", daemon=True)

    def start(self) -> None:
        """Begin to read. Once."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and give back the file. Idempotent."""
        with self._changed:
            self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    # -- what others ask

    @property
    def state(self) -> LogState:
        """How far the log is known."""
        with self._changed:
            return self._state

    def lines(self, numbers: Sequence[int], *, wait_s: float = PATIENCE_S) -> list[LogLine | None]:
        """These lines, in this order. None for one that is not there, or is not in memory within ``wait_s``: ask again a little later."""
        with self._changed:
            found = [self._pages.line(number) for number in numbers]
            if all(found):
                return found
            missing = {number // PAGE_LINES for number, line in zip(numbers, found, strict=True) if not line and number < self._state.lines}
            for page in missing:
                self._wanted[page] = None
                self._wanted.move_to_end(page)
            while len(self._wanted) > _WANTED_MOST:
                self._wanted.popitem(last=False)
            if missing:
                self._wake.set()
                self._changed.wait_for(lambda: self._closed or self._wanted.keys().isdisjoint(missing), wait_s)
            return [line or self._pages.line(number) for number, line in zip(numbers, found, strict=True)]

    def line_at(self, offset: int, *, wait_s: float = PATIENCE_S) -> int | None:
        """The number of the line that the byte at ``offset`` belongs to; at the end of what is indexed, of the line that comes next.

        None while that is not known: ask again a little later.
        """
        with self._changed:
            if offset >= self._state.size_bytes == self._state.indexed_bytes:
                return self._state.lines - self._state.open
            if offset > self._state.indexed_bytes:
                return None
            if self._places.get(offset) is None:
                self._places[offset] = None
                self._wake.set()
                self._changed.wait_for(lambda: self._closed or self._places.get(offset) is not None, wait_s)
            while len(self._places) > _WANTED_MOST:
                self._places.popitem(last=False)
            return self._places.get(offset)

    def duplicate(self) -> tuple[int, int] | None:
        """A descriptor of one's own of the very file that is indexed, and its generation; None where there is none."""
        with self._changed:
            return (os.dup(self._fd), self._state.generation) if self._fd >= 0 else None

    # -- the thread

    def _serve(self) -> None:
        while not self._closed:
            self._wake.clear()
            with contextlib.suppress(OSError):  # a disk that fails a read now may not fail the next
                self._look()
                while self._grow() and not self._closed:
                    self._answer()
            self._answer()
            self._clock.wait(self._wake, _POLL_S)
        self._forget_file()

    def _look(self) -> None:
        """See whether the path still leads to the file that is open, and how long it is."""
        try:
            status, missing = self.path.stat(), False
        except OSError:
            if self._fd < 0:
                self._publish(missing=True)
                return
            status, missing = os.fstat(self._fd), True  # the log of a run that is being removed can still be read
        if not stat.S_ISREG(status.st_mode):
            self._publish(missing=True)
            return
        if self._fd < 0 or (status.st_dev, status.st_ino) != self._identity:
            self._open(again=self._fd >= 0)
        elif status.st_size < self._index.size_bytes:
            self._begin_anew("cut off")
        self._publish(size_bytes=max(status.st_size, self._index.size_bytes), missing=missing)

    def _open(self, *, again: bool) -> None:
        # Not blocking: should somebody have put a pipe in its place since.
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._forget_file()
        status = os.fstat(fd)
        with self._changed:
            self._fd, self._identity = fd, (status.st_dev, status.st_ino)
        if again:
            self._begin_anew("replaced")

    def _forget_file(self) -> None:
        with self._changed:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _begin_anew(self, reason: str) -> None:
        self._index, self._tail = Index(), b""
        with self._changed:
            self._pages.clear()
            self._wanted.clear()
            self._places.clear()
            self._state = LogState(generation=self._state.generation + 1, reason=reason)
            self._changed.notify_all()

    def _grow(self) -> bool:
        """Index one step more; whether there may be yet another."""
        if self._fd < 0 or self._index.size_bytes >= self._state.size_bytes:
            return False
        at = self._index.size_bytes
        data = os.pread(self._fd, len(self._tail) + _STEP_BYTES, at - len(self._tail))
        if not data.startswith(self._tail):
            self._begin_anew("replaced")
            return True
        data = data[len(self._tail) :]
        incomplete = self._index.newlines // PAGE_LINES
        self._index.feed(data)
        self._tail = (self._tail + data[-_OVERLAP_BYTES:])[-_OVERLAP_BYTES:]
        with self._changed:
            self._pages.drop(incomplete)
        size = max(self._state.size_bytes, self._index.size_bytes)
        self._publish(lines=self._index.lines, open=self._index.open, indexed_bytes=self._index.size_bytes, size_bytes=size)
        return bool(data)

    def _publish(self, **changes: object) -> None:
        with self._changed:
            self._state = msgspec.structs.replace(self._state, **changes)

    def _answer(self) -> None:
        """Find what is wanted. A place before the pages: it decides which pages are."""
        while not self._closed:
            with self._changed:
                offset = next((offset for offset, line in self._places.items() if line is None), None)
                page = next(reversed(self._wanted), None)
            if offset is not None:
                found = self._index.line_at(offset, self._read)
                with self._changed:
                    self._places[offset] = found
                    self._changed.notify_all()
            elif page is not None:
                lines = self._load(page)
                with self._changed:
                    self._pages.put(page, lines)
                    self._wanted.pop(page, None)
                    self._changed.notify_all()
            else:
                return

    def _load(self, page: int) -> list[LogLine]:
        first = page * PAGE_LINES
        raw = self._index.lines_from(first, PAGE_LINES, LINE_BYTES, self._read)
        return [parse(number, head, length) for number, (head, length) in enumerate(raw, first)]

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset) if self._fd >= 0 and size > 0 else b""
        except OSError:
            return b""
