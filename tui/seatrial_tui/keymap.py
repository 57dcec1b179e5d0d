"""The user's own keys: ``[ui.keys]`` held against the commands that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
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


class Command(NamedTuple):
    """What a key does, unless the user wants another one for it."""

    description: str
    keys: str
    owners: frozenset[type[DOMNode]]
    """In each of them a key has one meaning."""


def commands(*owners: type[DOMNode]) -> dict[str, Command]:
    """Every command of these classes that may get other keys, by name."""
    known = dict[str, Command]()
    for owner in owners:
        for each in (each for base in owner.__mro__ for each in base.__dict__.get("BINDINGS", ())):
            if isinstance(each, Binding) and each.id:
                before = known[each.id].owners if each.id in known else frozenset[type[DOMNode]]()
                known[each.id] = Command(each.description, each.key, before | {owner})
    return known


def mapped(keys: Mapping[str, str], known: Mapping[str, Command]) -> Mapped:
    """Take what fits. A key is a character or a name (``f5``, ``enter``), also behind ``ctrl+`` and the like; several with commas.

    One that does something else in the same place is not taken, unless that gets another key too.
    """
    names, keymap, complaints = sorted(known), dict[str, str](), list[str]()
    for command, wanted in keys.items():
        if command not in names:
            nearest = difflib.get_close_matches(command, names, n=1)
            complaints.append(f"ui.keys: there is no command {command!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else ""))
        elif wrong := [key for key in wanted.split(",") if not _is_key(key.strip())]:
            complaints.append(f"ui.keys: {command}: {wrong[0]!r} is no key; such as p, f5, ctrl+g, or several with commas; {_SHIFTED}")
        else:
            keymap[command] = wanted
    while clash := next(_clashes(keymap, known), None):
        command, key, other = clash
        complaints.append(f"ui.keys: {command}: {key!r} is the key of {other}; give that one another key too")
        del keymap[command]  # which may let others clash, with the key it has by itself
    return Mapped(keymap, complaints)


def _clashes(keymap: Keymap, known: Mapping[str, Command]) -> Iterator[tuple[str, str, str]]:
    """Command, key, and the command that has it already."""
    keys = {name: _normal(keymap.get(name, command.keys)) for name, command in known.items()}
    for name in keymap:
        for other, command in known.items():
            if other != name and command.owners & known[name].owners and (both := keys[name] & keys[other]):
                yield name, min(both), other


def _normal(keys: str) -> set[str]:
    """Each by its name, as Textual has it."""
    return {binding.key for binding in Binding.make_bindings([Binding(keys, "")])}


def _is_key(text: str) -> bool:
    *modifiers, key = text.split("+") if len(text) > 1 else [text]
    if not _MODIFIERS.issuperset(modifiers) or ("shift" in modifiers and len(key) == 1):
        return False
    return (len(key) == 1 and key.isprintable()) or key.lower() in _NAMED
