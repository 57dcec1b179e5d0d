"""How many owners must answer, and what a peer says of a write."""

from __future__ import annotations

from enum import Enum, IntEnum


class Consistency(IntEnum):
    """How many owners a read or a write needs; ``str`` is the name."""

    ONE = 0
    QUORUM = 1
    ALL = 2

    def __str__(self) -> str:
        return self.name


def required_acks(total: int, level: Consistency) -> int:
    """Owners of ``total`` that ``level`` needs."""
    if level == Consistency.QUORUM:
        return total // 2 + 1
    return total if level == Consistency.ALL else 1


class ApplyResult(Enum):
    """What became of an item that a peer sent."""

    APPLIED = "applied"
    """Stored, or the same was there already."""
    STALE = "stale"
    """Something newer is there."""
    REFUSED = "refused"
    """The receiver is no owner by its own ring."""
