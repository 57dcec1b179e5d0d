"""A difference between two trees, the gravest first, with the reason where the file's own content tells it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from seatrial.checker.compare import METADATA, DamageKind, Difference
from seatrial.checker.mismatch import Damage
from seatrial.checker.nodes import from_printable
from seatrial.workload.explain import Damage as ContentDamage
from seatrial.workload.explain import explain
from seatrial.workload.original import Expected

MAX_EXPLAINED = 5
"""Files whose content is explained; a search for an original can take seconds, and the first few tell what happened."""
_CONTENT = frozenset({DamageKind.CONTENT, DamageKind.SIZE})

_TWO_READINGS = "at the first reading it was not: the target still wrote after its restore had ended, or the disk or the memory is faulty"


def explained(differences: Iterable[Difference], restored: Path) -> list[Damage]:
    """Damages for a person; ``restored`` is the directory that was compared."""
    ordered = sorted(differences, key=lambda difference: (difference.damage is DamageKind.MORE, difference.damage in METADATA))
    return list(_damages(ordered, restored))


def _damages(differences: Iterable[Difference], restored: Path) -> Iterator[Damage]:
    left = MAX_EXPLAINED
    for difference in differences:
        kind: str = difference.damage.value
        lines: tuple[str, ...] = ()
        if difference.damage in _CONTENT and difference.entry is not None and left:
            left -= 1
            kind, lines = _content(difference, restored) or (kind, lines)
        yield Damage(path=difference.path, kind=kind, expected=difference.expected, actual=difference.actual, lines=lines)


def _content(difference: Difference, restored: Path) -> tuple[str, tuple[str, ...]] | None:
    """What happened to the content, and lines for a person; None for what is no file."""
    entry, raw = difference.entry, from_printable(difference.path)
    if entry is None or not isinstance(entry.reference, bytes):
        return None
    try:
        found = explain(restored / os.fsdecode(raw), Expected(path=raw, size=entry.size, content_hash=entry.reference))
    except OSError as error:
        return difference.damage.value, (f"its content cannot be read again: {error.strerror}",)
    if found.damage is ContentDamage.INTACT:
        return difference.damage.value, (*found.lines, _TWO_READINGS)
    return found.damage.value, found.lines
