"""Gets: the nearest copy, or the newest of a quorum, and the repair of owners that did not have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from seatrial.cluster.attempts import attempt, side_by_side
from seatrial.cluster.consistency import Consistency, required_acks
from seatrial.cluster.core import NodeCore
from seatrial.cluster.items import Entry, Item, choose_newer, newer
from seatrial.cluster.shards import Applied


class Reads:
    """The read path of one node. Threading: any thread; keeps no state of its own."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._find = self._get_one if core.options.read_consistency is Consistency.ONE else self._get_many

    def get(self, key: str) -> Item | None:
        """A copy at the node's read consistency; None where it is not found."""
        core = self._core
        if not core.tracer.active:
            return self._find(key)
        attributes = {"cache.key.length": len(key), "dist.consistency": str(core.options.read_consistency)}
        with core.tracer.span("dist.get", attributes):
            found = self._find(key)
            attributes["cache.hit"] = found is not None
            return found

    def _get_one(self, key: str) -> Item | None:
        core = self._core
        held, tomb = core.shards.of(key).entry(key)
        if held is not None and not core.expired(held):
            return held
        owners = core.ring.owners(key)
        buried = tomb.version if tomb and core.id in owners else -1
        transport = core.transport
        for index, owner in enumerate(owners):
            if owner == core.id or transport is None:
                continue
            core.counters.add("forward_get")
            item, told = self._judge(attempt(transport.forward_entry, owner, key)[0] or (None, None))
            buried = max(buried, told)
            if item is None or item.version <= buried:
                continue
            if index > 0:
                core.counters.add("read_primary_promote")
            self._adopt_missing(item, owners)
            return item
        return None

    def _adopt_missing(self, item: Item, owners: tuple[str, ...]) -> None:
        core = self._core
        if core.id in owners and core.shards.of(item.key).entry(item.key)[0] is None and core.apply(item, owners) is Applied.CHANGED:
            core.counters.add("read_repair")

    def _get_many(self, key: str) -> Item | None:
        core = self._core
        owners = core.ring.owners(key)
        if not owners:
            return None
        needed = required_acks(len(owners), core.options.read_consistency)
        # The local tombstone counts even where the quorum is reached before this owner's turn.
        tomb = core.shards.of(key).tombs.get(key) if core.id in owners else None
        buried = tomb.version if tomb else -1
        holders: dict[str, Item] = {}
        primary_asked = False
        for owner, entry in self._ask(owners, key):
            primary_asked = primary_asked or owner == owners[0]
            if entry is None:
                continue
            item, told = self._judge(entry)
            if told > buried:
                buried = told
                holders = {holder: held for holder, held in holders.items() if held.version > buried}
            if item is None:
                core.counters.add("replica_get_miss")
            elif item.version > buried:
                holders[owner] = item
                if len(holders) >= needed:
                    break
        if len(holders) < needed:
            return None
        chosen = self._choose(holders.values())
        if primary_asked and owners[0] not in holders:
            core.counters.add("read_primary_promote")
        self._repair(chosen, owners, holders)
        return chosen

    def _ask(self, owners: tuple[str, ...], key: str) -> Iterator[tuple[str, Entry | None]]:
        """Each owner and what it holds, None where it cannot be reached: in ring order, or in the order of arrival."""
        if not self._core.options.parallel_reads:
            for owner in owners:
                yield owner, self._entry(owner, key)
            return
        for index, entry, _ in side_by_side([partial(self._entry, owner, key) for owner in owners]):
            yield owners[index], entry

    def _entry(self, owner: str, key: str) -> Entry | None:
        core = self._core
        if owner == core.id:
            return core.shards.of(key).entry(key)
        transport = core.transport
        try:
            return transport.forward_entry(owner, key) if transport else None
        except Exception:  # noqa: BLE001 - in whatever way a peer fails, the others are asked
            return None

    def _judge(self, entry: Entry) -> tuple[Item | None, int]:
        """The item unless it has expired, and the tombstone's version, -1 without one."""
        item, tomb = entry
        if item is not None:
            self._core.versions.observe(item.version)
            if item.expiration > 0 and self._core.expired(item):
                item = None
        if tomb is None:
            return item, -1
        self._core.versions.observe(tomb.version)
        return item, tomb.version

    def _choose(self, holders: Iterable[Item]) -> Item:
        chosen, *others = holders
        for item in others:
            if item.version == chosen.version and item.origin == chosen.origin:
                continue
            better, conflicts, ties = choose_newer(chosen, item)
            chosen = better or chosen
            self._core.counters.add("version_conflicts", conflicts)
            self._core.counters.add("version_tie_breaks", ties)
        return chosen

    def _repair(self, chosen: Item, owners: tuple[str, ...], holders: dict[str, Item]) -> None:
        core = self._core
        for owner in owners:
            told = holders.get(owner)
            if told is not None and told.version == chosen.version and told.origin == chosen.origin:
                continue
            if owner == core.id:
                self._repair_local(chosen, owners)
                continue
            transport = core.transport
            if transport is None:
                continue
            core.counters.add("read_repair")
            if core.repairs is not None:
                core.repairs.enqueue(owner, chosen)
            else:
                attempt(transport.forward_set, owner, chosen, False)

    def _repair_local(self, chosen: Item, owners: tuple[str, ...]) -> None:
        core = self._core
        held = core.shards.of(chosen.key).entry(chosen.key)[0]
        if (held is None or newer(chosen, held)) and core.apply(chosen, owners) is Applied.CHANGED:
            core.counters.add("read_repair")
