"""The nodes of a cluster store, all in this process: which of them run, which have yet to be refilled, and what is told of them.

A node that is stopped loses what it held, as a process that dies does. Started again it is empty, and *recovering* until it has pulled from
every node that is up: only then does "I have no such key" from it mean anything.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from seatrial.clock import Clock
from seatrial.cluster import Consistency, DistMemory, DistMetrics, InProcessTransport, Membership, Node, Ring, required_acks
from seatrial.cluster.attempts import attempt
from seatrial.config.model import ConsistencyName
from seatrial.errors import UsageError
from seatrial.history.frames import ClusterFrame, NodeChange, NodeFrame, NodeStateName
from seatrial.targets.embedded.server.config import ClusterConfig
from seatrial.targets.embedded.server.log import ServerLog
from seatrial.targets.embedded.server.store import UnknownNode

_LEVELS: dict[ConsistencyName, Consistency] = {"one": Consistency.ONE, "quorum": Consistency.QUORUM, "all": Consistency.ALL}
_CHANGES_KEPT = 64
"""Of node states, for whoever asks: it asks once a second."""
_REFILL_AGAIN_S = 0.1
_STOP_S = 2.0
_LOOPS = {
    "hint_ttl": 3600.0,
    "hint_replay_interval": 0.25,
    "heartbeat_interval": 0.5,
    "heartbeat_suspect_after": 1.5,
    "merkle_auto_sync_interval": 5.0,
    "merkle_auto_sync_peers": 1,
    "tombstone_ttl": 1800.0,
    "tombstone_sweep_interval": 60.0,
}
"""No ``heartbeat_dead_after``: who belongs to the cluster is configured, so the ring stands and a node that is away keeps its keys."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A node's place at one moment; replaced whole. What ``node`` says counts for the moment, also if it is stopped meanwhile."""

    name: str
    state: NodeStateName
    node: DistMemory | None
    starts: int


@dataclass(slots=True)
class _Totals:
    """What the nodes counted, of those that were stopped too."""

    hints_queued: int = 0
    hints_replayed: int = 0
    repairs: int = 0
    pulled: int = 0
    quorum_failures: int = 0

    def add(self, metrics: DistMetrics) -> None:
        self.hints_queued += metrics.hinted_queued
        self.hints_replayed += metrics.hinted_replayed
        self.repairs += metrics.read_repair
        self.pulled += metrics.merkle_keys_pulled
        self.quorum_failures += metrics.write_quorum_failures


class ClusterNodes:
    """``n1``, ``n2``, ... with one ring.

    Threading: any thread. ``_lock`` guards the slots (replaced whole, read without it), the changes, the totals and the recovering threads;
    it is not held while a node is made, stopped or refilled. Starting and stopping are for one thread at a time (``_changing``).
    """

    def __init__(self, config: ClusterConfig, log: ServerLog, clock: Clock) -> None:
        if config.replication > config.nodes:
            raise UsageError(
                f"a replication of {config.replication} needs as many nodes, and there are {config.nodes}", where="embedded.replication"
            )
        self.config = config
        self.write_level, self.read_level = _LEVELS[config.write_consistency], _LEVELS[config.read_consistency]
        self.acks = required_acks(config.replication, self.write_level)
        """How many owners hold what was acknowledged."""
        self.answers = required_acks(config.replication, self.read_level)
        """How many owners have to answer a read."""
        self._log, self._clock = log, clock
        self._lock, self._changing = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._changes: deque[NodeChange] = deque(maxlen=_CHANGES_KEPT)
        self._changed = 0
        self._totals = _Totals()
        self._recovering: list[threading.Thread] = []
        self._ring = Ring(replication=config.replication)
        self._membership, self._transport = Membership(self._ring, clock=clock), InProcessTransport()
        self._slots: dict[str, Slot] = {}
        try:
            for number in range(1, config.nodes + 1):
                name = f"n{number}"
                node = self._make(name)
                self._set(Slot(name, "up", node, 1), "")
                self._transport.register(node)
        except BaseException:
            self.close()
            raise

    # -- for the store

    def owners(self, key: str) -> tuple[str, ...]:
        """The key's owners, the primary first. Constant."""
        return self._ring.owners(key)

    def slot(self, name: str) -> Slot:
        """The node's place now. Raises ``UnknownNode``."""
        try:
            return self._slots[name]
        except KeyError:
            raise UnknownNode(name) from None

    def slots(self) -> list[Slot]:
        """All places now, by number."""
        return list(self._slots.values())

    def any_node(self, key: str) -> DistMemory:
        """A node that runs, the first owner of ``key`` if it does: whom a client would ask. ``OSError`` where none runs."""
        for name in (*self.owners(key), *self._slots):
            slot = self._slots[name]
            if slot.node is not None:
                return slot.node
        raise OSError("no node of the cluster runs")

    # -- for whoever breaks it

    def stop(self, name: str) -> None:
        """End a node, with all that it holds. Fine where it does not run. Raises ``UnknownNode``."""
        with self._changing:
            slot = self.slot(name)
            if slot.node is None:
                return
            self._transport.unregister(name)
            keys = slot.node.count()
            self._set(Slot(name, "down", None, slot.starts), f"{keys} keys lost")
            slot.node.stop(_STOP_S)
            with self._lock:
                self._totals.add(slot.node.metrics())

    def start(self, name: str) -> None:
        """Start a node that was stopped, empty; a thread refills it. Fine where it runs. Raises ``UnknownNode``."""
        with self._changing:
            slot = self.slot(name)
            if slot.node is not None or self._closed.is_set():
                return
            node = self._make(name)
            started = Slot(name, "recovering", node, slot.starts + 1)
            self._set(started, "")
            # From here on it gets each write itself, and pulls what came before.
            self._transport.register(node)
            thread = threading.Thread(target=self._refill, args=(started, node), name=f"refill-{name}", daemon=True)
            with self._lock:
                self._recovering = [each for each in self._recovering if each.is_alive()] + [thread]
            thread.start()

    def close(self) -> None:
        """Stop all nodes and threads. Idempotent."""
        self._closed.set()
        with self._changing:
            for slot in self.slots():
                if slot.node is not None:
                    slot.node.stop(_STOP_S)
        with self._lock:
            threads = list(self._recovering)
        for thread in threads:
            thread.join()

    # -- for whoever watches

    def frame(self, used: dict[str, int]) -> ClusterFrame:
        """How it stands; ``used`` are the bytes that are reserved on each node."""
        slots = self.slots()
        places = [entry.rpartition(":")[2] for entry in self._ring.vnode_hashes()]
        states = {member.id: str(member.state) for member in self._membership.list()}
        running = [slot.node for slot in slots if slot.node is not None]
        with self._lock:
            totals = _Totals(
                self._totals.hints_queued,
                self._totals.hints_replayed,
                self._totals.repairs,
                self._totals.pulled,
                self._totals.quorum_failures,
            )
            changes = list(self._changes)
        for node in running:
            totals.add(node.metrics())
        return ClusterFrame(
            nodes=[
                NodeFrame(
                    name=slot.name,
                    state=slot.state,
                    seen=states.get(slot.name, ""),
                    keys=slot.node.count() if slot.node else 0,
                    size_bytes=slot.node.size_bytes() if slot.node else 0,
                    owned_bytes=used.get(slot.name, 0),
                    ring_places=places.count(slot.name),
                    hints_waiting=sum(node.hinted_queue_size(slot.name) for node in running),
                    starts=slot.starts,
                )
                for slot in slots
            ],
            replication=self.config.replication,
            write_consistency=self.config.write_consistency,
            read_consistency=self.config.read_consistency,
            node_memory_bytes=self.config.node_memory_bytes,
            ring_places=len(places),
            hints_queued=totals.hints_queued,
            hints_replayed=totals.hints_replayed,
            repairs=totals.repairs,
            pulled=totals.pulled,
            quorum_failures=totals.quorum_failures,
            changes=changes,
        )

    # -- inside

    def _make(self, name: str) -> DistMemory:
        return DistMemory(
            membership=self._membership,
            local_node=Node.new(name, f"{name}:0"),
            transport=self._transport,
            read_consistency=self.read_level,
            write_consistency=self.write_level,
            hint_max_bytes=self.config.node_memory_bytes,
            clock=self._clock,
            **_LOOPS,
        )

    def _refill(self, slot: Slot, node: DistMemory) -> None:
        """Pull from each node that is up. What is written meanwhile reaches this one by itself, as it is registered already."""
        pulled = 0
        pending = [name for name in self._slots if name != slot.name]
        while pending and not self._closed.is_set() and not node.lifecycle.is_set():
            # A node that is down or recovering has nothing to give that those that are up have not: acknowledged is what enough hold.
            pending = [name for name in pending if self._slots[name].state == "up"]
            failed = []
            for name in pending:
                result, _ = attempt(node.sync_with, name, owned_only=True)
                if result is None:
                    failed.append(name)
                else:
                    pulled += result.pulled
            pending = failed
            if pending:
                self._clock.wait(self._closed, _REFILL_AGAIN_S)
        self._promote(slot, node, f"{pulled} keys pulled")

    def _promote(self, slot: Slot, node: DistMemory, detail: str) -> None:
        with self._lock:
            if self._slots[slot.name] is not slot or node.lifecycle.is_set():
                return
            self._put(Slot(slot.name, "up", node, slot.starts), detail)

    def _set(self, slot: Slot, detail: str) -> None:
        with self._lock:
            self._put(slot, detail)

    def _put(self, slot: Slot, detail: str) -> None:
        """With the lock."""
        self._slots = self._slots | {slot.name: slot}
        self._changed += 1
        self._changes.append(NodeChange(number=self._changed, at_ns=self._clock.now_ns(), node=slot.name, state=slot.state, detail=detail))
        self._log.info("node", name=slot.name, state=slot.state, detail=detail or "-")
