"""Sets and removes: coordinating them, forwarding them, and receiving them from peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from seatrial.cluster.attempts import attempt
from seatrial.cluster.consistency import ApplyResult, required_acks
from seatrial.cluster.core import NodeCore
from seatrial.cluster.errors import DrainingError, NotOwnerError, NoTransportError, QuorumFailedError
from seatrial.cluster.items import Item, Tombstone
from seatrial.cluster.transport import Transport

_TOMBSTONES_TRIED = 3
"""A delete that meets newer versions is made again above them this often; then a concurrent writer has simply won."""


class Writes:
    """The write path of one node. Threading: any thread; keeps no state of its own."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core

    def set(self, item: Item) -> None:
        """A set of this node's own; raises DrainingError, NotOwnerError, QuorumFailedError or the first owner's failure."""
        core = self._core
        if not core.tracer.active:
            self._set(item, {})
            return
        attributes = {"cache.key.length": len(item.key), "dist.consistency": str(core.options.write_consistency)}
        with core.tracer.span("dist.set", attributes):
            self._set(item, attributes)

    def remove(self, keys: Iterable[str]) -> None:
        """Removes of this node's own, in order; the first failure ends them."""
        core = self._core
        wanted = tuple(keys)
        with core.tracer.span("dist.remove", {"dist.keys.count": len(wanted)}):
            if core.draining.is_set():
                raise DrainingError
            for key in wanted:
                self._remove(key)

    def coordinate(self, item: Item, owners: tuple[str, ...]) -> int:
        """Version, store and fan out a set; how many acknowledged. Nothing is taken back where they are too few."""
        core = self._core
        now = core.wall_s()
        item.last_updated = now
        if item.last_access == 0:
            item.last_access = now
        shard, others = core.shards.of(item.key), [owner for owner in owners if owner != core.id]
        core.counters.add("replica_fanout_set", len(others))
        below: set[str] = set()
        while True:
            shard.write(item, owners, core.versions, core.id)
            applied, stale, failed = self._replicate(item, others)
            below.update(applied)
            # Race: while this node was away another coordinated, or it has lost its memory and with it its clock: what an owner holds runs
            # ahead. Taking "stale" for an acknowledgement then would lose the write, so it is written again above what that owner
            # holds. An owner that is known to have been below the write is stale only through a write of the same time: that one wins.
            learned = [owner for owner in stale if owner not in below and self._learn(item.key, owner)]
            if not learned:
                break
            below.update(learned)
        for owner in failed:
            core.hint(owner, item)
        acks = 1 + len(applied) + len(below.intersection(stale))
        core.counters.add("write_acks", acks)
        if acks < required_acks(len(owners), core.options.write_consistency):
            core.counters.add("write_quorum_failures")
            raise QuorumFailedError
        return acks

    def receive_set(self, item: Item, replicate: bool) -> ApplyResult:
        """A peer's set."""
        core = self._core
        if replicate and item.version == 0:
            owners = core.ring.owners(item.key)
            if owners and core.id not in owners:
                core.counters.add("write_apply_refused")
                return ApplyResult.REFUSED
            self.coordinate(item, owners or (core.id,))
            return ApplyResult.APPLIED
        result, owners = core.receive_guarded(item)
        if replicate and result is ApplyResult.APPLIED:
            others = [owner for owner in owners if owner != core.id]
            core.counters.add("replica_fanout_set", len(others))
            _, _, failed = self._replicate(item, others)
            for owner in failed:
                core.hint(owner, item)
        return result

    def receive_remove(self, key: str, replicate: bool, version: int, origin: str) -> None:
        """A peer's remove: as coordinator, or by the tombstone it names; without a version one above what is held."""
        core = self._core
        if replicate:
            self._coordinate_remove(key, core.ring.owners(key))
        elif version:
            core.bury(key, Tombstone(version, origin, core.clock.monotonic_s()))
        else:
            core.shards.of(key).delete_unversioned(key, core.versions, core.id, core.clock.monotonic_s())

    def _set(self, item: Item, attributes: dict[str, Any]) -> None:
        core = self._core
        if core.draining.is_set():
            raise DrainingError
        core.counters.add("write_attempts")
        owners = core.ring.owners(item.key)
        attributes["dist.owners.count"] = len(owners)
        if not owners:
            raise NotOwnerError
        if owners[0] == core.id or self._elsewhere(owners, lambda transport, owner: self._forward_set(transport, owner, item)):
            attributes["dist.acks"] = self.coordinate(item, owners)

    def _forward_set(self, transport: Transport, owner: str, item: Item) -> None:
        self._core.counters.add("forward_set")
        unversioned = item.clone()
        unversioned.version, unversioned.origin = 0, ""
        if transport.forward_set(owner, unversioned, True) is ApplyResult.REFUSED:
            raise NotOwnerError

    def _forward_remove(self, transport: Transport, owner: str, key: str) -> None:
        self._core.counters.add("forward_remove")
        transport.forward_remove(owner, key, True)

    def _elsewhere(self, owners: tuple[str, ...], send: Callable[[Transport, str], None]) -> bool:
        """Hand a write to the primary, else to another owner; True where this node is one and must coordinate instead."""
        core = self._core
        transport = core.transport
        if transport is None:
            raise NotOwnerError
        first: Exception | None = None
        for owner in owners:
            if owner == core.id:
                continue
            _, error = attempt(send, transport, owner)
            if error is None:
                return False
            if isinstance(error, QuorumFailedError):
                raise error
            first = first or error
            if core.id in owners:
                core.counters.add("write_forward_promotion")
                return True
        raise first or NotOwnerError()

    def _replicate(self, item: Item, others: list[str]) -> tuple[list[str], list[str], list[str]]:
        """One round of replica writes: the owners that applied it, that hold something newer, and that could not be reached."""
        applied: list[str] = []
        stale: list[str] = []
        failed: list[str] = []
        for owner in others:
            result, error = self._send_replica(owner, item)
            if error is not None:
                failed.append(owner)
            elif result is None or result is ApplyResult.APPLIED:
                applied.append(owner)
            elif result is ApplyResult.STALE:
                stale.append(owner)
        return applied, stale, failed

    def _learn(self, key: str, owner: str) -> bool:
        """Observe the versions that an owner holds of a key; False where it cannot be asked."""
        transport = self._core.transport
        entry, _ = attempt(transport.forward_entry, owner, key) if transport else (None, None)
        for held in entry or ():
            if held is not None:
                self._core.versions.observe(held.version)
        return entry is not None

    def _send_replica(self, owner: str, item: Item) -> tuple[ApplyResult | None, Exception | None]:
        transport, tracer = self._core.transport, self._core.tracer
        if transport is None:
            return None, NoTransportError()
        if not tracer.active:
            return attempt(transport.forward_set, owner, item, False)
        with tracer.span("dist.replicate.set", {"peer.id": owner}):
            return attempt(transport.forward_set, owner, item, False)

    def _remove(self, key: str) -> None:
        core = self._core
        owners = core.ring.owners(key)
        if not owners:
            return
        if owners[0] == core.id or self._elsewhere(owners, lambda transport, owner: self._forward_remove(transport, owner, key)):
            self._coordinate_remove(key, owners)

    def _coordinate_remove(self, key: str, owners: tuple[str, ...]) -> None:
        core = self._core
        shard, others = core.shards.of(key), [owner for owner in owners if owner != core.id]
        if len(owners) > 1 and core.transport is not None:
            core.counters.add("replica_fanout_remove", len(owners) - 1)
        failed: list[str] = []
        tomb = Tombstone(0, "", 0.0)
        for _ in range(_TOMBSTONES_TRIED):
            tomb = shard.delete(key, core.versions, core.id, core.clock.monotonic_s())
            failed = self._send_tombstones(key, tomb, others)
            # The same race as in ``coordinate``; a remove's answer does not tell it, so the owners are asked.
            if not self._outlived([owner for owner in others if owner not in failed], key, tomb):
                break
        for owner in failed:
            core.hint(owner, Item(key), tombstone=tomb)

    def _send_tombstones(self, key: str, tomb: Tombstone, owners: list[str]) -> list[str]:
        """The owners that did not get it."""
        failed = []
        for owner in owners:
            with self._core.tracer.span("dist.replicate.remove", {"peer.id": owner}):
                _, error = attempt(self._send_tombstone, owner, key, tomb)
            if error is not None:
                failed.append(owner)
        return failed

    def _outlived(self, owners: list[str], key: str, tomb: Tombstone) -> bool:
        """Whether an owner still holds an item that is newer than the tombstone it has just been sent."""
        core, outlived = self._core, False
        transport = core.transport
        for owner in owners if transport else ():
            entry, _ = attempt(transport.forward_entry, owner, key) if transport else (None, None)
            item = entry[0] if entry else None
            if item is not None and item.version > tomb.version:
                core.versions.observe(item.version)
                outlived = True
        return outlived

    def _send_tombstone(self, owner: str, key: str, tomb: Tombstone) -> None:
        transport = self._core.transport
        if transport is None:
            raise NoTransportError
        transport.forward_remove(owner, key, False, version=tomb.version, origin=tomb.origin)
