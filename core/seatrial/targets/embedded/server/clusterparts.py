"""What ``ClusterNodes`` is made of: a node's place, what nodes have counted, who calls them, and what they believe of one another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from seatrial.cluster import DistMemory, DistMetrics, NodeState
from seatrial.history.frames import NodeStateName


@dataclass(frozen=True, slots=True)
class Slot:
    """A node's place at one moment; replaced whole. What ``node`` says counts for the moment, also if it is stopped meanwhile."""

    name: str
    state: NodeStateName
    node: DistMemory | None
    starts: int

    @property
    def reachable(self) -> DistMemory | None:
        """The node, where the server can call it."""
        return None if self.state == "split" else self.node

    @property
    def whole(self) -> bool:
        """Whether what it lacks is nowhere for want of having been told: it has missed nothing."""
        return self.state in ("up", "draining")


@dataclass(slots=True)
class Totals:
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


class Calls:
    """The server's calls that make nodes call one another, and moments without any. Threading: any thread; ``_idle`` guards all fields."""

    def __init__(self) -> None:
        self._idle = threading.Condition()
        self._running, self._held = 0, False

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call, at most as long as one takes."""
        with self._idle:
            self._idle.wait_for(lambda: not self._held)
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    @contextmanager
    def none(self) -> Iterator[None]:
        """Those under way have ended, and further ones wait. For one thread at a time."""
        with self._idle:
            self._held = True
            self._idle.wait_for(lambda: not self._running)
        try:
            yield
        finally:
            with self._idle:
                self._held = False
                self._idle.notify_all()


def seen_of(slots: Sequence[Slot]) -> dict[str, str]:
    """What the nodes that can be asked believe of one another, the worst of each; of who is alone with its belief, nothing."""
    believed: dict[str, NodeState] = {}
    for slot in slots:
        for member in slot.node.membership.list() if slot.node is not None else ():
            if member.id != slot.name:
                believed[member.id] = max(believed.get(member.id, NodeState.ALIVE), member.state)
    return {name: str(state) for name, state in believed.items()}
