"""Items, tombstones, and which of two is newer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from seatrial.clock import SYSTEM_CLOCK
from seatrial.cluster.errors import InvalidExpirationError, InvalidKeyError, NilValueError


def wall_s() -> float:
    """Seconds since the epoch, as items carry them."""
    return SYSTEM_CLOCK.now_ns() / 1e9


def encoded_size(value: Any) -> int:
    """Bytes of a value on the wire, for accounting: bytes and text as they are, else compact JSON; 0 for what JSON cannot hold."""
    if isinstance(value, bytes | bytearray | memoryview):
        return len(value)
    if isinstance(value, str):
        return len(value.encode())
    try:
        return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
    except (TypeError, ValueError):
        return 0


@dataclass(slots=True)
class Item:
    """A key's value and its bookkeeping. Times are seconds: ``expiration`` of idleness (0 never), the others since the epoch (0 unset)."""

    key: str
    value: Any = None
    expiration: float = 0.0
    version: int = 0
    origin: str = ""
    last_access: float = 0.0
    last_updated: float = 0.0
    size: int = 0
    access_count: int = 0

    def valid(self) -> None:
        """Raises InvalidKeyError, NilValueError or InvalidExpirationError, in this order."""
        if not self.key or self.key.isspace():
            raise InvalidKeyError
        if self.value is None:
            raise NilValueError
        if self.expiration < 0:
            self.expiration = 0.0
            raise InvalidExpirationError

    def expired(self, now: float | None = None) -> bool:
        """Whether it has been idle for longer than it may; never while ``last_access`` is unset."""
        if self.expiration <= 0 or self.last_access == 0:
            return False
        return (wall_s() if now is None else now) - self.last_access > self.expiration

    def touch(self) -> None:
        """Note an access: extends its life."""
        self.last_access = wall_s()
        self.access_count += 1

    def set_size(self) -> None:
        """Work out ``size``: what ``size_bytes()`` of the value says, else its encoded length."""
        size_bytes = getattr(self.value, "size_bytes", None)
        self.size = int(size_bytes()) if callable(size_bytes) else encoded_size(self.value)

    def clone(self) -> Item:
        """A copy that shares the value."""
        return Item(
            self.key,
            self.value,
            self.expiration,
            self.version,
            self.origin,
            self.last_access,
            self.last_updated,
            self.size,
            self.access_count,
        )


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deletion; ``at`` is in monotonic seconds of the node that holds it."""

    version: int
    origin: str
    at: float


Entry = tuple[Item | None, Tombstone | None]
"""What a node holds of a key: an item, a tombstone, or neither."""


def newer(x: Item, y: Item) -> bool:
    """Whether ``x`` beats ``y``: by version, then by the smaller origin."""
    return x.version > y.version or (x.version == y.version and x.origin < y.origin)


is_higher_version = newer
"""The repair queue's word for the same order."""


def choose_newer(a: Item | None, b: Item | None) -> tuple[Item | None, int, int]:
    """The winner, and what to add to ``version_conflicts`` and ``version_tie_breaks``."""
    if a is None or b is None:
        return (b if a is None else a), 0, 0
    if a.version != b.version:
        return (a if a.version > b.version else b), 1, 0
    if a.origin != b.origin:
        return (a if a.origin < b.origin else b), 1, 1
    return a, 0, 0
