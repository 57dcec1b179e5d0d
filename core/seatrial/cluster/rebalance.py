"""Moving keys to where the ring says they belong."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from seatrial.cluster.attempts import attempt
from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.core import NodeCore
from seatrial.cluster.hints import HintSource
from seatrial.cluster.items import Item
from seatrial.cluster.shards import Shard


class Rebalance:
    """The rebalancer of one node.

    Threading: any thread; ``_ticking`` lets one tick run at a time. ``_parked`` holds keys whose new primary refused them, with the
    membership version of then: they wait for the next change. It is guarded by ``_parked_lock``.
    """

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._ticking = threading.Lock()
        self._parked_lock = threading.Lock()
        self._parked: dict[str, int] = {}

    def tick(self) -> None:
        """Hand over, complete replica sets, and shed what has been handed over for long enough."""
        core = self._core
        with self._ticking:
            started = core.clock.monotonic_s()
            self._migrate(self._candidates())
            self._complete_replicas()
            self._shed()
            core.counters.set("rebalance_last_nanos", int((core.clock.monotonic_s() - started) * 1e9))

    def _candidates(self) -> list[str]:
        core = self._core
        version = core.membership.version
        with self._parked_lock:
            self._parked = {key: parked for key, parked in self._parked.items() if parked == version}
            parked_keys = set(self._parked)
        found: list[str] = []
        for shard in core.shards:
            with shard.lock:
                found.extend(key for key in shard.items if key not in parked_keys and self._misplaced(shard, key))
        return found

    def _misplaced(self, shard: Shard, key: str) -> bool:
        owners = self._core.ring.owners(key)
        if not owners:
            return False
        local = self._core.id
        if local not in owners:
            return key not in shard.removed_at
        shard.removed_at.pop(key, None)  # it is home again: what was handed over may be gone the next time
        return shard.original_primary.get(key) == local != owners[0]

    def _migrate(self, keys: Sequence[str]) -> None:
        core = self._core
        size = core.options.rebalance_batch_size
        slots = threading.Semaphore(core.options.rebalance_max_concurrent)
        workers: list[threading.Thread] = []
        for start in range(0, len(keys), size):
            if not slots.acquire(blocking=False):
                core.counters.add("rebalance_throttle")
                slots.acquire()
            core.counters.add("rebalance_batches")
            worker = threading.Thread(
                target=self._migrate_batch, args=(keys[start : start + size], slots), name="cluster-migrate", daemon=True
            )
            workers.append(worker)
            worker.start()
        for worker in workers:
            worker.join()

    def _migrate_batch(self, keys: Sequence[str], slots: threading.Semaphore) -> None:
        try:
            for key in keys:
                if self._core.lifecycle.is_set():
                    return
                self._migrate_key(key)
        finally:
            slots.release()

    def _migrate_key(self, key: str) -> None:
        core = self._core
        owners, transport = core.ring.owners(key), core.transport
        shard = core.shards.of(key)
        item = shard.entry(key)[0]
        if item is None or not owners or owners[0] == core.id or transport is None:
            return
        core.counters.add("rebalanced_keys")
        core.counters.add("rebalanced_primary")
        version = core.membership.version  # of before: what changes while it is being refused may be the reason that it would not be now
        result, error = attempt(transport.forward_set, owners[0], item, True)
        if result is ApplyResult.REFUSED:
            with self._parked_lock:
                self._parked[key] = version
            return
        if error is not None:
            extra = {"key": key, "new_primary": owners[0], "err": str(error)}
            core.log.info("rebalance migration forward failed; queued for hint replay", extra=extra)
            if not core.hint(owners[0], item, HintSource.MIGRATION):
                return
        self._handed_over(shard, item, owners)

    def _handed_over(self, shard: Shard, item: Item, owners: tuple[str, ...]) -> None:
        core = self._core
        with shard.lock:
            held = shard.items.get(item.key)
            if held is None or held.version != item.version:
                return  # Race: written or deleted while it was on its way; what is held now is a candidate again.
            shard.original_primary[item.key] = owners[0]
            if core.id not in owners and core.options.removal_grace > 0:
                shard.removed_at.setdefault(item.key, core.clock.monotonic_s())
        if core.id not in owners and core.options.removal_grace <= 0:
            shard.drop(item.key, item.version)

    def _complete_replicas(self) -> None:
        core = self._core
        if core.transport is None:
            return
        sent, limit = 0, core.options.replica_diff_max_per_tick
        for shard in core.shards:
            with shard.lock:
                keys = list(shard.items)
            for key in keys:
                owners, missing, item = self._new_replicas(shard, key)
                if item is None:
                    continue
                failed: set[str] = set()
                for replica in missing:
                    if core.lifecycle.is_set():
                        return
                    if limit and sent >= limit:
                        core.counters.add("rebalance_replica_diff_throttle")
                        return
                    sent += 1
                    if self._send_replica(replica, item):
                        self._note_replica(shard, key, replica)
                    else:
                        failed.add(replica)
                self._note_owners(shard, key, owners, failed)

    def _new_replicas(self, shard: Shard, key: str) -> tuple[tuple[str, ...], list[str], Item | None]:
        core = self._core
        owners = core.ring.owners(key)
        if not owners or owners[0] != core.id:
            return owners, [], None
        with shard.lock:
            item = shard.items.get(key)
            if item is None:
                return owners, [], None
            known = shard.original_owners.setdefault(key, owners)
            if known == owners:
                return owners, [], None
            return owners, [owner for owner in owners[1:] if owner not in known], item.clone()

    def _send_replica(self, replica: str, item: Item) -> bool:
        core = self._core
        for name in ("replica_fanout_set", "rebalanced_keys", "rebalanced_replica_diff"):
            core.counters.add(name)
        transport = core.transport
        if transport is None:
            return False
        result, error = attempt(transport.forward_set, replica, item, False)
        return error is None and result is not ApplyResult.REFUSED

    def _note_replica(self, shard: Shard, key: str, replica: str) -> None:
        with shard.lock:
            if key in shard.original_owners:
                shard.original_owners[key] = (*shard.original_owners[key], replica)

    def _note_owners(self, shard: Shard, key: str, owners: tuple[str, ...], failed: set[str]) -> None:
        with shard.lock:
            if key in shard.original_owners:
                shard.original_owners[key] = tuple(owner for owner in owners if owner not in failed)

    def _shed(self) -> None:
        core = self._core
        grace = core.options.removal_grace
        if grace <= 0:
            return
        now = core.clock.monotonic_s()
        for shard in core.shards:
            with shard.lock:
                due = [key for key, since in shard.removed_at.items() if now - since >= grace]
                for key in due:
                    del shard.removed_at[key]
            for key in due:
                if core.id not in core.ring.owners(key):
                    shard.drop(key)
