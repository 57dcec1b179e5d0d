"""Rows, header and footer of a table as strips, and the memory of those that were painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from seatrial_tui.lines.columns import GAP, Column, Placed, R, fit, split
from seatrial_tui.lines.tones import Tone

LINES_KEPT = 512
"""More than a screen has. Beyond that all are forgotten, and those in sight are painted once more."""
Cells = Sequence[tuple[str, Tone]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The styles of one table under one theme."""

    base: Style
    cursor: Style
    tones: dict[Tone, Style]


@dataclass(slots=True)
class Line(Generic[R]):
    """A row as it was last painted. ``strip`` is None until it is, or where how it must look has changed since."""

    row: R
    cells: Cells
    strip: Strip | None = None
    selected: bool = False
    learnt: bool = False
    """Its cells have had their say about the widths. A row may be painted before the table has heard of its size, and so before that."""


class Lines(Generic[R]):
    """Rows by key as they were last painted; a row that is another object is a new line. Bounded. Threading: the screen's thread only."""

    def __init__(self, columns: Sequence[Column[R]]) -> None:
        self._columns = columns
        self._known: dict[str, Line[R]] = {}

    def of(self, key: str, row: R) -> Line[R]:
        """The line of that row, with its cells in the order of all columns."""
        known = self._known.get(key)
        if known is None or known.row is not row:
            if len(self._known) >= LINES_KEPT:
                self._known.clear()
            known = self._known[key] = Line(row, [split(column.cell(row)) for column in self._columns])
        return known

    def forget_strips(self) -> None:
        """They would look different now."""
        for line in self._known.values():
            line.strip = None


def header(placed: Sequence[Placed[Any]], sort: str, palette: Palette, *, descending: bool) -> Strip:
    """The titles. The arrow stands in the gap behind the title, so that it moves nothing."""
    segments = []
    for each in placed:
        column = each.column
        is_sorted = column.name == sort
        arrow = ("▼" if descending else "▲") if is_sorted else ""
        title = fit(column.title, each.width, right=True) + arrow if column.right else fit(column.title + arrow, each.width + bool(arrow))
        segments.append(Segment(fit(title, each.width + GAP), palette.tones[Tone.ACCENT if is_sorted else Tone.HEAD]))
    return Strip(segments)


def row(placed: Sequence[Placed[Any]], cells: Cells, palette: Palette, width: int, *, selected: bool) -> tuple[list[Segment], int]:
    """A whole row and how wide it is: ``width``, unless the columns need more. Where it is that, Textual neither cuts nor fills it,
    which costs more than painting it. Neighbours in one style are one segment."""
    texts: list[str] = []
    styles: list[Style] = []
    used = 0
    for each in placed:
        column = each.column
        text, tone = cells[each.position]
        if used < each.left:
            texts[-1] += " " * (each.left - used)
        style = palette.cursor if selected else palette.tones[tone]
        if not styles or styles[-1] is not style:
            texts.append("")
            styles.append(style)
        texts[-1] += fit(text, each.width, right=column.right, middle=column.middle)
        used = each.left + each.width
    if used < width:
        texts.append(" " * (width - used))
        styles.append(palette.cursor if selected else palette.base)
    return [Segment(text, style) for text, style in zip(texts, styles, strict=True)], max(used, width)


def marked(segments: Sequence[Segment], span: tuple[int, int], style: Style) -> list[Segment]:
    """The segments with the characters from ``span[0]`` to ``span[1]`` (-1: the end) in that style too."""
    start, end = span
    parts, at = list[Segment](), 0
    for text, own, _ in segments:
        first = min(max(start - at, 0), len(text))
        last = len(text) if end < 0 else min(max(end - at, first), len(text))
        pieces = ((text[:first], own), (text[first:last], (own or Style.null()) + style), (text[last:], own))
        parts += [Segment(piece, painted) for piece, painted in pieces if piece]
        at += len(text)
    return parts


def footer(pattern: str, note: str, palette: Palette, width: int, *, broken: bool) -> Strip:
    """What the filter is, and what it does."""
    text, _ = split(f"/{pattern}")
    room = max(0, width - len(note) - 1)
    return Strip(
        [Segment(fit(text, room), palette.tones[Tone.ACCENT]), Segment(f" {note}", palette.tones[Tone.WARN if broken else Tone.FAINT])]
    )
