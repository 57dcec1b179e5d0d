"""Who belongs to the cluster, and what is believed of each."""

from __future__ import annotations

import builtins
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.cluster.attempts import attempt
from seatrial.cluster.hashing import node_id_for
from seatrial.cluster.node import Node, NodeState
from seatrial.cluster.ring import Ring

StateObserver = Callable[[str, NodeState, int], None]
"""Called with (id, state, version)."""

_log = logging.getLogger(__name__)


class Membership:
    """The members and the ring that they make.

    Threading: any thread. ``_lock`` guards ``_nodes``, ``_version`` and ``_observers``; ``_ring_lock`` guards ``_built``. The ring is built
    from snapshots taken under ``_lock``, in the order of their versions, so that an older one never overwrites a newer one. Observers
    run on the mutating thread, in the order of registration, with no lock held, after the ring stands.
    """

    def __init__(self, ring: Ring, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.ring = ring
        self._clock = clock
        self._lock = threading.Lock()
        self._ring_lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._observers: builtins.list[StateObserver] = []
        self._version = 0
        self._built = 0

    @property
    def version(self) -> int:
        """Number of changes so far."""
        with self._lock:
            return self._version

    def upsert(self, node: Node) -> None:
        """Add or replace; the object itself is kept, so that a node and its record are one."""
        with self._lock:
            node.last_seen = self._clock.monotonic_s()
            self._nodes[node.id] = node
            event, snapshot = self._changed(node.id, node.state)
        self._publish(event, snapshot)

    def remove(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Forget a member; False where there is none."""
        with self._lock:
            if self._nodes.pop(id, None) is None:
                return False
            event, snapshot = self._changed(id, NodeState.DEAD)
        self._publish(event, snapshot)
        return True

    def learn(self, told: Node) -> builtins.list[str] | None:
        """Take a member that a peer or a user tells of, where it is news: not known, or of a higher incarnation.

        An address is one member's: an id that was only derived from it gives way to an explicit one, and never joins it. That is one step,
        so that two who tell of one address at the same time cannot leave both. The ids that gave way; None where it was no news.
        """
        with self._lock:
            known = self._nodes.get(told.id)
            if known is not None and told.incarnation <= known.incarnation:
                return None
            guessed, same_place = node_id_for(told.address), []
            if known is None and told.address:
                same_place = [node.id for node in self._nodes.values() if node.address == told.address]
            if same_place and told.id == guessed:
                return None
            gave_way = [node_id for node_id in same_place if node_id == guessed]
            changes = []
            for node_id in gave_way:
                del self._nodes[node_id]
                changes.append(self._changed(node_id, NodeState.DEAD))
            told.last_seen = self._clock.monotonic_s()
            self._nodes[told.id] = told
            changes.append(self._changed(told.id, told.state))
        for event, _ in changes:
            self._publish(event, changes[-1][1])
        return gave_way

    def mark(self, id: str, state: NodeState) -> bool:  # noqa: A002 - the field's name
        """Set a member's state; the same state only refreshes when it was last seen. False where there is no such member."""
        with self._lock:
            node = self._nodes.get(id)
            if node is None:
                return False
            node.last_seen = self._clock.monotonic_s()
            if node.state == state:
                return True
            moves_ring = NodeState.DEAD in (node.state, state)
            node.state = state
            node.incarnation += 1
            event, snapshot = self._changed(id, state)
        self._publish(event, snapshot if moves_ring else None)
        return True

    def refute(self, id: str, *, claimed: int = 0) -> bool:  # noqa: A002 - the field's name
        """Make a member ALIVE with an incarnation above its own and above ``claimed``, so that the claim loses everywhere."""
        with self._lock:
            node = self._nodes.get(id)
            if node is None:
                return False
            moves_ring = node.state == NodeState.DEAD
            node.incarnation = max(node.incarnation, claimed) + 1
            node.state = NodeState.ALIVE
            node.last_seen = self._clock.monotonic_s()
            event, snapshot = self._changed(id, NodeState.ALIVE)
        self._publish(event, snapshot if moves_ring else None)
        return True

    def list(self) -> builtins.list[Node]:
        """Copies of all members, in the order of their joining."""
        with self._lock:
            return [node.clone() for node in self._nodes.values()]

    def get(self, id: str) -> Node | None:  # noqa: A002 - the field's name
        """A copy of one member."""
        with self._lock:
            node = self._nodes.get(id)
            return node.clone() if node else None

    def snapshot(self) -> dict[str, Any]:
        """``{"version", "counts": {"alive", "suspect", "dead"}}``, of one moment."""
        with self._lock:
            counts = Counter(node.state for node in self._nodes.values())
            return {"version": self._version, "counts": {str(state): counts[state] for state in NodeState}}

    def on_state_change(self, fn: StateObserver | None) -> None:
        """Have ``fn`` told of every change from now on; None is ignored."""
        if fn is not None:
            with self._lock:
                self._observers.append(fn)

    def forget_observer(self, fn: StateObserver) -> None:
        """Take an observer back: a stopped node must not be kept alive by a membership that it shared."""
        with self._lock:
            if fn in self._observers:
                self._observers.remove(fn)

    def _changed(self, id: str, state: NodeState) -> tuple[tuple[str, NodeState, int], builtins.list[Node]]:  # noqa: A002 - the field's name
        self._version += 1
        return (id, state, self._version), [node for node in self._nodes.values() if node.state != NodeState.DEAD]

    def _publish(self, event: tuple[str, NodeState, int], members: builtins.list[Node] | None) -> None:
        if members is not None:
            with self._ring_lock:
                if event[2] > self._built:
                    self._built = event[2]
                    self.ring.build(members)
        with self._lock:
            observers = tuple(self._observers)
        for observer in observers:
            _, error = attempt(observer, *event)
            if error is not None:
                _log.error("membership observer failed", exc_info=error, extra={"component": "dist_memory", "node_id": event[0]})
