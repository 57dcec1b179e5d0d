"""Which lines of a log are shown, in their order: all, or those a filter lets through, as of some moment."""

from __future__ import annotations

from seatrial_tui.log.logfile import LogState
from seatrial_tui.log.scan import Scan, ScanState


class Listing:
    """Places from 0 to ``count``, each with the number of a line. Immutable but for matches that come in at the end, beyond ``count``."""

    def __init__(self, log: LogState, scan: Scan | None = None, limit: int | None = None) -> None:
        """``limit``: only lines with a smaller number, for the log as of a moment."""
        self.lines = log.lines if limit is None else min(limit, log.lines)
        """That are there, shown or not."""
        self.state: ScanState | None = None
        self._scan, self._open_line = scan, -1
        if scan is None:
            self.count = self.lines
            return
        self.state = scan.state
        self.count = scan.before(self.lines)
        if self.state.open_matches and self.state.lines == log.lines - 1 < self.lines:
            self._open_line = self.state.lines
            self.count = scan.before(self._open_line) + 1

    def numbers(self, begin: int, end: int) -> list[int]:
        """The numbers of the lines at these places."""
        begin, end = max(0, begin), min(end, self.count)
        if self._scan is None:
            return list(range(begin, end))
        found = self._scan.numbers(begin, min(end, self.count - (self._open_line >= 0)))
        if self._open_line >= 0 and begin < end == self.count:
            found.append(self._open_line)
        return found

    def place_of(self, number: int) -> int:
        """The place of that line, or of the next one that is shown; ``count`` where there is none."""
        return min(self.count, number if self._scan is None else self._scan.before(number))

    def settled(self, number: int) -> bool:
        """Whether all lines up to that number have been looked through."""
        return self.state is None or bool(self.state.ended) or self.state.lines >= min(number, self.lines)
