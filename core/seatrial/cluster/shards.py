"""What a node holds: items, tombstones, and who owned each key when it came."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from enum import Enum

from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.hashing import shard_index
from seatrial.cluster.items import Entry, Item, Tombstone, encoded_size, newer
from seatrial.cluster.merkle import MerkleEntry
from seatrial.cluster.versions import LamportClock


class Applied(Enum):
    """What an apply did; ``answer`` is what a peer that sent the item is told of it."""

    CHANGED = "changed", ApplyResult.APPLIED
    SAME = "same", ApplyResult.APPLIED
    STALE = "stale", ApplyResult.STALE

    def __init__(self, word: str, answer: ApplyResult) -> None:
        self.answer = answer


class Shard:
    """One part of a node's keys.

    Threading: ``lock`` guards all fields; hold it for a moment, and never across a call to a peer or an observer. A key never has an
    item and a tombstone at once. ``original_*`` are the primary and the owners when the key was first seen; ``removed_at`` is
    when a key that belongs elsewhere had been handed over.
    """

    __slots__ = ("items", "lock", "original_owners", "original_primary", "removed_at", "tombs")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.items: dict[str, Item] = {}
        self.tombs: dict[str, Tombstone] = {}
        self.original_primary: dict[str, str] = {}
        self.original_owners: dict[str, tuple[str, ...]] = {}
        self.removed_at: dict[str, float] = {}

    def entry(self, key: str) -> Entry:
        """What is held of a key, the item as a copy."""
        # Unlocked look: an item is whole when it comes here, and where there is one there is no tombstone.
        item = self.items.get(key)
        if item is not None:
            return item.clone(), None
        with self.lock:
            item = self.items.get(key)
            return (item.clone() if item else None), self.tombs.get(key)

    def apply(self, item: Item, owners: tuple[str, ...], accessed: float) -> Applied:
        """Store a copy, last accessed at ``accessed``, unless something newer is there; a tombstone beats an item of its own version."""
        key = item.key
        with self.lock:
            tomb = self.tombs.get(key)
            if tomb is not None and item.version <= tomb.version:
                return Applied.STALE
            held = self.items.get(key)
            if held is not None:
                if newer(held, item):
                    return Applied.STALE
                if held.version == item.version and held.origin == item.origin:
                    # Two values of one version: its origin has lost its memory and counts anew, which it has to be told.
                    return Applied.SAME if held.value is item.value or held.value == item.value else Applied.STALE
            self._store(item, owners, accessed)
            return Applied.CHANGED

    def write(self, item: Item, owners: tuple[str, ...], clock: LamportClock, origin: str) -> None:
        """Give ``item`` the next version and store it: one step, so that two writers of a key are in the order of their versions."""
        key = item.key
        with self.lock:
            held, tomb = self.items.get(key), self.tombs.get(key)
            item.version = clock.next(held.version if held else 0, tomb.version if tomb else 0)
            item.origin = origin
            self._store(item, owners, item.last_access)

    def delete(self, key: str, clock: LamportClock, origin: str, at: float) -> Tombstone:
        """Drop the item and plant a tombstone above all that is held."""
        with self.lock:
            held, tomb = self.items.get(key), self.tombs.get(key)
            planted = Tombstone(clock.next(held.version if held else 0, tomb.version if tomb else 0), origin, at)
            self._bury(key, planted)
            return planted

    def delete_unversioned(self, key: str, clock: LamportClock, origin: str, at: float) -> None:
        """``delete`` for a peer that names no version: one above what is held, so that such peers agree on it."""
        with self.lock:
            held, tomb = self.items.get(key), self.tombs.get(key)
            seen = [entry.version for entry in (held, tomb) if entry]
            version = max(seen) + 1 if seen else clock.next()
            clock.observe(version)
            self._bury(key, Tombstone(version, origin, at))

    def bury(self, key: str, tomb: Tombstone) -> bool:
        """Adopt a peer's tombstone unless the item or the tombstone here is newer; whether it changed anything."""
        with self.lock:
            item, held = self.items.get(key), self.tombs.get(key)
            if (item and item.version > tomb.version) or (held and held.version >= tomb.version):
                return False
            self._bury(key, tomb)
            return True

    def drop(self, key: str, version: int | None = None) -> None:
        """Forget a key without a tombstone; with ``version`` only while the item is of that version."""
        with self.lock:
            item = self.items.get(key)
            if item is not None and version in (None, item.version):
                del self.items[key]
                self._forget(key)

    def inject(self, item: Item) -> None:
        """Store a copy, whatever is there."""
        with self.lock:
            self.tombs.pop(item.key, None)
            self.items[item.key] = item.clone()

    def clear(self) -> None:
        """Forget all items and their baselines; tombstones stay."""
        with self.lock:
            for key in self.items:
                self._forget(key)
            self.items.clear()

    def _store(self, item: Item, owners: tuple[str, ...], accessed: float) -> None:
        key = item.key
        self.tombs.pop(key, None)
        stored = item.clone()
        stored.last_access = accessed
        self.items[key] = stored
        self.removed_at.pop(key, None)  # what was handed over was something older
        if owners and key not in self.original_primary:
            self.original_primary[key] = owners[0]
            self.original_owners[key] = owners

    def _bury(self, key: str, tomb: Tombstone) -> None:
        self.items.pop(key, None)
        self.tombs[key] = tomb
        self._forget(key)

    def _forget(self, key: str) -> None:
        self.original_primary.pop(key, None)
        self.original_owners.pop(key, None)
        self.removed_at.pop(key, None)


class Shards:
    """All shards of a node. Threading: the sequence never changes; each shard guards itself."""

    def __init__(self, count: int) -> None:
        self._shards = tuple(Shard() for _ in range(count))
        self._one = self._shards[0] if count == 1 else None

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[Shard]:
        return iter(self._shards)

    def __getitem__(self, index: int) -> Shard:
        return self._shards[index]

    def of(self, key: str) -> Shard:
        """The shard of a key."""
        return self._one or self._shards[shard_index(key, len(self._shards))]

    def keys(self) -> list[str]:
        """Keys of all items, in no order."""
        found: list[str] = []
        for shard in self._shards:
            with shard.lock:
                found.extend(shard.items)
        return found

    def entries(self) -> list[MerkleEntry]:
        """All items and tombstones, in no order."""
        found: list[MerkleEntry] = []
        for shard in self._shards:
            with shard.lock:
                found.extend(MerkleEntry(key, item.version, item.origin) for key, item in shard.items.items())
                found.extend(MerkleEntry(key, tomb.version, "") for key, tomb in shard.tombs.items())
        return found

    def items(self) -> list[Item]:
        """Copies of all items, in no order."""
        found: list[Item] = []
        for shard in self._shards:
            with shard.lock:
                found.extend(item.clone() for item in shard.items.values())
        return found

    def tombstones(self) -> dict[str, Tombstone]:
        """All tombstones."""
        found: dict[str, Tombstone] = {}
        for shard in self._shards:
            with shard.lock:
                found.update(shard.tombs)
        return found

    def count(self) -> int:
        """Number of items."""
        return sum(len(shard.items) for shard in self._shards)

    def size_bytes(self) -> int:
        """Of all values, encoded."""
        found = 0
        for shard in self._shards:
            with shard.lock:
                found += sum(encoded_size(item.value) for item in shard.items.values())
        return found

    def tombstone_count(self) -> int:
        """Number of tombstones."""
        return sum(len(shard.tombs) for shard in self._shards)

    def compact(self, older_than: float) -> int:
        """Drop tombstones of ``older_than`` monotonic seconds or before; how many."""
        dropped = 0
        for shard in self._shards:
            with shard.lock:
                old = [key for key, tomb in shard.tombs.items() if tomb.at <= older_than]
                for key in old:
                    del shard.tombs[key]
                dropped += len(old)
        return dropped
