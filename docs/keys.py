"""The tables of keys in ``dashboard.md``, made from what the dashboard really binds: ``python -m docs.keys`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, key_to_character

from seatrial_tui.app import Dashboard
from seatrial_tui.lines.table import LineTable
from seatrial_tui.panes.pane import Pane
from seatrial_tui.panes.server_log.pane import ServerLogPane
from seatrial_tui.panes.server_log.view import LogView
from seatrial_tui.screens.client import ClientScreen
from seatrial_tui.screens.finding import FindingScreen
from seatrial_tui.screens.run import LEFT, RIGHT, RunScreen

PAGE = Path(__file__).parent / "dashboard.md"
BEGIN, END = "<!-- keys -->", "<!-- end of keys -->"
GROUPS: Sequence[tuple[str, Sequence[type[DOMNode]]]] = (
    ("Everywhere", (Dashboard,)),
    ("In the dashboard of a run", (RunScreen,)),
    ("In every table", (LineTable,)),
    *((pane.TITLE, (LogView, pane) if pane is ServerLogPane else (pane,)) for pane in (*LEFT, *RIGHT)),
    ("One client", (ClientScreen,)),
    ("One finding", (FindingScreen,)),
)
_LONG_NAMES = {short: long for long, short in KEY_NAME_REPLACEMENTS.items()}
_NUMBER = re.compile(r"\d+$")


def tables() -> str:
    """All of them, by where the keys work, in the form of the page."""
    parts = []
    for title, owners in GROUPS:
        rows = [*_rows(binding for owner in owners for binding in _own(owner))]
        if rows:
            parts.append("\n".join([f"| {title} | | name |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def page(text: str) -> str:
    """The page with the tables as they must be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _own(owner: type[DOMNode]) -> Iterator[Binding]:
    ours = [base for base in owner.__mro__ if base.__module__.startswith("seatrial_tui.") and base is not Pane]
    for base in ours:
        yield from (each for each in base.__dict__.get("BINDINGS", ()) if isinstance(each, Binding) and each.id)


def _rows(bindings: Iterator[Binding]) -> Iterator[str]:
    """One line for each command; those that differ by a number only, as the panes, are one."""
    for _, several in groupby(bindings, lambda each: _NUMBER.sub("", str(each.id))):
        first, *others = several
        if others and _NUMBER.search(str(first.id)):
            last = others[-1]
            what = ", ".join(each.description for each in (first, *others))
            yield f"| {_keys(first)} to {_keys(last)} | {what} | `{first.id}` to `{last.id}` |"
        else:
            yield from (f"| {_keys(each)} | {each.description} | `{each.id}` |" for each in (first, *others))


def _keys(binding: Binding) -> str:
    return " ".join(f"`{_shown(key.strip())}`" for key in binding.key.split(","))


def _shown(key: str) -> str:
    """As a person knows it: ``?``, ``space``, ``ctrl+g``."""
    character = None if "+" in key else key_to_character(_LONG_NAMES.get(key, key))
    return character if character and character.isprintable() and character != " " else key


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
