"""Decoded lines, kept while they are wanted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from seatrial_tui.log.lines import LogLine

PAGE_LINES = 64
_LINE_COST = 150
"""Bytes of a line's record, without its text."""


class Pages:
    """Pages of ``PAGE_LINES`` lines, the least recently used given up first. Threading: none of its own; its owner has a lock."""

    def __init__(self, limit_bytes: int = 8 << 20) -> None:
        self._limit_bytes = limit_bytes
        self._pages: OrderedDict[int, Sequence[LogLine]] = OrderedDict()
        self.cost_bytes = 0
        """About what they take; a text with wide characters takes up to four times as much."""

    def line(self, number: int) -> LogLine | None:
        """That line, if its page is here."""
        page = self._pages.get(number // PAGE_LINES)
        at = number % PAGE_LINES
        if page is None or at >= len(page):
            return None
        self._pages.move_to_end(number // PAGE_LINES)
        return page[at]

    def put(self, page: int, lines: Sequence[LogLine]) -> None:
        self.drop(page)
        self._pages[page] = lines
        self.cost_bytes += _cost(lines)
        while self.cost_bytes > self._limit_bytes and len(self._pages) > 1:
            _, old = self._pages.popitem(last=False)
            self.cost_bytes -= _cost(old)

    def drop(self, page: int) -> None:
        """Forget a page, which may not be here."""
        old = self._pages.pop(page, None)
        if old is not None:
            self.cost_bytes -= _cost(old)

    def clear(self) -> None:
        self._pages.clear()
        self.cost_bytes = 0


def _cost(lines: Sequence[LogLine]) -> int:
    return sum(len(line.text) + _LINE_COST for line in lines)
