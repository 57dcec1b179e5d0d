"""Rows of a log as strips of a terminal: the sign of the level, the timestamp, the message, what is selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.selection import Selection
from textual.strip import Strip

from seatrial_tui.lines.tones import Tone
from seatrial_tui.log.lines import LogLine
from seatrial_tui.panes.server_log.layout import GUTTER, MARK, SIGNS, TONES, Row, cells_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Styles:
    """The styles under one theme."""

    base: Style
    tones: Mapping[Tone, Style]
    chosen: Style
    """What the mouse has selected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What one painting of the rows has in common."""

    rows: Sequence[Row]
    left: int
    """Cells of text that are scrolled out."""
    room: int
    """Cells for text."""
    width: int
    styles: Styles
    selection: Selection | None
    marked: int
    """Number of the line that somebody jumped to; -1 for none."""


def painted(row: Row, window: Window) -> Strip:
    """A row, from the first cell in sight on, as wide as the window."""
    if row.line is None:
        segments = [Segment(" " * GUTTER + "…", window.styles.tones[Tone.FAINT])]
    else:
        segments = [_sign(row, row.line, window), *_cut(_segments(row, row.line, window), window)]
    gap = window.width - sum(cells_of(segment.text) for segment in segments)
    return Strip([*segments, Segment(" " * max(0, gap), window.styles.base)], window.width)


def _sign(row: Row, line: LogLine, window: Window) -> Segment:
    tones = window.styles.tones
    if row.begin:
        return Segment(" " * GUTTER, window.styles.base)
    if line.number == window.marked:
        return Segment(f"{MARK} ", tones[Tone.ACCENT])
    return Segment(f"{SIGNS[line.level]} ", tones[TONES[line.level]])


def _segments(row: Row, line: LogLine, window: Window) -> list[Segment]:
    tones, tone = window.styles.tones, TONES[line.level]
    if line.number == window.marked and tone is Tone.PLAIN:
        tone = Tone.ACCENT
    edge = min(max(row.stamp, row.begin), row.end)
    parts = [(row.begin, edge, tones[Tone.FAINT]), (edge, row.end, tones[tone])]
    span = window.selection.get_span(row.place) if window.selection is not None else None
    if span is not None:
        parts = _overlaid(parts, max(0, span[0]), span[1] if span[1] >= 0 else row.end, window.styles.chosen)
    return [Segment(row.text[begin:end], style) for begin, end, style in parts if begin < end]


def _cut(segments: list[Segment], window: Window) -> list[Segment]:
    """What there is room for, with a sign where there is more at the right."""
    width = sum(cells_of(segment.text) for segment in segments)
    if not window.left and width <= window.room:
        return segments
    end = window.left + window.room
    if width <= end:
        return list(Strip(segments, width).crop(window.left, end))
    return [*Strip(segments, width).crop(window.left, end - 1), Segment("›", window.styles.tones[Tone.FAINT])]


def _overlaid(parts: Sequence[tuple[int, int, Style]], begin: int, end: int, style: Style) -> list[tuple[int, int, Style]]:
    """The parts of a text, with another style between ``begin`` and ``end``."""
    found = []
    for first, last, own in parts:
        low, high = min(max(begin, first), last), min(max(end, first), last)
        found += [(first, low, own), (low, high, own + style), (high, last, own)]
    return found
