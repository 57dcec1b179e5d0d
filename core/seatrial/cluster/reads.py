"""Gets: the nearest copy, or the newest of a quorum, and the repair of owners that did not have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from seatrial.cluster.attempts import attempt, side_by_side
from seatrial.cluster.consistency import Consistency, required_acks
from seatrial.cluster.core import NodeCore
from seatrial.cluster.errors import NoTransportError
from seatrial.cluster.items import Entry, Item, choose_newer, newer
from seatrial.cluster.shards import Applied


@dataclass(frozen=True, slots=True)
class _Answer:
    owner: str
    item: Item | None
    buried: int
    """Version of the tombstone that the owner told, -1 without one."""
    reached: bool = True


class Reads:
    """The read path of one node. Threading: any thread; keeps no state of its own."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core

    def get(self, key: str) -> Item | None:
        """A copy at the node's read consistency; None where it is not found."""
        core = self._core
        level = core.options.read_consistency
        if not core.tracer.active:
            return self._find(key, level)
        with core.tracer.span("dist.get", {"cache.key.length": len(key), "dist.consistency": str(level)}) as attributes:
            found = self._find(key, level)
            attributes["cache.hit"] = found is not None
            return found

    def _find(self, key: str, level: Consistency) -> Item | None:
        return self._get_one(key) if level is Consistency.ONE else self._get_many(key, level)

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
            answer = self._judge(owner, attempt(transport.forward_entry, owner, key)[0])
            buried = max(buried, answer.buried)
            if answer.item is None or answer.item.version <= buried:
                continue
            if index > 0:
                core.counters.add("read_primary_promote")
            self._adopt_missing(answer.item, owners)
            return answer.item
        return None

    def _adopt_missing(self, item: Item, owners: tuple[str, ...]) -> None:
        core = self._core
        if core.id in owners and core.shards.of(item.key).entry(item.key)[0] is None and core.apply(item, owners) is Applied.CHANGED:
            core.counters.add("read_repair")

    def _get_many(self, key: str, level: Consistency) -> Item | None:
        core = self._core
        owners = core.ring.owners(key)
        if not owners:
            return None
        needed = required_acks(len(owners), level)
        # The local tombstone counts even where the quorum is reached before this owner's turn.
        tomb = core.shards.of(key).tombs.get(key) if core.id in owners else None
        buried = tomb.version if tomb else -1
        answers: list[_Answer] = []
        holders: list[_Answer] = []
        for answer in self._ask(owners, key):
            answers.append(answer)
            if answer.buried > buried:
                buried = answer.buried
                holders = [each for each in holders if each.item and each.item.version > buried]
            if answer.item is None:
                core.counters.add("replica_get_miss", answer.reached)
            elif answer.item.version > buried:
                holders.append(answer)
            if len(holders) >= needed:
                break
        if len(holders) < needed:
            return None
        chosen = self._choose(holders)
        if any(answer.owner == owners[0] and answer not in holders for answer in answers):
            core.counters.add("read_primary_promote")
        self._repair(chosen, owners, holders)
        return chosen

    def _ask(self, owners: tuple[str, ...], key: str) -> Iterator[_Answer]:
        """Each owner's answer: in ring order, or in the order of arrival."""
        core = self._core
        if not core.options.parallel_reads:
            for owner in owners:
                yield self._judge(owner, attempt(self._entry, owner, key)[0])
            return
        for index, entry, _ in side_by_side([partial(self._entry, owner, key) for owner in owners]):
            yield self._judge(owners[index], entry)

    def _entry(self, owner: str, key: str) -> Entry:
        core = self._core
        if owner == core.id:
            return core.shards.of(key).entry(key)
        transport = core.transport
        if transport is None:
            raise NoTransportError
        return transport.forward_entry(owner, key)

    def _judge(self, owner: str, entry: Entry | None) -> _Answer:
        if entry is None:
            return _Answer(owner, None, -1, reached=False)
        item, tomb = entry
        if item is not None:
            self._core.versions.observe(item.version)
            if self._core.expired(item):
                item = None
        if tomb is not None:
            self._core.versions.observe(tomb.version)
        return _Answer(owner, item, tomb.version if tomb else -1)

    def _choose(self, holders: list[_Answer]) -> Item:
        chosen = holders[0].item
        for answer in holders[1:]:
            chosen, conflicts, ties = choose_newer(chosen, answer.item)
            if conflicts:
                self._core.counters.add("version_conflicts", conflicts)
                self._core.counters.add("version_tie_breaks", ties)
        if chosen is None:
            raise AssertionError("a holder without an item")
        return chosen

    def _repair(self, chosen: Item, owners: tuple[str, ...], holders: list[_Answer]) -> None:
        core = self._core
        fresh = {each.owner for each in holders if each.item and each.item.version == chosen.version and each.item.origin == chosen.origin}
        for owner in owners:
            if owner in fresh:
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
