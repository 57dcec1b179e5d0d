"""How many of a key's owners must acknowledge a write, or answer a read: what the settings promise and what the cluster does."""

from __future__ import annotations

from enum import IntEnum


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
