"""What all panes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual.widget import Widget

from seatrial_tui.source.moment import Moment, RunSource

Value = str | int | float | bool | None


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A table as data: what CSV and JSON are made of. Sizes in bytes, durations in seconds, times in nanoseconds."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]


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

    def __init__(self, run: RunSource) -> None:
        super().__init__(id=self.NAME)
        self.run = run
        self.border_title = self.TITLE

    def show(self, moment: Moment) -> None:
        """Show this moment."""
        raise NotImplementedError

    def export(self) -> Exported | None:
        """What it shows as a table; None where it shows none."""
        return None
