"""The columns of a table: what they show, how wide they are, which of them there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size

from seatrial.report.prose import plain
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.panes.pane import Value

R = TypeVar("R")

GAP = 2
"""Blank cells after each column; the first of them has room for the arrow of the sorted one."""
LEAST_GROWING = 12
"""A column that grows and names no width gives up its content down to this before another column goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[R]):
    """One column of a table with rows of ``R``. Its functions are called often and must not block."""

    name: str
    """Stable: its id, and its name in an export."""
    title: str
    cell: Callable[[R], Cell]
    """What is painted."""
    value: Callable[[R], Value] | None = None
    """What it sorts by and exports; None: the text."""
    width: int = 0
    """Fixed, in cells, or of a column that grows the least; 0: as the content needs, up to ``max_width``."""
    max_width: int = 40
    right: bool = False
    """Aligned right, and sorted with the greatest first."""
    grow: bool = False
    """Takes the room that is left."""
    priority: int = 0
    """Where it is narrow, columns of the highest number go first; those of 0 stay, and are scrolled to."""
    middle: bool = False
    """Cut in the middle where it is too long (paths, ids), else at its end."""

    def text(self, row: R) -> str:
        """What stands in the cell, on one line and harmless."""
        return split(self.cell(row))[0]

    def plain_value(self, row: R) -> Value:
        """What it sorts by and exports."""
        return self.text(row) if self.value is None else self.value(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Generic[R]):
    """A column that is shown."""

    column: Column[R]
    position: int
    """Among all columns."""
    left: int
    """Its first cell."""
    width: int


def split(cell: Cell) -> tuple[str, Tone]:
    """Text and tone; whatever the terminal might take for a command is escaped."""
    text, tone = (cell, Tone.PLAIN) if isinstance(cell, str) else cell
    return (text if text.isprintable() else plain(text)), tone


def fit(text: str, width: int, *, right: bool = False, middle: bool = False) -> str:
    """``text`` in exactly ``width`` cells, as Textual counts them, cut with an ellipsis or filled with blanks."""
    have = len(text) if text.isascii() else cell_len(text)
    if have > width:
        text = _cut(text, width, middle=middle)
        have = cell_len(text)
    gap = " " * (width - have)
    return gap + text if right else text + gap


def _cut(text: str, width: int, *, middle: bool) -> str:
    if width < 2:
        return "…"[:width]
    tail = _tail(text, (width - 1) // 2) if middle else ""
    head = set_cell_size(text, width - 1 - cell_len(tail)).rstrip(" ")
    return f"{head}…{tail}"


def _tail(text: str, width: int) -> str:
    """The end of ``text`` in at most ``width`` cells; a combining mark never loses its letter to the cut."""
    tail = text[len(text) - width :] if width else ""
    while tail and (cell_len(tail) > width or not cell_len(tail[0])):
        tail = tail[1:]
    return tail


class Widths(Generic[R]):
    """How wide each column is. Learns from the rows that are seen and never shrinks: a table that breathes is hard to read.

    Threading: the screen's thread only.
    """

    def __init__(self, columns: Sequence[Column[R]]) -> None:
        self._columns = columns
        self._natural = [column.width or cell_len(column.title) for column in columns]
        self._placed: Sequence[Placed[R]] = ()
        self._placed_for = -1

    def learn(self, cells: Sequence[tuple[str, Tone]]) -> bool:
        """Make room for a row's cells, in the order of all columns; whether any column became wider."""
        grown = False
        natural = self._natural
        for position, (text, _) in enumerate(cells):
            have = natural[position]
            if len(text) <= have and text.isascii():
                continue
            column = self._columns[position]
            need = min(cell_len(text), column.max_width)
            if need > have and (column.grow or not column.width):
                natural[position], grown = need, True
        if grown:
            self._placed_for = -1
        return grown

    def place(self, room: int) -> Sequence[Placed[R]]:
        """The columns that are shown in ``room`` cells. Together they may need more: then they are scrolled."""
        if room != self._placed_for:
            self._placed, self._placed_for = self._place(room), room
        return self._placed

    def _place(self, room: int) -> Sequence[Placed[R]]:
        least = [
            (column.width or min(natural, LEAST_GROWING)) if column.grow else natural
            for column, natural in zip(self._columns, self._natural, strict=True)
        ]
        kept = list(range(len(self._columns)))
        while sum(least[i] + GAP for i in kept) - GAP > room:
            expendable = [i for i in kept if self._columns[i].priority]
            if not expendable:
                break
            kept.remove(max(expendable, key=lambda i: (self._columns[i].priority, i)))
        widths = self._share(kept, least, room)
        placed, left = [], 0
        for i, width in zip(kept, widths, strict=True):
            placed.append(Placed(column=self._columns[i], position=i, left=left, width=width))
            left += width + GAP
        return tuple(placed)

    def _share(self, kept: Sequence[int], least: Sequence[int], room: int) -> Sequence[int]:
        """What is left goes to those that grow: first as much as their content needs, then alike."""
        widths = {i: least[i] for i in kept}
        growing = [i for i in kept if self._columns[i].grow]
        left = room - sum(width + GAP for width in widths.values()) + GAP
        for i in growing:
            more = max(0, min(left, self._natural[i] - widths[i]))
            widths[i] += more
            left -= more
        for rank, i in enumerate(growing):
            share = max(0, left) // (len(growing) - rank)
            widths[i] += share
            left -= share
        return [widths[i] for i in kept]
