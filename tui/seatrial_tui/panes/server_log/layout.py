"""Lines of a log as rows of a screen. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

import msgspec
from rich.cells import cell_len, get_character_cell_size

from seatrial_tui.lines.tones import Tone
from seatrial_tui.log.lines import Level, LogLine

GUTTER = 2
"""Cells before each line: the sign of its level."""
SIGNS = {Level.ERROR: "✖", Level.WARNING: "▲", Level.INFO: " ", Level.DEBUG: "·", Level.NONE: " "}
TONES = {Level.ERROR: Tone.BAD, Level.WARNING: Tone.WARN, Level.INFO: Tone.PLAIN, Level.DEBUG: Tone.FAINT, Level.NONE: Tone.PLAIN}
MARK = "▶"


class Stamps(Enum):
    """What is shown of the timestamps."""

    CLOCK = "time of day"
    FULL = "date and time"
    NONE = "no timestamps"


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the screen: a line, or a part of it where lines are wrapped."""

    place: int
    """In the listing."""
    line: LogLine | None
    """None: not in memory yet."""
    text: str = ""
    """All that is shown of the line."""
    stamp: int = 0
    """So many characters of ``text`` are the timestamp."""
    begin: int = 0
    end: int = 0
    """The part of ``text`` in this row."""


def shown_text(line: LogLine, stamps: Stamps) -> tuple[str, int]:
    """What is shown of a line, and how many characters of that are its timestamp."""
    cut = {Stamps.CLOCK: line.clock_at, Stamps.FULL: 0, Stamps.NONE: line.message_at}[stamps]
    return line.text[cut:], line.message_at - cut


def rows_of(place: int, line: LogLine | None, stamps: Stamps, width: int | None) -> Sequence[Row]:
    """The rows of one line, in a width of cells, or as long as it is."""
    if line is None:
        return (Row(place=place, line=None),)
    text, stamp = shown_text(line, stamps)
    breaks = [0, len(text)] if width is None else wrap(text, width)
    return [Row(place=place, line=line, text=text, stamp=stamp, begin=begin, end=end) for begin, end in pairwise(breaks)]


def fitting(lines: Sequence[LogLine | None], stamps: Stamps, width: int, page: int) -> int:
    """How many of the last of these lines fit into ``page`` rows, each to its end; at least one, if there is one."""
    rows = 0
    for count, line in enumerate(reversed(lines)):
        rows += len(rows_of(0, line, stamps, width))
        if rows > page:
            return max(1, count)
    return len(lines)


def wrap(text: str, width: int) -> list[int]:
    """Where rows of at most ``width`` cells begin, and the end: anywhere, as logs are read, not at blanks."""
    width = max(2, width)
    if text.isascii():
        return [*range(0, max(1, len(text)), width), len(text)]
    breaks, used = [0], 0
    for position, character in enumerate(text):
        cells = get_character_cell_size(character)
        if used + cells > width:
            breaks.append(position)
            used = 0
        used += cells
    return [*breaks, len(text)]


def characters_in(text: str, cells: int) -> int:
    """How many characters stand in the first ``cells`` cells of ``text``."""
    if cells <= 0 or text.isascii():
        return max(0, min(cells, len(text)))
    used = 0
    for position, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > cells:
            return position
    return len(text)


def cells_of(text: str) -> int:
    """Its width."""
    return len(text) if text.isascii() else cell_len(text)
