"""One node of the distributed in-memory backend."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any

from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.core import NodeCore
from seatrial.cluster.detector import Detector
from seatrial.cluster.eventbus import EventBus
from seatrial.cluster.gossip import Gossip
from seatrial.cluster.http_service import HTTPService
from seatrial.cluster.items import Entry, Item, Tombstone
from seatrial.cluster.keys import ListKeysResult, list_keys
from seatrial.cluster.latency import Latencies
from seatrial.cluster.loops import Loops
from seatrial.cluster.membership import Membership
from seatrial.cluster.merkle import MerkleTree
from seatrial.cluster.metrics import DistMetrics
from seatrial.cluster.node import GossipMember, Node, NodeState
from seatrial.cluster.options import DistOptions
from seatrial.cluster.reads import Reads
from seatrial.cluster.rebalance import Rebalance
from seatrial.cluster.ring import Ring
from seatrial.cluster.sync import Sync, SyncResult
from seatrial.cluster.transport import Transport
from seatrial.cluster.writes import Writes

_JOIN_AT_LEAST_S = 0.2
"""Loops that only wait end at once; this is for those, even where ``stop`` is given no time."""


class DistMemory:
    """A node: a key-value store that replicates over its peers.

    Threading: any thread. No lock is held across a call to a peer or an observer, but for the one that lets a background tick run once
    at a time. As a context manager it stops in the end.
    """

    def __init__(self, options: DistOptions | None = None, /, **overrides: Any) -> None:
        """``overrides`` are fields of DistOptions. Raises InsecureAuthConfigError before anything runs; a socket listens on return."""
        chosen = replace(options or DistOptions(), **overrides).normalised()
        chosen.http_auth.validate()
        core = self._core = NodeCore(chosen)
        self.lifecycle = core.lifecycle
        self.event_bus = EventBus()
        self.capacity = max(chosen.capacity, 0)
        self._latencies = Latencies()
        self._reads, self._writes, self._sync = Reads(core), Writes(core), Sync(core)
        self._rebalance, self._detector, self._gossip = Rebalance(core), Detector(core), Gossip(core)
        self._loops = Loops(core)
        self._stopping = threading.Lock()
        core.membership.on_state_change(self._on_state_change)
        self._http = HTTPService(core, self)
        if core.transport is None and core.address:
            self._http.start()
        self._announce()
        self._start_loops()

    def __enter__(self) -> DistMemory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # --- data path

    def get(self, key: str) -> Item | None:
        """A copy at the node's read consistency."""
        started = self._core.clock.monotonic_s()
        try:
            return self._reads.get(key)
        finally:
            self._latencies.record("get", self._core.clock.monotonic_s() - started)

    def set(self, item: Item) -> None:
        """Write at the node's write consistency. Version, origin and time come back in ``item`` where this node coordinated."""
        item.valid()
        started = self._core.clock.monotonic_s()
        try:
            self._writes.set(item)
        finally:
            self._latencies.record("set", self._core.clock.monotonic_s() - started)

    def put(self, key: str, value: Any, *, ttl: float = 0.0) -> None:
        """``set`` of a new item; ``ttl`` in seconds of idleness, 0 for ever."""
        self.set(Item(key, value, ttl))

    def remove(self, *keys: str) -> None:
        """Delete in order; the first failure is raised and leaves the keys before it removed."""
        started = self._core.clock.monotonic_s()
        try:
            self._writes.remove(keys)
        finally:
            self._latencies.record("remove", self._core.clock.monotonic_s() - started)

    def touch(self, key: str) -> bool:
        """Extend the life of the local copy; False where there is none."""
        shard = self._core.shards.of(key)
        with shard.lock:
            item = shard.items.get(key)
            if item is None:
                return False
            item.last_access = self._core.wall_s()
            item.access_count += 1
            return True

    def count(self) -> int:
        """Number of local items."""
        return self._core.shards.count()

    def size_bytes(self) -> int:
        """Of the local items' values, encoded."""
        return self._core.shards.size_bytes()

    def list(self, *filters: Callable[[Item], bool]) -> builtins.list[Item]:
        """Copies of the local items that all filters accept, in no order."""
        return [item for item in self._core.shards.items() if all(accepts(item) for accepts in filters)]

    def clear(self) -> None:
        """Drop all local items; peers keep theirs, and anti-entropy may bring them back."""
        for shard in self._core.shards:
            shard.clear()

    def local_contains(self, key: str) -> bool:
        """Whether the key's item is held here, owned or not, expired or not."""
        return key in self._core.shards.of(key).items

    def list_keys(self, pattern: str = "", max_results: int = 0) -> ListKeysResult:
        """Keys of all live members: at most ``max_results`` (10,000 at 0), the smallest. Raises BadPatternError."""
        return list_keys(self._core, pattern, max_results)

    # --- ownership and identity

    def is_owner(self, key: str) -> bool:
        """Whether this node owns the key by its own ring; true while the ring is empty."""
        owners = self._core.ring.owners(key)
        return not owners or self._core.id in owners

    def debug_owners(self, key: str) -> builtins.list[str]:
        """The owners' ids, the primary first."""
        return self._core.ring.lookup(key)

    @property
    def local_node_id(self) -> str:
        """This node's id."""
        return self._core.id

    @property
    def local_node_address(self) -> str:
        """This node's address as peers are told it."""
        return self._core.local.address

    @property
    def membership(self) -> Membership:
        """The members that this node knows; may be shared."""
        return self._core.membership

    @property
    def ring(self) -> Ring:
        """The ring of the membership."""
        return self._core.ring

    @property
    def transport(self) -> Transport | None:
        """How peers are reached, behind chaos where configured."""
        return self._core.transport

    @property
    def options(self) -> DistOptions:
        """The options as normalised."""
        return self._core.options

    def set_capacity(self, n: int) -> None:
        """Informational; negative is ignored."""
        if n >= 0:
            self.capacity = n

    def set_transport(self, t: Transport | None) -> None:
        """Reach peers another way from now on."""
        self._core.reach_through(t)

    def set_local_node(self, node: Node) -> None:
        """Be another member."""
        self._core.be(node)
        self._core.address = self._core.address or node.address
        self._core.membership.upsert(node)

    def add_peer(self, address: str) -> None:
        """Know a peer by its address alone; its id is derived until gossip tells it."""
        node = Node.new("", address)
        if address and address != self._core.local.address and self._core.membership.learn(node) is not None:
            self._log_peer("peer added to membership", node)

    def remove_peer(self, address: str) -> None:
        """Forget the first member with that address."""
        node = next((node for node in self._core.membership.list() if node.address == address), None)
        if node is not None and self._core.membership.remove(node.id):
            self._log_peer("peer removed from membership", node)

    # --- life cycle

    def drain(self) -> None:
        """Take no more writes of this node's own, for good; peers see it as unwell over HTTP. Idempotent."""
        with self._stopping:
            if self._core.draining.is_set():
                return
            self._core.draining.set()
        self._core.counters.add("drains")
        self._core.log.info("dist node draining", extra={"addr": self._core.address})

    @property
    def is_draining(self) -> bool:
        """Whether ``drain`` was called."""
        return self._core.draining.is_set()

    def stop(self, timeout: float | None = 5.0) -> None:
        """End all threads and the listener within ``timeout`` seconds (None: however long it takes); data stays readable. Idempotent."""
        self.lifecycle.set()
        self._loops.join(None if timeout is None else max(timeout, _JOIN_AT_LEAST_S))
        if self._core.repairs is not None:
            self._core.repairs.stop()
        self._http.close(timeout)
        self._core.membership.forget_observer(self._on_state_change)

    # --- observation

    def metrics(self) -> DistMetrics:
        """All figures now."""
        core, chaos = self._core, self._core.options.chaos
        snapshot = core.membership.snapshot()
        return core.counters.view(
            {
                "last_auto_sync_error": self._sync.last_error,
                "chaos_drops": chaos.drops if chaos else 0,
                "chaos_latencies": chaos.latencies if chaos else 0,
                "tombstones_active": core.shards.tombstone_count(),
                "membership_version": snapshot["version"],
                **{f"members_{state}": count for state, count in snapshot["counts"].items()},
            }
        )

    def membership_snapshot(self) -> dict[str, Any]:
        """``{"version", "counts": {"alive", "suspect", "dead"}}``."""
        return self._core.membership.snapshot()

    def members_view(self) -> dict[str, Any]:
        """``{"replication", "virtualNodes", "members": [{"ID", "Address", "State", "Incarnation"}]}``."""
        members = [
            {"ID": node.id, "Address": node.address, "State": str(node.state), "Incarnation": node.incarnation}
            for node in self._core.membership.list()
        ]
        return {"replication": self.ring.replication, "virtualNodes": self.ring.virtual_nodes_per_node, "members": members}

    def ring_view(self) -> dict[str, Any]:
        """``{"count", "vnodes": ["<hash>:<id>"]}``."""
        vnodes = self.ring.vnode_hashes()
        return {"count": len(vnodes), "vnodes": vnodes}

    def latency_histograms(self) -> dict[str, builtins.list[int]]:
        """Samples per bucket of ``set``, ``get`` and ``remove``."""
        return self._latencies.view()

    # --- anti-entropy and ticks

    def build_merkle_tree(self, scope: str = "") -> MerkleTree:
        """The tree of the local keys, or of those owned together with ``scope``."""
        return self._sync.tree(scope)

    def sync_with(self, node_id: str, *, owned_only: bool = False) -> SyncResult:
        """Pull what a peer has newer. Raises NoTransportError, or what fetching its tree raised."""
        return self._sync.pull(node_id, owned_only=owned_only)

    def run_auto_sync_tick(self) -> bool:
        """One round of anti-entropy; waits for a running one."""
        return self._sync.tick()

    def run_heartbeat_tick(self) -> None:
        """One round of probes; waits for a running one."""
        self._detector.tick()

    def run_gossip_tick(self) -> None:
        """One message to one peer; waits for a running one."""
        self._gossip.tick()

    def run_rebalance_tick(self) -> None:
        """One full scan; waits for a running one."""
        self._rebalance.tick()

    def replay_hints(self) -> None:
        """Try all hints once; waits for a running replay."""
        self._core.hints.replay(self._core.transport)

    def compact_tombstones(self) -> int:
        """Drop tombstones older than their time to live; how many."""
        ttl = self._core.options.tombstone_ttl
        return self._core.shards.compact(self._core.clock.monotonic_s() - ttl) if ttl > 0 else 0

    def accept_gossip(self, members: Iterable[Node | GossipMember]) -> None:
        """What a peer believes of the members."""
        self._gossip.accept(members)

    # --- what transports call on behalf of peers

    def receive_set(self, item: Item, replicate: bool) -> ApplyResult:
        """A peer's set; QuorumFailedError where this node was to coordinate it."""
        return self._writes.receive_set(item, replicate)

    def receive_remove(self, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        """A peer's remove."""
        self._writes.receive_remove(key, replicate, version, origin)

    def local_entry(self, key: str) -> Entry:
        """What is held here: a copy of the item, or the tombstone."""
        return self._core.shards.of(key).entry(key)

    def local_keys(self) -> builtins.list[str]:
        """Keys of the local items."""
        return self._core.shards.keys()

    def shard_keys(self, index: int) -> builtins.list[str] | None:
        """Keys of one shard's items, in no order; None past the last shard."""
        if index >= len(self._core.shards):
            return None
        shard = self._core.shards[index]
        with shard.lock:
            return list(shard.items)

    def local_tombstones(self) -> dict[str, Tombstone]:
        """The local tombstones."""
        return self._core.shards.tombstones()

    # --- hooks for tests

    def debug_inject(self, item: Item | None) -> None:
        """Hold an item, whatever was there; None does nothing."""
        if item is not None:
            self._core.shards.of(item.key).inject(item)
            self._core.versions.observe(item.version)

    def debug_drop_local(self, key: str) -> None:
        """Lose the local copy, without a tombstone."""
        self._core.shards.of(key).drop(key)

    def hinted_queue_size(self, node_id: str) -> int:
        """Hints that wait for a node."""
        return self._core.hints.size_for(node_id)

    def start_hint_replay(self) -> None:
        """Start the replay loop if it has an interval and does not run."""
        interval = self._core.options.hint_replay_interval
        if interval > 0 and self._core.options.hint_ttl > 0 and self._loops.start("hint-replay", lambda: interval, self.replay_hints):
            self._core.log.info("hint replay loop started", extra={"interval": interval})

    def indirect_probe_reachable(self, target_id: str) -> bool:
        """Whether another member reaches the target."""
        return self._detector.reachable_through_others(target_id)

    def disable_http(self) -> None:
        """Stop listening; data and loops stay."""
        self._http.stop_listening(self._core.options.http_limits.write_timeout)

    def enable_http(self) -> None:
        """Listen again on the same address."""
        self._http.start()

    # --- inside

    def _on_state_change(self, node_id: str, state: NodeState, version: int) -> None:
        self.event_bus.publish("members", self.members_view())

    def _log_peer(self, text: str, node: Node) -> None:
        after = len(self._core.membership.list())
        self._core.log.info(text, extra={"peer_id": node.id, "peer_addr": node.address, "members_after": after})

    def _announce(self) -> None:
        core, options = self._core, self._core.options
        peers = [f"{node.id}@{node.address}" for node in core.membership.list() if node.id != core.id]
        core.log.info(
            "cluster join: node starting",
            extra={
                "node_addr": core.local.address,
                "replication": core.ring.replication,
                "virtual_nodes": options.virtual_nodes or core.ring.virtual_nodes_per_node,
                "peers_known": len(peers),
                "peers": peers,
                "heartbeat_interval": options.heartbeat_interval,
                "gossip_interval": options.gossip_interval,
                "rebalance_interval": options.rebalance_interval,
                "auto_sync_interval": options.merkle_auto_sync_interval,
            },
        )

    def _start_loops(self) -> None:
        options, backoff = self._core.options, self._sync.backoff
        self._loop("heartbeat", "heartbeat loop started", options.heartbeat_interval, self.run_heartbeat_tick)
        self.start_hint_replay()
        self._loop("gossip", "gossip loop started", options.gossip_interval, self.run_gossip_tick)
        sync_interval = options.merkle_auto_sync_interval
        if sync_interval > 0:
            self._loops.start("auto-sync", lambda: backoff.next_delay(sync_interval), self.run_auto_sync_tick)
            self._core.log.info("merkle auto-sync loop started", extra={"interval": sync_interval})
        if options.tombstone_ttl > 0:
            self._loop("tombstones", "", options.tombstone_sweep_interval, self._sweep)
        self._loop("rebalance", "rebalance loop started", options.rebalance_interval, self.run_rebalance_tick)
        if self._core.repairs is not None:
            self._core.repairs.start()
            extra = {"interval": options.read_repair_batch_interval, "max_batch_size": options.read_repair_batch_size}
            self._core.log.info("read-repair batching enabled", extra=extra)
        self._loop("heartbeat-events", "", 1.0, self._publish_heartbeat)

    def _loop(self, name: str, text: str, interval: float, tick: Callable[[], object]) -> None:
        if interval > 0 and self._loops.start(name, lambda: interval, tick) and text:
            self._core.log.info(text, extra={"interval": interval})

    def _sweep(self) -> None:
        self._core.counters.add("tombstones_purged", self.compact_tombstones())

    def _publish_heartbeat(self) -> None:
        names = ("heartbeat_success", "heartbeat_failure", "nodes_removed", "read_primary_promote")
        wire = ("heartbeatSuccess", "heartbeatFailure", "nodesRemoved", "readPrimaryPromote")
        figures = {shown: self._core.counters.get(name) for shown, name in zip(wire, names, strict=True)}
        self.event_bus.publish("heartbeat", figures)
