"""A screen whose footer begins with the keys that everybody needs, so that 80 columns do not cut them off."""

from __future__ import annotations

from textual.binding import ActiveBinding
from textual.screen import Screen, ScreenResultType
from textual.widgets import Footer

FIRST = ("help", "quit")
"""Names of the commands."""


class KeysFirst(Screen[ScreenResultType]):
    """Puts ``FIRST`` before the keys of the pane in front."""

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        found = super().active_bindings
        first = {key: each for name in FIRST for key, each in found.items() if each.binding.id == name}
        return first | found


def footer() -> Footer:
    """The line of keys."""
    return Footer(show_command_palette=False, compact=True)
