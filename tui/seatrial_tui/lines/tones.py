"""What a piece of text is about; the theme decides how it looks, and the words must do without colour."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from rich.style import Style
from textual.app import App, ReturnType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Tone(StrEnum):
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


class TonedApp(App[ReturnType]):
    """An application whose widgets paint in tones, by its component classes: one style sheet's work, not one for each widget.

    The first of an application's bases, or that base's: Textual takes styles from the first one only.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone--{tone.value}" for tone in Tone}
    DEFAULT_CSS = """
    TonedApp > .tone--plain { color: $foreground; }
    TonedApp > .tone--faint { color: $text-muted; }
    TonedApp > .tone--good { color: $text-success; }
    TonedApp > .tone--warn { color: $text-warning; }
    TonedApp > .tone--bad { color: $text-error; text-style: bold; }
    TonedApp > .tone--accent { color: $text-accent; }
    TonedApp > .tone--head { color: $foreground; text-style: bold; }
    """


class Toned(Widget):
    """A widget that paints in the tones of its ``TonedApp``."""

    _painting = False
    _base: Style | None = None
    _tones: dict[Tone, Style] = {}

    def render_lines(self, crop: Region) -> list[Strip]:
        self._painting = True
        try:
            return super().render_lines(crop) if self.styles.gutter else self._bare_lines(crop)
        finally:
            self._painting = False

    def _bare_lines(self, crop: Region) -> list[Strip]:
        """Lines without border and padding, as most are. Textual looks at each for all that might be around it, which takes as long as
        painting it.
        """
        width, height = self.outer_size.width, self.content_size.height
        strips = [self.render_line(y) if y < height else Strip.blank(width, self.base) for y in crop.line_range]
        strips = [strip.adjust_cell_length(width, self.base) for strip in strips]
        background = self.background_colors[1]
        for each in self.get_line_filters():
            strips = [strip.apply_filter(each, background) for strip in strips]
        return strips if crop.column_span == (0, width) else [strip.crop(*crop.column_span) for strip in strips]

    def placed(self, strip: Strip, x: int, y: int) -> Strip:
        """A line that begins at ``x`` of line ``y``: the mouse asks for that. Each time it is painted it would cost as much again."""
        return strip if self._painting else strip.apply_offsets(x, y)

    @property
    def base(self) -> Style:
        """How it looks where it says nothing. Remembered until the theme changes, as ``tone``: Textual asks all widgets that it is in."""
        if self._base is None:
            self._base = self.rich_style
        return self._base

    def tone(self, tone: Tone) -> Style:
        """How that tone looks here and now."""
        if tone not in self._tones:
            self._tones = {each: self._look(each) for each in Tone}
        return self._tones[tone]

    def _look(self, tone: Tone) -> Style:
        styles, background = self.app.get_component_styles(f"tone--{tone.value}"), self.background_colors[1]
        color = background.get_contrast_text(styles.color.a) if styles.auto_color else styles.color
        return self.base + Style.from_color((background + color).rich_color) + styles.text_style

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._base, self._tones = None, {}
