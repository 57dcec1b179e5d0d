"""The process that looks for the lines of a filter: ``python -m seatrial_tui.log.scanner FD MOST PATTERN``.

A process of its own because ``re`` holds the interpreter's lock while it matches: one line and one unlucky pattern would stop the whole
screen, and no thread can be ended from outside. This one can: by a signal, or by closing its standard input.

It is told sizes on standard input, 8 bytes each, and answers with frames (``HEADER``, then the line numbers) until it has looked through
that many bytes of the file. A line on which the pattern takes too long counts as one that does not match; after a few of them it gives up.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from array import array
from types import FrameType

from seatrial.observe.serverlog import LINE_LIMIT
from seatrial_tui.filters import Filter, TooLong, compile_filter
from seatrial_tui.log.text import LINE_BYTES, line_text

HEADER = struct.Struct("<QQIIBB2x")
"""Bytes and lines looked through, lines that took too long, line numbers that follow, whether the open last line matches, ``Ended``."""
GOING_ON, GAVE_UP, FULL = range(3)
_STEP_BYTES = 1 << 18
_TICK_S = 0.1
"""Of processor time. A line that two ticks meet has had its time, whatever else the machine is doing."""
COSTLY_MOST = 10
"""Lines that took too long, before it gives up."""


class Watchdog:
    """Ends a match that takes too long: ``re`` looks for signals now and then. Owner of SIGVTALRM. Threading: the main thread only."""

    def __init__(self, tick_s: float = _TICK_S) -> None:
        self._matching = False
        self._met = False
        self._parent = os.getppid()
        signal.signal(signal.SIGVTALRM, self._tick)
        signal.setitimer(signal.ITIMER_VIRTUAL, tick_s, tick_s)

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        if os.getppid() != self._parent:
            os._exit(0)  # who asked is gone
        if self._matching and self._met:
            self._matching = False  # the match may just have ended: nothing outside of it must be hit by the next tick
            raise TooLong
        self._met = self._matching

    def matches(self, wanted: Filter, text: str) -> bool:
        """Raises ``TooLong``."""
        self._met = False
        self._matching = True
        try:
            return wanted.matches(text)
        finally:
            self._matching = False

    def close(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


class Scanner:
    """Goes through a log once, as it grows. Threading: one thread, the main one."""

    def __init__(self, wanted: Filter, most: int, watchdog: Watchdog) -> None:
        self._wanted, self._most, self._watchdog = wanted, most, watchdog
        self._head, self._length = b"", 0  # of the line that is not complete
        self._kept = 0
        self.bytes = self.lines = self.costly = 0
        self.ended = GOING_ON

    def feed(self, data: bytes) -> array[int]:
        """The next bytes of the file; the numbers of the complete lines in them that match."""
        found = array("I")
        self.bytes += len(data)
        begin, *rest = data.split(b"\n")
        self._lengthen(begin)
        texts = _harmless(data)
        for at, piece in enumerate(rest):
            # The first one may have begun in the data before.
            if self._matches(texts[at] if at and texts else None):
                found.append(self.lines)
                self._kept += 1
                if self._kept >= self._most:
                    self.ended = FULL
            self.lines += 1
            self._head, self._length = piece, len(piece)
            if self.ended:
                break
        self._head = self._head[:LINE_BYTES]
        return found

    def _lengthen(self, piece: bytes) -> None:
        self._head += piece[: LINE_BYTES - len(self._head)]
        self._length += len(piece)

    def open_matches(self) -> bool:
        """Whether the line that is not complete yet matches so far."""
        return bool(self._length) and not self.ended and self._matches()

    def _matches(self, text: str | None = None) -> bool:
        """Whether the line matches whose bytes are in ``_head``, and its text here, if that is what is shown of it."""
        if text is None or len(text) > LINE_LIMIT:
            text = line_text(self._head[:LINE_BYTES], self._length)
        try:
            return self._watchdog.matches(self._wanted, text)
        except TooLong:
            self.costly += 1
            if self.costly >= COSTLY_MOST:
                self.ended = GAVE_UP
            return False


def _harmless(data: bytes) -> list[str]:
    """The texts of its lines where there is nothing in any of them that must be shown otherwise, as in most logs; else none.

    Twice as fast as line by line.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    return text.split("\n") if text.replace("\n", "").isprintable() else []


def _scan(scanner: Scanner, fd: int, upto: int) -> None:
    """Look through the file as far as ``upto`` and write frames."""
    while True:
        data = os.pread(fd, min(_STEP_BYTES, upto - scanner.bytes), scanner.bytes) if upto > scanner.bytes else b""
        found = scanner.feed(data) if data else array("I")
        last = not data or scanner.bytes >= upto or scanner.ended != GOING_ON
        is_open = last and scanner.open_matches()
        header = HEADER.pack(scanner.bytes, scanner.lines, scanner.costly, len(found), is_open, scanner.ended)
        _write(header + found.tobytes())
        if last:
            return


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    fd, most, pattern = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    wanted = compile_filter(pattern)
    if wanted is None:
        return
    watchdog = Watchdog()
    scanner = Scanner(wanted, most, watchdog)
    try:
        while scanner.ended == GOING_ON and len(asked := os.read(0, 8)) == 8:
            _scan(scanner, fd, int.from_bytes(asked, "little"))
    except BrokenPipeError:
        pass
    finally:
        watchdog.close()


if __name__ == "__main__":
    main()
