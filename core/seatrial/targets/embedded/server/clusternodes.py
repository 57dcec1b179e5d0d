"""The nodes of a cluster store, all in this process: which of them run, which have yet to be refilled, and what is told of them.

A node that is stopped loses what it held, as a process that dies does. One that is drained hands over first what other owners of its keys
lack. Started again either is empty, and *recovering* until it has pulled from every node that is up: only then does "I have no such key"
from it mean anything. One that is split runs on, on the other side of the cut; the server stands on the side of the rest. Joined again it
keeps what it has, and recovers too, since it has missed what happened meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from seatrial.clock import Clock
from seatrial.cluster import Chaos, Consistency, DistMemory, InProcessTransport, Membership, Node, Ring, required_acks
from seatrial.cluster.attempts import attempt
from seatrial.errors import UsageError
from seatrial.history.frames import ClusterFrame, NodeChange, NodeFrame
from seatrial.targets.embedded.server.clusterparts import Calls, Slot, Totals, seen_of
from seatrial.targets.embedded.server.config import ClusterConfig, NodeOrder
from seatrial.targets.embedded.server.log import ServerLog
from seatrial.targets.embedded.server.store import UnknownNode

_CHANGES_KEPT = 64
"""Of node states, for whoever asks: it asks once a second."""
_AGAIN_S = 0.1
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


class ClusterNodes:
    """``n1``, ``n2``, ... with one ring.

    Threading: any thread. ``_lock`` guards the slots (replaced whole, read without it), the changes, the totals, the nodes that are being
    stopped and not in the totals yet, and the threads that refill and drain; it is not held while a node is made, stopped, drained or
    refilled. ``_changing`` lets one order at a time begin, and guards ``_split``.
    """

    def __init__(self, config: ClusterConfig, log: ServerLog, clock: Clock) -> None:
        if config.replication > config.nodes:
            raise UsageError(
                f"a replication of {config.replication} needs as many nodes, and there are {config.nodes}", where="embedded.replication"
            )
        self.config = config
        self.write_level, self.read_level = Consistency[config.write_consistency.upper()], Consistency[config.read_consistency.upper()]
        self.acks = required_acks(config.replication, self.write_level)
        """How many owners hold what was acknowledged."""
        self.answers = required_acks(config.replication, self.read_level)
        """How many owners have to answer a read."""
        self._log, self._clock = log, clock
        self._lock, self._changing = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._changes: deque[NodeChange] = deque(maxlen=_CHANGES_KEPT)
        self._changed = 0
        self._totals = Totals()
        self._ending: list[DistMemory] = []
        self._at_work: list[threading.Thread] = []
        self._calls = Calls()
        self._chaos, self._split = Chaos(clock=clock), frozenset[str]()
        self._transport = InProcessTransport()
        self._names = [f"n{number}" for number in range(1, config.nodes + 1)]
        self._ring = self._membership().ring
        self._slots: dict[str, Slot] = {}
        try:
            for name in self._names:
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

    @contextmanager
    def coordinator(self, key: str) -> Iterator[DistMemory]:
        """A node that takes writes, the first owner of ``key`` if it does: whom a client would ask. ``OSError`` where none does.

        For one call; while it lasts no node begins to drain, or is cut off.
        """
        with self._calls.one():
            for name in (*self.owners(key), *self._names):
                slot = self._slots[name]
                if slot.reachable is not None and slot.state != "draining":
                    break
            else:
                raise OSError("no node of the cluster takes a call")
            yield slot.reachable

    # -- for whoever breaks it

    def order(self, name: str, wanted: NodeOrder) -> None:
        """``Nodes.order``."""
        with self._changing:
            slot = self.slot(name)
            if self._closed.is_set():
                return
            match wanted:
                case "up":
                    self._start(slot)
                case "down":
                    self._stop(slot)
                case "drained":
                    self._drain(slot)
                case "split":
                    self._cut_off(slot)

    def close(self) -> None:
        """Stop all nodes and threads. Idempotent."""
        self._closed.set()
        with self._changing:
            for slot in self.slots():
                if slot.node is not None:
                    slot.node.stop(_STOP_S)
        with self._lock:
            threads = list(self._at_work)
        for thread in threads:
            thread.join()

    # -- for whoever watches

    def frame(self, used: dict[str, int]) -> ClusterFrame:
        """How it stands; ``used`` are the bytes that are reserved on each node."""
        places = [entry.rpartition(":")[2] for entry in self._ring.vnode_hashes()]
        with self._lock:
            slots, changes = self.slots(), list(self._changes)
            totals, ending = replace(self._totals), list(self._ending)
        running = [slot.node for slot in slots if slot.node is not None]
        seen = seen_of([slot for slot in slots if slot.reachable is not None])
        for node in (*running, *ending):
            totals.add(node.metrics())
        return ClusterFrame(
            nodes=[
                NodeFrame(
                    name=slot.name,
                    state=slot.state,
                    seen=seen.get(slot.name, ""),
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

    def _start(self, slot: Slot) -> None:
        """One that is down: empty. One that is split: as it is."""
        if slot.node is not None and slot.state != "split":
            return
        node = slot.node or self._make(slot.name)
        recovering = Slot(slot.name, "recovering", node, slot.starts + (slot.node is None))
        self._set(recovering, "" if slot.node is None else f"joined again with {node.count()} keys")
        # From here on it gets each write itself, and pulls what came before.
        self._transport.register(node)
        self._cut(self._split - {slot.name})
        self._work(self._refill, recovering, node)

    def _stop(self, slot: Slot) -> None:
        if slot.node is not None:
            self._end(Slot(slot.name, "down", None, slot.starts), slot.node, f"{slot.node.count()} keys lost")

    def _drain(self, slot: Slot) -> None:
        if slot.reachable is None or slot.state == "draining":
            return
        draining = Slot(slot.name, "draining", slot.reachable, slot.starts)
        with self._calls.none():  # so that nobody is refused who has been given this one as coordinator
            self._set(draining, "")
            slot.reachable.drain()
        self._work(self._hand_over, draining, slot.reachable)

    def _cut_off(self, slot: Slot) -> None:
        if slot.reachable is None or slot.state == "draining":
            return
        # Not in the midst of a write. One that this node coordinates and no other gets is never acknowledged, and would come back from it
        # with a version that may be above that of a delete since: nodes that cannot hear of one another have clocks of their own.
        with self._calls.none():
            self._set(Slot(slot.name, "split", slot.reachable, slot.starts), f"cut off with {slot.reachable.count()} keys")
            self._cut(self._split | {slot.name})

    def _cut(self, split: frozenset[str]) -> None:
        self._split = split
        self._chaos.split(split)

    def _end(self, down: Slot, node: DistMemory, detail: str) -> None:
        self._transport.unregister(down.name)
        with self._lock:
            self._put(down, detail)
            self._ending.append(node)
        self._cut(self._split - {down.name})
        node.stop(_STOP_S)
        with self._lock:
            self._ending.remove(node)
            self._totals.add(node.metrics())

    def _work(self, work: Callable[[Slot, DistMemory], None], slot: Slot, node: DistMemory) -> None:
        thread = threading.Thread(target=work, args=(slot, node), name=f"{slot.state}-{slot.name}", daemon=True)
        with self._lock:
            self._at_work = [each for each in self._at_work if each.is_alive()] + [thread]
        thread.start()

    def _membership(self) -> Membership:
        """A view of its own for each node: those on two sides of a cut do not believe the same."""
        membership = Membership(Ring(replication=self.config.replication), clock=self._clock)
        for name in self._names:
            membership.upsert(Node.new(name, f"{name}:0"))
        return membership

    def _make(self, name: str) -> DistMemory:
        return DistMemory(
            membership=self._membership(),
            local_node=Node.new(name, f"{name}:0"),
            transport=self._transport,
            chaos=self._chaos,
            read_consistency=self.read_level,
            write_consistency=self.write_level,
            hint_max_bytes=self.config.node_memory_bytes,
            clock=self._clock,
            **_LOOPS,
        )

    def _refill(self, slot: Slot, node: DistMemory) -> None:
        """Pull from each node that is up. What is written meanwhile reaches this one by itself, as it is registered already."""
        # A node that is down or recovering has nothing to give that those that are up have not: acknowledged is what enough hold.
        pulled = self._with_others(
            slot, lambda other: other.whole, lambda other: node.sync_with(other.local_node_id, owned_only=True).pulled
        )
        with self._lock:
            if self._is_still(slot):
                self._put(Slot(slot.name, "up", node, slot.starts), f"{pulled} keys pulled")

    def _hand_over(self, slot: Slot, node: DistMemory) -> None:
        """Have each other node pull what it lacks of its own; then nobody calls this one any more, and what it kept for others goes too."""
        handed = self._with_others(
            slot, lambda other: other.reachable is not None, lambda other: other.sync_with(slot.name, owned_only=True).pulled
        )
        with self._changing:
            if self._is_still(slot) and not self._closed.is_set():
                self._transport.unregister(slot.name)
                node.replay_hints()
                down = Slot(slot.name, "down", None, slot.starts)
                self._end(down, node, f"drained of {node.count()} keys, {handed} of which others lacked")

    def _with_others(self, slot: Slot, counts: Callable[[Slot], bool], call: Callable[[DistMemory], int]) -> int:
        """``call`` with each other node that ``counts``, again until it succeeds; the sum. Ends early where ``slot`` is no more."""
        done = 0
        pending = [name for name in self._names if name != slot.name]
        while pending and self._is_still(slot) and not self._closed.is_set():
            failed = []
            for other in map(self.slot, pending):
                result, _ = attempt(call, other.node) if counts(other) and other.node is not None else (0, None)
                if result is None:
                    failed.append(other.name)
                done += result or 0
            pending = failed
            if pending:
                self._clock.wait(self._closed, _AGAIN_S)
        return done

    def _is_still(self, slot: Slot) -> bool:
        return self._slots[slot.name] is slot

    def _set(self, slot: Slot, detail: str) -> None:
        with self._lock:
            self._put(slot, detail)

    def _put(self, slot: Slot, detail: str) -> None:
        """With the lock."""
        self._slots = self._slots | {slot.name: slot}
        self._changed += 1
        self._changes.append(NodeChange(number=self._changed, at_ns=self._clock.now_ns(), node=slot.name, state=slot.state, detail=detail))
        self._log.info("node", name=slot.name, state=slot.state, detail=detail or "-")
