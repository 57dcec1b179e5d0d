"""The line of keys at the foot of a screen. It begins with those that everybody needs, so that 80 columns do not cut them off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.binding import ActiveBinding
from textual.reactive import Reactive
from textual.screen import Screen, ScreenResultType
from textual.strip import Strip
from textual.widget import Widget

from seatrial.report.prose import cells
from seatrial_tui.screens.painting import SparingCompositor

FIRST = ("help", "quit")
"""Names of the commands."""


class KeysFirst(Screen[ScreenResultType]):
    """Puts ``FIRST`` before the keys of the pane in front."""

    # Textual paints the whole screen anew when another widget has the keys. Those two that have changed paint themselves.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self._compositor = SparingCompositor()

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        found = super().active_bindings
        first = {key: each for name in FIRST for key, each in found.items() if each.binding.id == name}
        return first | found


class Entry(NamedTuple):
    """One entry of the line."""

    key: str
    shown: str
    """The key as a person knows it."""
    text: str
    enabled: bool


class KeyLine(Widget):
    """The keys that work here and now; a click presses one. Entries that do not fit are left out, whole.

    In place of Textual's ``Footer``, which makes a widget of each key anew and has the screen laid out again whenever another widget has
    the keys: a tenth of a second for each change of the pane.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-line--key", "key-line--text", "key-line--off"}
    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; width: 1fr; color: $footer-foreground; background: $footer-background; }
    KeyLine > .key-line--key { color: $footer-key-foreground; background: $footer-key-background; text-style: bold; }
    KeyLine > .key-line--text { color: $footer-description-foreground; background: $footer-description-background; }
    KeyLine > .key-line--off { color: $footer-description-foreground; background: $footer-description-background; text-style: dim; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[Entry] = ()
        self._places: list[tuple[int, int, Entry]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._look)

    def _look(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        entries = [*self._found(screen)]
        if entries != self._entries:
            self._entries = entries
            self.refresh()

    def _found(self, screen: Screen[object]) -> Iterator[Entry]:
        """By action: several keys that do the same are one entry."""
        seen = set[str]()
        for each in screen.active_bindings.values():
            binding = each.binding
            if binding.show and binding.action not in seen:
                seen.add(binding.action)
                yield Entry(binding.key, self.app.get_key_display(binding), binding.description, each.enabled)

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        looks = {name: base + self.get_component_rich_style(f"key-line--{name}") for name in ("key", "text", "off")}
        segments, self._places, x = list[Segment](), [], 1
        for entry in self._entries:
            end = x + cells(entry.shown) + 1 + cells(entry.text)
            if end > width:
                break
            self._places.append((x, end, entry))
            segments += [
                Segment(" " if x == 1 else "  ", base),
                Segment(entry.shown, looks["key" if entry.enabled else "off"]),
                Segment(f" {entry.text}", looks["text" if entry.enabled else "off"]),
            ]
            x = end + 2
        return Strip(segments).adjust_cell_length(width, base)

    def on_click(self, event: events.Click) -> None:
        for begin, end, entry in self._places:
            if begin <= event.x < end and entry.enabled:
                self.app.simulate_key(entry.key)


def footer() -> KeyLine:
    """The line of keys."""
    return KeyLine()
