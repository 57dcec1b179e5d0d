"""What all panes have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import msgspec
from textual.content import ContentType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from seatrial_tui.source.moment import Moment, RunSource

Value = str | int | float | bool | None


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A table as data: what CSV and JSON are made of. Sizes in bytes, durations in seconds, times in nanoseconds."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]


class _OnTheBorder:
    """A title. Textual's own has the whole widget painted anew, whatever it is set to: here the same again costs nothing, another
    one the two lines of the border. A pane says what it counts several times a second.
    """

    def __init__(self, of_textual: Any) -> None:
        self._of_textual = of_textual

    def __set_name__(self, owner: type[Pane], name: str) -> None:
        self._told = f"_told_{name}"

    def __get__(self, pane: Pane, owner: type[Pane] | None = None) -> str | None:
        title: str | None = self._of_textual.__get__(pane, owner)
        return title

    def __set__(self, pane: Pane, title: ContentType | None) -> None:
        if getattr(pane, self._told, None) == title:
            return
        setattr(pane, self._told, title)
        with pane.only_its_edges(top_and_bottom=True):
            self._of_textual.__set__(pane, title)


class Pane(Widget):
    """One view of the run. The application calls ``show`` a few times a second, and only while the pane can be seen.

    A pane repaints what has changed and nothing else: rows of a view are the same objects where nothing changed, so ``is`` tells.
    """

    DEFAULT_CSS = """
    Pane { border: round $panel-lighten-2; border-title-color: $text-muted; border-subtitle-color: $text-muted; padding: 0 1; }
    Pane:focus-within { border: round $accent; border-title-color: $accent; }
    """

    NAME: ClassVar[str]
    """Its id and its name in commands: ``clients``."""
    TITLE: ClassVar[str]
    """On its border and its tab: ``Clients``."""
    HELP: ClassVar[str]
    """What it shows and how to read it, a few lines of plain text; the keys are added from its bindings."""
    ALLOW_MAXIMIZE = True

    border_title = _OnTheBorder(vars(Widget)["border_title"])
    border_subtitle = _OnTheBorder(vars(Widget)["border_subtitle"])

    def __init__(self, run: RunSource) -> None:
        self._edges = 0
        super().__init__(id=self.NAME)
        self.run = run
        self.border_title = self.TITLE

    def show(self, moment: Moment) -> None:
        """Show this moment."""
        raise NotImplementedError

    @contextmanager
    def only_its_edges(self, *, top_and_bottom: bool = False) -> Iterator[None]:
        """Whatever Textual has painted anew here meanwhile, it is no more of this pane than its border."""
        self._edges = 2 if top_and_bottom else 4
        try:
            yield
        finally:
            self._edges = 0

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        if self._edges:
            offset, (width, height) = self.content_offset, self.outer_size
            edges = (
                Region(0, 0, width, 1),
                Region(0, max(0, height - 1), width, 1),
                Region(0, 0, 1, height),
                Region(max(0, width - 1), 0, 1, height),
            )
            regions = tuple(edge.translate((-offset.x, -offset.y)) for edge in edges[: self._edges])
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_lines(self, crop: Region) -> list[Strip]:
        """A pane paints its border and what is behind its widgets: between the first and the last line each is as the other."""
        last = self.outer_size.height - 1
        needed = [_alike(y, last) for y in crop.line_range]
        painted = {y: super(Pane, self).render_lines(Region(crop.x, y, crop.width, 1))[0] for y in set(needed)}
        return [painted[y] for y in needed]

    def export(self) -> Exported | None:
        """What it shows as a table; None where it shows none."""
        return None


def _alike(y: int, last: int) -> int:
    """The line that looks as the one at ``y``."""
    return min(y, 1) if y < last else y
