"""What the parts of one node share."""

from __future__ import annotations

import threading

from seatrial import seeds
from seatrial.cluster.chaos import wrap_chaos
from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.hints import HintQueue, HintSource, Homes
from seatrial.cluster.items import Item, Tombstone
from seatrial.cluster.log import NodeLog
from seatrial.cluster.membership import Membership
from seatrial.cluster.metrics import Counters
from seatrial.cluster.node import Node, parse_seed_spec
from seatrial.cluster.options import DistOptions
from seatrial.cluster.repair import RepairQueue
from seatrial.cluster.ring import Ring
from seatrial.cluster.shards import Applied, Shards
from seatrial.cluster.spans import Tracer
from seatrial.cluster.transport import Transport
from seatrial.cluster.versions import LamportClock


class NodeCore:
    """Shards, clock, membership, hints and transport of one node, and the steps that several parts take.

    Threading: any thread. ``local`` with ``id``, ``transport`` and ``draining`` are single references, replaced whole; all else guards
    itself. What every get and set asks for is an attribute, not a property: a write to three owners asks twenty times.
    """

    def __init__(self, options: DistOptions) -> None:
        self.options, self.clock = options, options.clock
        self.lifecycle = threading.Event()
        self.draining = threading.Event()
        self.be(options.local_node or Node.new(options.node_id, options.address or "local"))
        self.address = options.address or (options.local_node.address if options.local_node else "")
        self.log = NodeLog(options.logger, lambda: self.local.id)
        self.counters = Counters()
        self.versions = LamportClock()
        self.shards = Shards(options.shard_count)
        self.tracer = Tracer(options.on_span, self.clock)
        self.draws = seeds.stream(seeds.new_root_seed() if options.seed is None else options.seed, "cluster", self.local.id)
        self.membership = options.membership or self._own_membership()
        if options.membership is not None:
            self.membership.upsert(self.local)
        self.ring = self.membership.ring
        self.reach_through(options.transport)
        self.hints = HintQueue(
            options.hint_ttl,
            max_per_node=options.hint_max_per_node,
            max_total=options.hint_max_total,
            max_bytes=options.hint_max_bytes,
            counters=self.counters,
            clock=self.clock.monotonic_s,
            logger=self.log,
            homes=Homes(local=lambda: self.local.id, primary=self.primary, give_back=self.give_back),
            stopping=self.lifecycle,
        )
        self.repairs: RepairQueue | None = None
        if options.read_repair_batch_interval > 0:
            interval, size = options.read_repair_batch_interval, options.read_repair_batch_size
            self.repairs = RepairQueue(interval, size, lambda: self.transport, self.counters, clock=self.clock)

    def be(self, node: Node) -> None:
        """The local node is ``node`` from now on; who calls makes it a member."""
        self.local, self.id = node, node.id

    def reach_through(self, transport: Transport | None) -> None:
        """Reach peers by ``transport`` from now on, behind chaos where chaos is configured."""
        self.transport = None if transport is None else wrap_chaos(transport, self.options.chaos, self.lifecycle, lambda: self.id)

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return self.clock.now_ns() / 1e9

    def primary(self, key: str) -> str | None:
        """The key's primary by the local ring."""
        owners = self.ring.owners(key)
        return owners[0] if owners else None

    def expired(self, item: Item) -> bool:
        """Whether a read must take the item as a miss."""
        return item.expiration > 0 and self.options.enforce_expiration and item.expired(self.wall_s())

    def apply(self, item: Item, owners: tuple[str, ...] | None = None) -> Applied:
        """Arbitrate a peer's item against what is held here; no ownership guard."""
        self.versions.observe(item.version)
        known = self.ring.owners(item.key) if owners is None else owners
        return self.shards.of(item.key).apply(item, known, item.last_access or self.wall_s())

    def bury(self, key: str, tomb: Tombstone) -> bool:
        """Adopt a peer's tombstone; whether it changed anything."""
        self.versions.observe(tomb.version)
        return self.shards.of(key).bury(key, tomb)

    def give_back(self, item: Item) -> None:
        """A migrated key that nobody took is here again, and a candidate for the next rebalance."""
        shard = self.shards.of(item.key)
        self.apply(item)
        with shard.lock:
            shard.removed_at.pop(item.key, None)
            if item.key in shard.items:
                shard.original_primary[item.key] = self.id

    def hint(self, node_id: str, item: Item, source: HintSource = HintSource.REPLICATION, *, tombstone: Tombstone | None = None) -> bool:
        """Queue what a peer missed."""
        return self.hints.queue(node_id, item, source, tombstone=tombstone)

    def receive_guarded(self, item: Item) -> tuple[ApplyResult, tuple[str, ...]]:
        """A peer's replica write: refused where this node is no owner by its own ring."""
        owners = self.ring.owners(item.key)
        if owners and self.id not in owners:
            self.counters.add("write_apply_refused")
            return ApplyResult.REFUSED, owners
        return self.apply(item, owners).answer, owners

    def _own_membership(self) -> Membership:
        options = self.options
        membership = Membership(Ring(replication=options.replication, virtual_nodes=options.virtual_nodes), clock=self.clock)
        membership.upsert(self.local)
        for raw in options.seeds:
            seed_id, address = parse_seed_spec(raw)
            if address != self.local.address and (seed_id or None) != self.local.id:
                membership.upsert(Node.new(seed_id, address))
        return membership
