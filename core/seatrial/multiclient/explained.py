"""A difference between two trees, the gravest first, with the reason where the file's own content tells it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seatrial.checker.compare import DamageKind, Difference
from seatrial.checker.mismatch import Damage

_METADATA = frozenset({DamageKind.MODE, DamageKind.OWNER, DamageKind.XATTR, DamageKind.MTIME, DamageKind.HARDLINK})
"""A lost file changes its directory's time as well: what happened to content is said first."""


def explained(differences: Iterable[Difference], restored: Path) -> list[Damage]:
    """Damages for a person."""
    ordered = sorted(differences, key=lambda difference: difference.damage in _METADATA)
    return [_damage(difference, restored) for difference in ordered]


def _damage(difference: Difference, restored: Path) -> Damage:
    return Damage(path=difference.path, kind=difference.damage.value, expected=difference.expected, actual=difference.actual)
