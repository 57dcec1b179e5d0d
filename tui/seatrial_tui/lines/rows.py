"""The rows of a table: which of them are shown, and in which order. Knows no screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from seatrial_tui.filters import BROKEN, TooLong, compile_filter, patience
from seatrial_tui.lines.columns import Column, R
from seatrial_tui.panes.pane import Value

MATCHING_S = 0.25
"""Processor time that a filter may take over all rows, while the screen stands still."""

SortKey = tuple[int, int | float | str] | None
"""Numbers before texts, which are compared without case; None comes last, whichever the direction."""


def sort_key(value: Value) -> SortKey:
    """What a value is compared by."""
    if value is None or value != value:  # noqa: PLR0124 - only NaN differs from itself, and it would break any order
        return None
    return (1, value.casefold()) if isinstance(value, str) else (0, value)


class Pattern:
    """What was typed, over a row's cells, one to a line: ``^`` and ``$`` are the ends of a cell."""

    def __init__(self, text: str) -> None:
        self.error = ""
        """Why it selects nothing."""
        self._filter = None
        try:
            self._filter = compile_filter(text)
        except BROKEN as error:
            self.error = f"no regex: {error}"

    @property
    def selects(self) -> bool:
        """Whether it says anything: it is neither empty nor broken nor given up."""
        return self._filter is not None

    def matching(self, texts: Sequence[str]) -> list[bool]:
        """Which of these are shown; nothing where it selects nothing. One that takes too long on them is given up."""
        if self._filter is not None:
            try:
                with patience(MATCHING_S):
                    return [self._filter.matches(text) for text in texts]
            except TooLong:
                self._filter, self.error = None, "takes too long: it can match a row in too many ways"
        return []


class Rows(Generic[R]):
    """Rows by key, filtered and sorted. Rows are compared by ``is``: what did not change is not looked at again.

    Threading: the screen's thread only.
    """

    def __init__(self, columns: Sequence[Column[R]], key: Callable[[R], str]) -> None:
        self._columns, self._key = {column.name: column for column in columns}, key
        self._source: tuple[R, ...] = ()
        self._keys: list[str] = []
        self._order: Sequence[int] = ()
        self._lines: dict[str, int] | None = None
        self._sort: Column[R] | None = None
        self._descending = False
        self._sort_keys: list[SortKey] = []
        self._pattern = Pattern("")
        self._matching: list[bool] = []
        self._texts: dict[str, tuple[R, str]] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def total(self) -> int:
        """How many there are, shown or not."""
        return len(self._source)

    @property
    def broken(self) -> bool:
        """What should filter them cannot."""
        return bool(self._pattern.error)

    def note(self) -> str:
        """What the filter does, in words."""
        return self._pattern.error if self.broken else f"{len(self):,} of {self.total:,}"

    def __getitem__(self, line: int) -> R:
        return self._source[self._order[line]]

    def shown(self) -> Sequence[R]:
        """All that are shown, in their order."""
        return [self._source[position] for position in self._order]

    def key(self, line: int) -> str:
        """Of the row on that line."""
        return self._keys[self._order[line]]

    def line(self, key: str) -> int | None:
        """Where the row of that key is shown."""
        if self._lines is None:
            self._lines = {self._keys[position]: line for line, position in enumerate(self._order)}
        return self._lines.get(key)

    def replace(self, rows: Sequence[R]) -> bool:
        """Show these rows; whether any differs from before. Keys must be unique."""
        source = rows if isinstance(rows, tuple) else tuple(rows)
        old, self._source = self._source, source
        if source is old:
            return False
        if len(source) == len(old):
            changed = [position for position, (now, before) in enumerate(zip(source, old, strict=True)) if now is not before]
            if all(self._key(source[position]) == self._keys[position] for position in changed):
                self._update(changed)
                return bool(changed)
        self._keys = [self._key(row) for row in source]
        self._forget_texts()
        self._judge_all()
        return True

    def sort(self, name: str, *, descending: bool) -> None:
        """Sort by that column; empty or unknown: as the rows come."""
        self._sort, self._descending = self._columns.get(name), descending
        self._judge_all()

    def match(self, pattern: Pattern) -> None:
        """Show only what matches."""
        self._pattern = pattern
        if not pattern.selects:
            self._texts.clear()
        self._judge_all()

    def _judge_all(self) -> None:
        self._sort_keys = [sort_key(self._sort.plain_value(row)) for row in self._source] if self._sort else []
        self._matching = self._matched(range(len(self._source)))
        self._arrange()

    def _update(self, changed: Sequence[int]) -> None:
        moved = False
        if self._sort is not None:
            for position in changed:
                now = sort_key(self._sort.plain_value(self._source[position]))
                moved |= now != self._sort_keys[position]
                self._sort_keys[position] = now
        if self._matching:
            matched = self._matched(changed)
            if not self._pattern.selects:
                self._matching, moved = [], True
            for position, matches in zip(changed, matched, strict=False):
                moved |= matches is not self._matching[position]
                self._matching[position] = matches
        if moved:
            self._arrange()

    def _arrange(self) -> None:
        self._lines = None
        order: Sequence[int] = range(len(self._source))
        if self._matching:
            order = [position for position in order if self._matching[position]]
        if self._sort is not None:
            keys = self._sort_keys
            known = [position for position in order if keys[position] is not None]
            known.sort(key=lambda position: keys[position] or (), reverse=self._descending)
            order = [*known, *(position for position in order if keys[position] is None)]
        self._order = order

    def _matched(self, positions: Sequence[int]) -> list[bool]:
        """Which of these rows the filter shows; nothing where there is none."""
        return self._pattern.matching([self._text(position) for position in positions]) if self._pattern.selects else []

    def _text(self, position: int) -> str:
        row, key = self._source[position], self._keys[position]
        known = self._texts.get(key)
        if known is None or known[0] is not row:
            known = self._texts[key] = (row, "\n".join(column.text(row) for column in self._columns.values()))
        return known[1]

    def _forget_texts(self) -> None:
        if len(self._texts) > 2 * len(self._keys):
            self._texts.clear()
