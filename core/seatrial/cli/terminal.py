"""Where lines go, and what that place can show: colour, width, any characters at all."""

from __future__ import annotations

import os
import shutil
from enum import Enum
from typing import TextIO

from seatrial.report.prose import cells, shorten

LOG_WIDTH = 120
"""Of lines that nobody's terminal bounds: wide enough for a table, narrow enough for a CI page."""
_NARROWEST = 40


class Tone(Enum):
    """What a line is about; the colour only repeats what the words say."""

    PLAIN = ""
    FAINT = "2"
    GOOD = "32"
    WARN = "33"
    BAD = "1;31"
    HEAD = "1"


class Screen:
    """One output stream for people. Threading: one thread writes.

    Colour only on a terminal that wants it: no ``NO_COLOR``, not ``dumb``. Lines are cut to the terminal's width by those who ask
    with ``fit``; a log gets them whole. When the reader has left (a closed pipe, a terminal that hung up) lines go nowhere and
    ``lost`` is set: a run must not die of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = False
        self.terminal = stream.isatty()
        self.colour = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"

    @property
    def width(self) -> int:
        """Columns, now: a terminal may be resized."""
        if not self.terminal:
            return LOG_WIDTH
        return max(_NARROWEST, shutil.get_terminal_size((LOG_WIDTH, 24)).columns)

    def fit(self, text: str) -> str:
        """``text`` cut to the width on a terminal, whole elsewhere."""
        return shorten(text, self.width) if self.terminal and cells(text) > self.width else text

    def line(self, text: str = "", tone: Tone = Tone.PLAIN) -> None:
        """Write one line, at once: a CI log is read while it grows."""
        painted = f"\x1b[{tone.value}m{text}\x1b[0m" if self.colour and tone.value and text else text
        if self.lost:
            return
        try:
            self._stream.write(painted + "\n")
            self._stream.flush()
        except OSError:
            self.lost = True
