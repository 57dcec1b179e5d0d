"""Text to read: paragraphs with a label at their side, wrapped to the width there is, scrolled, selected with the mouse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from seatrial.report.prose import cells, pad, shorten
from seatrial_tui.lines.tones import Cell, Tone, Toned

CELLS_MAX = 4_000
"""Of one part of a paragraph: what is longer is cut in its middle. The whole of it is in the journal."""
_NARROWEST = 16
"""Columns for the text beside a label, whatever the width."""


class Paragraph(NamedTuple):
    """Some text, and what stands to its left."""

    parts: Sequence[Cell] = ()
    label: str = ""
    indent: int = 0
    """Columns to the left of the text, for the label or empty."""


def heading(text: str) -> Paragraph:
    """A line above others."""
    return Paragraph(((text, Tone.HEAD),))


def field(label: str, value: Cell, indent: int) -> Paragraph:
    """A label with its value."""
    return Paragraph((value,), f"  {label}", indent)


class Page(Toned, ScrollView, can_focus=True, inherit_bindings=False):
    """Paragraphs. ``Toned`` comes first: Textual inherits styles from the first base only. Threading: the screen's thread only."""

    DEFAULT_CSS = """
    Page { width: 1fr; height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Line up", show=False, id="page-up"),
        Binding("down,j", "scroll_down", "Line down", show=False, id="page-down"),
        Binding("pageup", "page_up", "Page up", show=False, id="page-page-up"),
        Binding("pagedown", "page_down", "Page down", show=False, id="page-page-down"),
        Binding("home,g", "scroll_home", "To the beginning", show=False, id="page-first"),
        Binding("end,G", "scroll_end", "To the end", show=False, id="page-last"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name for it
        super().__init__(id=id)
        self._paragraphs: Sequence[Paragraph] = ()
        self._lines: list[Text] = []
        self._laid_out = 0
        """The width for which the lines are."""
        self._stale = False
        """Other colours than those of the lines: they are asked for when it is painted, because the styles are not there before."""

    def show(self, paragraphs: Iterable[Paragraph]) -> None:
        """Show these; the place to which it was scrolled stays as far as it is there."""
        new = tuple(paragraphs)
        if new != self._paragraphs:
            self._paragraphs = new
            self._lay_out()

    @property
    def text(self) -> str:
        """All of it, as it is wrapped now."""
        return "\n".join(line.plain for line in self._lines)

    def on_resize(self, event: events.Resize) -> None:
        if self._width != self._laid_out:
            self._lay_out()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._stale = True

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _lay_out(self) -> None:
        width = self._laid_out = self._width
        if not width:
            return
        self._break_lines(width)
        self.virtual_size = Size(width, len(self._lines))
        self.refresh()

    def _break_lines(self, width: int) -> None:
        self._stale = False
        self._lines = [line for paragraph in self._paragraphs for line in self._wrapped(paragraph, width)]

    def _wrapped(self, paragraph: Paragraph, width: int) -> Iterable[Text]:
        text = Text(end="")
        for part in paragraph.parts:
            words, tone = (part, Tone.PLAIN) if isinstance(part, str) else part
            text.append(shorten(words, CELLS_MAX), self.tone(tone))
        label = pad(paragraph.label, paragraph.indent)
        faint = self.tone(Tone.FAINT)
        room = max(_NARROWEST, width - cells(label))
        for number, line in enumerate(text.wrap(self.app.console, room, overflow="fold", justify="left") if text.plain else [Text()]):
            line.rstrip()
            yield Text.assemble((label if number == 0 else " " * cells(label), faint), line)

    def render_line(self, y: int) -> Strip:
        if self._stale:
            self._break_lines(self._laid_out)
        at = y + self.scroll_offset.y
        base = self.rich_style
        if at >= len(self._lines):
            return Strip.blank(self.size.width, base)
        line = self._lines[at]
        span = self.text_selection.get_span(at) if self.text_selection is not None else None
        if span is not None:
            line = line.copy()
            line.stylize(self.screen.get_component_rich_style("screen--selection"), span[0], len(line) if span[1] == -1 else span[1])
        strip = Strip(line.render(self.app.console)).apply_style(base)
        return strip.adjust_cell_length(self.size.width, base).apply_offsets(0, at)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract(self.text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
