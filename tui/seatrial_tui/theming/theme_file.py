"""One theme out of one TOML file, or why it is none: file, line, reason."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import tomli
from textual.color import Color, ColorParseError
from textual.theme import Theme

from seatrial.errors import UsageError

COLOURS = ("primary", "secondary", "accent", "foreground", "background", "surface", "panel", "warning", "error", "success")
REQUIRED = ("name", "dark", *COLOURS)
OPTIONAL = ("ansi", "variables")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ALPHA = re.compile(r"\s+\d{1,3}%$")
_BLACK, _WHITE = "ansi_black", "ansi_white"
_STYLES = frozenset({"none", "bold", "dim", "italic", "underline", "reverse", "strike", "blink"})


def read_theme(text: str, where: str) -> Theme:
    """The theme that ``text`` describes; ``where`` is its file. Raises ``UsageError`` with line and remedy."""
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise UsageError(f"not TOML: {error.msg}", where=f"{where}, line {error.lineno}", remedy="correct that line") from error
    found = _Reader(text, where, data)
    return found.theme()


class _Reader:
    """Checks one file's values. Threading: one owner."""

    def __init__(self, text: str, where: str, data: dict[str, Any]) -> None:
        self._lines, self._where, self._data = text.splitlines(), where, data

    def theme(self) -> Theme:
        self._check_keys(self._data, (*REQUIRED, *OPTIONAL))
        for key in REQUIRED:
            if key not in self._data:
                raise UsageError(
                    f"the theme has no {key!r}", where=self._where, remedy=f"add it: {key} = ...; docs/themes.md says what for"
                )
        name, dark, ansi = self._data["name"], self._flag("dark"), self._flag("ansi")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self._bad("name", f"{name!r} is no name of a theme", "use small letters, digits and dashes")
        settings: dict[str, Any] = {"name": name, "dark": dark, "ansi": ansi, "boost": "ansi_default" if ansi else None}
        settings |= {key: self._colour(key, self._data[key]) for key in COLOURS}
        ground = {"ansi-background": _BLACK, "ansi-foreground": _WHITE} if dark else {"ansi-background": _WHITE, "ansi-foreground": _BLACK}
        own = ground if ansi else {}  # Textual derives all others, and needs these two
        return Theme(**settings, variables=own | self._variables(Theme(**settings, variables=own)))

    def _flag(self, key: str) -> bool:
        value = self._data.get(key, False)
        if not isinstance(value, bool):
            raise self._bad(key, f"{value!r} is neither true nor false", "write true or false, without quotes")
        return value

    def _colour(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._bad(key, f"{value!r} is no colour", 'write it as "#rrggbb" or by name, in quotes')
        try:
            Color.parse(_ALPHA.sub("", value))
        except ColorParseError as error:
            nearest = f'did you mean "{error.suggested_color}"?' if error.suggested_color else 'write it as "#rrggbb" or by name'
            raise self._bad(key, f"{value!r} is no colour", nearest) from error
        return value

    def _variables(self, theme: Theme) -> dict[str, str]:
        """What the theme sets beside its ten colours: only what the stylesheet knows, so that nothing can break it."""
        table = self._data.get("variables", {})
        if not isinstance(table, dict):
            raise self._bad("variables", "it is no table", "write [variables] and a line for each")
        known = theme.to_color_system().generate() | theme.variables
        self._check_keys(table, known)
        return {key: self._style(key, value) if key.endswith("-style") else self._colour(key, value) for key, value in table.items()}

    def _style(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.split() or not _STYLES.issuperset(value.split()):
            raise self._bad(key, f"{value!r} is no text style", f"one or several of {', '.join(sorted(_STYLES))}")
        return value

    def _check_keys(self, table: dict[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        for key in table:
            if key not in names:
                nearest = difflib.get_close_matches(key, names, n=1)
                remedy = f"did you mean {nearest[0]!r}?" if nearest else "docs/themes.md lists the keys"
                raise self._bad(key, f"unknown key {key!r}", remedy)

    def _bad(self, key: str, what: str, remedy: str) -> UsageError:
        pattern = re.compile(rf"\s*\[?[\"']?{re.escape(key)}[\"']?\s*[=\].]")
        line = next((f", line {number}" for number, line in enumerate(self._lines, 1) if pattern.match(line)), "")
        return UsageError(what, where=f"{self._where}{line}: {key}", remedy=remedy)
