"""What a piece of text is about; the theme decides how it looks, and the words must do without colour."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Tone(Enum):
    """The tones there are."""

    PLAIN = "plain"
    FAINT = "faint"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    ACCENT = "accent"
    HEAD = "head"


Cell = str | tuple[str, Tone]
"""Plain text, or text with its tone. Never markup; no control characters (``seatrial.report.prose.plain``)."""


class Toned(Widget):
    """A widget that paints in tones, by its component classes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone--{tone.value}" for tone in Tone}
    DEFAULT_CSS = """
    Toned > .tone--plain { color: $foreground; }
    Toned > .tone--faint { color: $text-muted; }
    Toned > .tone--good { color: $text-success; }
    Toned > .tone--warn { color: $text-warning; }
    Toned > .tone--bad { color: $text-error; text-style: bold; }
    Toned > .tone--accent { color: $text-accent; }
    Toned > .tone--head { color: $foreground; text-style: bold; }
    """

    _painting = False

    def render_lines(self, crop: Region) -> list[Strip]:
        self._painting = True
        try:
            return super().render_lines(crop)
        finally:
            self._painting = False

    def placed(self, strip: Strip, x: int, y: int) -> Strip:
        """A line that begins at ``x`` of line ``y``: the mouse asks for that. Each time it is painted it would cost as much again."""
        return strip if self._painting else strip.apply_offsets(x, y)

    def tone(self, tone: Tone) -> Style:
        """How that tone looks here and now. Cached by Textual until the theme changes."""
        return self.get_component_rich_style(f"tone--{tone.value}")
