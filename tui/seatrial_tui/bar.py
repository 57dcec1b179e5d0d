"""The line of panes: their numbers, names, and which one is in front; at its end how the run and the screen stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from seatrial.report.prose import cells, shorten
from seatrial_tui.lines.tones import Cell, Tone, Toned

_GAP = "  "
LEAST_STATUS = 12
"""Cells: in fewer a longer status says nothing, so it is left out."""


class Tab(NamedTuple):
    """One entry."""

    name: str
    title: str
    mark: Cell = ""
    """Beside the title: how many there are of what it shows."""
    short: str = ""
    """The title where there is little room; empty for the same."""


class PaneBar(Toned):
    """One line. Where it is narrow the tabs come before the status."""

    DEFAULT_CSS = "PaneBar { height: 1; width: 1fr; background: $panel; }"

    class Picked(Message):
        """Somebody clicked on a tab."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__()
        self._tabs: Sequence[Tab] = ()
        self._current = ""
        self._status: Sequence[Cell] = ()
        self._places: list[tuple[int, int, str]] = []

    def show(self, tabs: Sequence[Tab], current: str, status: Sequence[Cell]) -> None:
        """Show these, if they are others than before."""
        if (tabs, current, status) != (self._tabs, self._current, self._status):
            self._tabs, self._current, self._status = tabs, current, status
            self.refresh()

    def render_line(self, y: int) -> Strip:
        base, width = self.base, self.size.width
        status = [(text, tone) for text, tone in map(_toned, self._status) if text]
        end = sum(cells(text) + len(_GAP) for text, _ in status)
        segments, used = self._lay_out(width, width - end, base)
        room = width - used
        if end > room:
            width_left = room - len(_GAP)
            status = [(shorten(text, width_left), tone) for text, tone in status[:1] if width_left >= min(cells(text), LEAST_STATUS)]
            end = sum(cells(text) + len(_GAP) for text, _ in status)
        segments.append(Segment(" " * max(0, width - used - end), base))
        for text, tone in status:
            segments += [Segment(text, base + self.tone(tone)), Segment(_GAP, base)]
        return Strip(segments).adjust_cell_length(width, base)

    def _lay_out(self, width: int, room: int, base: Style) -> tuple[list[Segment], int]:
        """The tabs in the first form that fits; remembers where each stands."""
        parts, gap = self._form(width, room)
        segments, self._places, x = list[Segment](), [], 0
        for tab, ((text, _), (mark, tone)) in zip(self._tabs, parts, strict=True):
            style = base + self.tone(Tone.HEAD) + Style(reverse=True) if tab.name == self._current else base
            segments.append(Segment(text, style))
            if mark:
                segments.append(Segment(mark, base + self.tone(tone) + Style(reverse=tab.name == self._current)))
            segments.append(Segment(gap, base))
            begin, x = x, x + cells(text) + cells(mark) + len(gap)
            self._places.append((begin, x, tab.name))
        return segments, x

    def _form(self, width: int, room: int) -> tuple[list[list[tuple[str, Tone]]], str]:
        """Whole titles beside the status, else short ones in its place, else close together, else of the one in front, else numbers."""
        titles = [tab.title for tab in self._tabs]
        short = [tab.short or tab.title for tab in self._tabs]
        front = [name if tab.name == self._current else "" for tab, name in zip(self._tabs, short, strict=True)]
        for names, gap, most in ((titles, " ", room), (short, " ", width), (short, "", width), (front, " ", width)):
            parts = self._parts(names)
            if sum(map(_length, parts)) + len(gap) * len(parts) <= most:
                return parts, gap
        return self._parts([""] * len(self._tabs)), " "

    def _parts(self, names: Sequence[str]) -> list[list[tuple[str, Tone]]]:
        return [_parts(number, name, tab) for number, (name, tab) in enumerate(zip(names, self._tabs, strict=True), 1)]

    def on_click(self, event: events.Click) -> None:
        for begin, end, name in self._places:
            if begin <= event.x < end:
                self.post_message(self.Picked(name))


def _toned(cell: Cell) -> tuple[str, Tone]:
    return (cell, Tone.PLAIN) if isinstance(cell, str) else cell


def _parts(number: int, title: str, tab: Tab) -> list[tuple[str, Tone]]:
    text, tone = _toned(tab.mark)
    return [(f" {number} {title} " if title else f" {number} ", Tone.PLAIN), (f"{text} " if text else "", tone)]


def _length(parts: list[tuple[str, Tone]]) -> int:
    return sum(cells(text) for text, _ in parts)
