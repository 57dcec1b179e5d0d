"""The keys of every table."""

from __future__ import annotations

from collections.abc import Sequence

from textual.binding import Binding

KEYS: Sequence[Binding] = (
    Binding("up,k", "move(-1)", "Up", show=False, id="table-up"),
    Binding("down,j", "move(1)", "Down", show=False, id="table-down"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="table-page-up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="table-page-down"),
    Binding("home,g", "go(0)", "First row", show=False, id="table-first"),
    Binding("end,G", "go(-1)", "Last row", show=False, id="table-last"),
    Binding("left", "scroll_left", "Scroll left", show=False, id="table-left"),
    Binding("right", "scroll_right", "Scroll right", show=False, id="table-right"),
    Binding("enter", "choose", "Open", show=False, id="table-choose"),
    Binding("slash", "ask_filter", "Filter", key_display="/", id="table-filter"),
    Binding("escape", "clear_filter", "Clear the filter", show=False, id="table-clear-filter"),
    Binding("s", "sort_next", "Sort", id="table-sort"),
    Binding("S", "sort_reverse", "Reverse the order", show=False, id="table-reverse"),
)
