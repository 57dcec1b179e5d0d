"""A difference between two trees, with the reason where the file's own content tells it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seatrial.checker.compare import Difference
from seatrial.checker.mismatch import Damage


def explained(differences: Iterable[Difference], restored: Path) -> list[Damage]:
    """Damages for a person."""
    return [
        Damage(path=difference.path, kind=difference.damage.value, expected=difference.expected, actual=difference.actual)
        for difference in differences
    ]
