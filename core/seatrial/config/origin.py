"""Where a value came from: which layer, and which line of its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import tomli

Path = tuple[str, ...]
"""Keys from the root of the configuration."""
Table = dict[str, object]

DEPTH_MAX = 16
"""Levels of tables; the deepest key of ours has five."""
_STATEMENT_LINES_MAX = 200
"""Lines of one value, beyond which line numbers are given up: finding its end costs their square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One layer's word on one key."""

    label: str
    """For people: ``built in``, ``<file>:<line>``, ``environment SEATRIAL_X``, ``--set``, ``default``."""
    where: str
    """For an error: as ``label``, but with file and line for ``built in`` too."""
    text: str | None = None
    """What was typed, where a value was typed rather than read from a file."""


BUILT_IN = "built in"
DEFAULT = Origin(label="default", where="default")


def leaves(tree: Mapping[str, object]) -> Iterator[tuple[Path, object]]:
    """Every value that is no table, and every empty table, with its path. ``ValueError`` below ``DEPTH_MAX`` levels."""
    stack: list[tuple[Path, object]] = [((), tree)]
    while stack:
        path, value = stack.pop()
        if len(path) > DEPTH_MAX:
            raise ValueError(f"tables are nested more than {DEPTH_MAX} deep")
        if isinstance(value, Mapping) and value:
            stack.extend(((*path, key), value[key]) for key in reversed(value))
        elif path:
            yield path, value


def lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each key and table header of a TOML document that parses.

    A statement is as many lines as it takes until they parse alone, so that the library decides what quotes and brackets mean.
    """
    found: dict[Path, int] = {}
    header: Path = ()
    rows = text.replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(rows):
        statement, used = _statement(rows, at)
        if statement is None:
            return found
        for path, _ in leaves(statement):
            if rows[at].lstrip().startswith("["):
                header = path
                found.setdefault(header, at + 1)
            else:
                found[header + path] = at + 1
        at += used
    return found


def _statement(rows: list[str], at: int) -> tuple[Table | None, int]:
    for used in range(1, min(len(rows) - at, _STATEMENT_LINES_MAX) + 1):
        try:
            return tomli.loads("\n".join(rows[at : at + used])), used
        except ValueError:
            continue
    return None, 0
