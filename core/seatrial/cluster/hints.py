"""Hinted handoff: writes that a peer missed wait here, bounded, until it takes them or they are too old."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from seatrial.clock import SYSTEM_CLOCK
from seatrial.cluster.attempts import attempt
from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.items import Item, Tombstone, encoded_size
from seatrial.cluster.log import NodeLog
from seatrial.cluster.metrics import Counters
from seatrial.cluster.transport import Transport

_NEVER = threading.Event()


class HintSource(IntEnum):
    """Why a hint is there."""

    REPLICATION = 0
    """A replica missed a write or a delete."""
    MIGRATION = 1
    """A new primary could not be given a key; this may be the only copy."""


@dataclass(slots=True)
class HintEntry:
    """One write or delete that waits; times in monotonic seconds."""

    item: Item
    queued_at: float
    expire: float
    size: int = 0
    source: HintSource = HintSource.REPLICATION
    tombstone: Tombstone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Where a migrated key belongs now, and what to do with one that nobody took.

    ``local`` gives this node's id, ``primary`` the current primary's, ``give_back`` returns the only copy to the node. All are called
    with no lock held.
    """

    local: Callable[[], str]

    primary: Callable[[str], str | None]
    give_back: Callable[[Item], None]


def hint_size(item: Item, tombstone: Tombstone | None = None) -> int:
    """Estimated bytes: the key, and the value unless the hint is a delete."""
    return len(item.key.encode()) + (0 if tombstone else encoded_size(item.value))


class HintQueue:
    """Hints by node, oldest first.

    Threading: any thread. ``_lock`` guards the queues and their sums and is not held while sending; ``_replaying`` lets one replay run at a
    time, which ends early once ``stopping`` is set. Nothing is queued with a ``ttl`` of 0 or below; caps of 0 are no caps.
    """

    def __init__(
        self,
        ttl: float,
        *,
        max_per_node: int = 0,
        max_total: int = 0,
        max_bytes: int = 0,
        counters: Counters,
        clock: Callable[[], float] = SYSTEM_CLOCK.monotonic_s,
        logger: logging.Logger | NodeLog | None = None,
        homes: Homes | None = None,
        stopping: threading.Event = _NEVER,
    ) -> None:
        self._ttl, self._max_per_node, self._max_total, self._max_bytes = ttl, max_per_node, max_total, max_bytes
        self._counters, self._clock, self._log, self._homes = counters, clock, logger, homes
        self._stopping = stopping
        self._lock = threading.Lock()
        self._replaying = threading.Lock()
        self._queues: dict[str, deque[HintEntry]] = {}
        self.total = 0
        self.bytes = 0

    def queue(self, node_id: str, item: Item, source: HintSource, *, tombstone: Tombstone | None = None) -> bool:
        """Keep a write (or, with ``tombstone``, a delete of ``Item(key)``) for a node; False where it was not accepted."""
        if self._ttl <= 0:
            return False
        now = self._clock()
        entry = HintEntry(item.clone(), now, now + self._ttl, hint_size(item, tombstone), source, tombstone)
        with self._lock:
            accepted, evicted = self._insert(node_id, entry)
        if evicted is not None:
            self._counters.add("hinted_dropped")
            self._give_back(evicted)
        migrates = source == HintSource.MIGRATION
        if not accepted:
            self._counters.add("hinted_global_dropped")
            if migrates:
                self._counters.add("migration_hint_dropped")
            return False
        self._counters.add("hinted_queued")
        if migrates:
            self._counters.add("migration_hint_queued")
        return True

    def size_for(self, node_id: str) -> int:
        """Hints that wait for a node."""
        with self._lock:
            return len(self._queues.get(node_id, ()))

    def entries(self, node_id: str) -> list[HintEntry]:
        """A node's hints, oldest first."""
        with self._lock:
            return list(self._queues.get(node_id, ()))

    def move(self, old_id: str, new_id: str) -> None:
        """A node is known by another id now."""
        with self._lock:
            moved = self._queues.pop(old_id, None)
            if moved:
                self._queues.setdefault(new_id, deque()).extend(moved)

    def replay(self, transport: Transport | None) -> None:
        """Try every hint once, each node's oldest first; what fails stays."""
        if transport is None:
            return
        with self._replaying:
            with self._lock:
                waiting = [(node_id, entry) for node_id, entries in self._queues.items() for entry in entries]
            for node_id, entry in waiting:
                if self._stopping.is_set():
                    break
                if self.process(node_id, entry, self._clock(), transport):
                    self._remove(node_id, entry)
            self._note_bytes()

    def process(self, node_id: str, entry: HintEntry, now: float, transport: Transport) -> bool:
        """One hint's step; True when it is to be removed."""
        migrates = entry.source == HintSource.MIGRATION
        if now > entry.expire:
            self._count("expired", migrates)
            self._give_back(entry)
            return True
        result, error = attempt(_send, transport, node_id, entry)
        if error is not None:
            if self._log is not None:
                self._log.debug("hint replay attempt failed; retaining for retry", extra={"peer_id": node_id, "err": str(error)})
            return False
        if migrates and result is ApplyResult.REFUSED:
            return self._redirect(node_id, entry)
        self._count("replayed", migrates)
        if migrates:
            self._counters.set("migration_hint_last_age_nanos", int((now - entry.queued_at) * 1e9))
        return True

    def _insert(self, node_id: str, entry: HintEntry) -> tuple[bool, HintEntry | None]:
        entries = self._queues.get(node_id)
        full = bool(entries) and 0 < self._max_per_node <= len(entries or ())
        oldest = entries[0] if full and entries else None
        total, size = self.total - full, self.bytes - (oldest.size if oldest else 0)
        if (0 < self._max_total <= total) or (0 < self._max_bytes < size + entry.size):
            return False, None
        if entries is None:
            entries = self._queues[node_id] = deque()
        if oldest is not None:
            entries.popleft()
        entries.append(entry)
        self.total, self.bytes = total + 1, size + entry.size
        self._counters.set("hinted_bytes", self.bytes)
        return True, oldest

    def _remove(self, node_id: str, entry: HintEntry) -> None:
        # Race: the cap may have evicted it, or its node may have been renamed, while it was being sent.
        with self._lock:
            for key in (node_id, *self._queues):
                entries = self._queues.get(key)
                index = next((at for at, held in enumerate(entries or ()) if held is entry), None)
                if entries is None or index is None:
                    continue
                del entries[index]
                self.total -= 1
                self.bytes -= entry.size
                if not entries:
                    del self._queues[key]
                return

    def _redirect(self, node_id: str, entry: HintEntry) -> bool:
        primary = self._homes.primary(entry.item.key) if self._homes else None
        if primary in (None, node_id):
            return False
        if self._homes and primary == self._homes.local():
            self._give_back(entry)
            return True
        with self._lock:
            self._queues.setdefault(str(primary), deque()).append(entry)
            self.total += 1
            self.bytes += entry.size
        return True

    def _give_back(self, entry: HintEntry) -> None:
        if entry.source == HintSource.MIGRATION and self._homes is not None:
            self._homes.give_back(entry.item)

    def _note_bytes(self) -> None:
        with self._lock:
            self._counters.set("hinted_bytes", self.bytes)

    def _count(self, what: str, migrates: bool) -> None:
        self._counters.add(f"hinted_{what}")
        if migrates:
            self._counters.add(f"migration_hint_{what}")


def _send(transport: Transport, node_id: str, entry: HintEntry) -> ApplyResult | None:
    if entry.tombstone is not None:
        transport.forward_remove(node_id, entry.item.key, False, version=entry.tombstone.version, origin=entry.tombstone.origin)
        return None
    # A migrated key comes with replicate: its receiver takes all owners as told already and would never fan it out.
    return transport.forward_set(node_id, entry.item, entry.source == HintSource.MIGRATION)
