"""The user's own keys: ``[ui.keys]`` held against the commands that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from textual.binding import Binding, Keymap
from textual.dom import DOMNode
from textual.keys import KEY_ALIASES, KEY_NAME_REPLACEMENTS, Keys

_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_NAMED = {key.value for key in Keys} | set(KEY_ALIASES) | set(KEY_NAME_REPLACEMENTS.values())
_SHIFTED = "a capital letter stands for itself: shift+g is G"


class Mapped(NamedTuple):
    """What is to be mapped, and what was wrong with the rest: a line each."""

    keymap: Keymap
    complaints: list[str]


def commands(*owners: type[DOMNode]) -> dict[str, str]:
    """Name and description of every command of these classes that may get other keys."""
    bindings = [each for owner in owners for base in owner.__mro__ for each in base.__dict__.get("BINDINGS", ())]
    return {each.id: each.description for each in bindings if isinstance(each, Binding) and each.id}


def mapped(keys: Mapping[str, str], known: Iterable[str]) -> Mapped:
    """Take what fits. A key is a character or a name (``f5``, ``enter``), also behind ``ctrl+`` and the like; several with commas."""
    names, keymap, complaints = sorted(known), dict[str, str](), list[str]()
    for command, wanted in keys.items():
        if command not in names:
            nearest = difflib.get_close_matches(command, names, n=1)
            complaints.append(f"ui.keys: there is no command {command!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else ""))
        elif wrong := [key for key in wanted.split(",") if not _is_key(key.strip())]:
            complaints.append(f"ui.keys: {command}: {wrong[0]!r} is no key; such as p, f5, ctrl+g, or several with commas; {_SHIFTED}")
        else:
            keymap[command] = wanted
    return Mapped(keymap, complaints)


def _is_key(text: str) -> bool:
    *modifiers, key = text.split("+") if len(text) > 1 else [text]
    if not _MODIFIERS.issuperset(modifiers) or ("shift" in modifiers and len(key) == 1):
        return False
    return (len(key) == 1 and key.isprintable()) or key.lower() in _NAMED
