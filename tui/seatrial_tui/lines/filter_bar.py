"""The line in which a filter is typed, at the bottom of what it filters."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class FilterBar(Horizontal):
    """Asks for a regular expression while it is mounted: ``Changed`` with each key, ``Closed`` once."""

    DEFAULT_CSS = """
    FilterBar { dock: bottom; height: 1; width: 1fr; background: $surface; }
    FilterBar > Static { width: auto; color: $text-muted; }
    FilterBar > Input { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    FilterBar > Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close(False)", "Clear", id="filter-clear"),
        Binding("up,down", "close(True)", "Back to the table", show=False, id="filter-leave"),
    ]

    class Changed(Message):
        """The pattern, as far as it is typed."""

        def __init__(self, pattern: str) -> None:
            super().__init__()
            self.pattern = pattern

    class Closed(Message):
        """Done; ``keep`` the filter or clear it."""

        def __init__(self, *, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern
        self._note = Static("", markup=False)
        self._told = False

    def compose(self) -> ComposeResult:
        yield Static("/", markup=False)
        yield Input(self._pattern, placeholder="regular expression; ! in front inverts", select_on_focus=False, compact=True)
        yield self._note

    def on_mount(self) -> None:
        self.screen.set_focus(self.query_one(Input))  # at once: whoever waits until it is mounted can type

    def note(self, text: str) -> None:
        """What to say at its end: how many match, or what is wrong."""
        self._note.update(f" {text}")

    def action_close(self, keep: bool) -> None:
        self._tell(keep=keep)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._tell(keep=True)

    def _tell(self, *, keep: bool) -> None:
        if not self._told:
            self._told = True
            self.post_message(self.Closed(keep=keep))
