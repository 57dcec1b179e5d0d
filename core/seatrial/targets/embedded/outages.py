"""The nodes of an embedded server on a cluster, seen from the engine: what they did becomes events, and some are made to fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from seatrial.clock import Clock
from seatrial.context import Context
from seatrial.errors import OperationError, SeatrialError
from seatrial.history.events import ClusterEvent, Fault, NodeEvent, NotRun
from seatrial.history.frames import ClusterFrame, NodeStateName
from seatrial.targets.embedded.control import Control
from seatrial.targets.embedded.nodefaults import FaultName, NodeFault
from seatrial.targets.embedded.server.config import NodeOrder
from seatrial.targets.protocols import EventSink
from seatrial.verdicts import Outcome

_LOOK_AGAIN_S = 0.1
_COME_TO_S = 120.0
"""For a node to hand over what it holds, or to be refilled."""


class _Way(NamedTuple):
    """How nodes are struck by a fault, and what is said of it."""

    order: NodeOrder
    away: NodeStateName
    """What they are then."""
    said: str


_WAYS: dict[FaultName, _Way] = {
    "stop-node": _Way("down", "down", "loses all it holds"),
    "drain-node": _Way("drained", "down", "hands over what it holds and goes"),
    "split-nodes": _Way("split", "split", "cut off from the rest"),
}
_COUNTED = ("hints_queued", "hints_replayed", "repairs", "pulled", "quorum_failures")


class ClusterNews:
    """Tells what is new in each frame. Threading: any thread; ``_lock`` guards what has been told, and the order of telling."""

    def __init__(self, emit: EventSink) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._number = -1
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._waiting = 0

    def tell(self, frame: ClusterFrame) -> None:
        """Emit the changes of nodes since the last frame, and what the nodes did if they did anything."""
        with self._lock:
            if self._number < 0:
                self._emit(ClusterEvent(ring=_ring(frame)))
                self._number = 0
            for change in frame.changes:
                if change.number > self._number:
                    self._number = change.number
                    self._emit(NodeEvent(node=change.node, state=change.state, detail=change.detail))
            counts = {name: getattr(frame, name) for name in _COUNTED}
            waiting = sum(node.hints_waiting for node in frame.nodes)
            # A node that stops between two looks takes a few counts with it.
            news = {name: count - self._counts[name] for name, count in counts.items() if count > self._counts[name]}
            if news or waiting != self._waiting:
                self._emit(ClusterEvent(hints_waiting=waiting, **news))
            self._counts, self._waiting = counts, waiting


def _ring(frame: ClusterFrame) -> str:
    return (
        f"{len(frame.nodes)} nodes, {frame.replication} owners per key, {frame.ring_places} places on the ring, "
        f"write {frame.write_consistency}, read {frame.read_consistency}"
    )


class Outages:
    """Strikes nodes with ``faults``, one after the other, each once all nodes are up after the one before.

    Each lasts ``outage_s``, and half of that passes before it. Those that the end leaves out are told by name. Threading: ``begin`` and
    ``heal`` by one thread; the outages are on a thread of their own, which ends with ``heal``.
    """

    def __init__(
        self, faults: Sequence[NodeFault], outage_s: float, control: Control, news: ClusterNews, emit: EventSink, clock: Clock
    ) -> None:
        self._faults, self._outage_s = faults, outage_s
        self._control, self._news, self._emit, self._clock = control, news, emit, clock
        self._over, self._abandoned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outages", daemon=True)
        self._failure: SeatrialError | None = None

    def begin(self) -> None:
        """Returns at once."""
        self._thread.start()

    def heal(self, ctx: Context) -> None:
        """No further outage; returns once every node is up again. Raises ``OperationError`` where one does not come back."""
        self._over.set()
        forget = ctx.cancel.on_cancel(self._abandoned.set)
        try:
            self._thread.join()
        finally:
            forget()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """End the thread; nodes stay as they are. Idempotent."""
        self._over.set()
        self._abandoned.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for number, fault in enumerate(self._faults):
                if self._clock.wait(self._over, self._outage_s / 2):
                    self._leave_out(self._faults[number:])
                    return
                self._outage(fault)
        except SeatrialError as error:
            self._failure = error

    def _leave_out(self, faults: Sequence[NodeFault]) -> None:
        for fault in faults:
            self._emit(NotRun(action=fault.fault, why=f"the clients were done before it was the turn of {', '.join(fault.nodes)}"))

    def _outage(self, fault: NodeFault) -> None:
        way, names = _WAYS[fault.fault], ", ".join(fault.nodes)
        self._emit(Fault(fault=fault.fault, state="begin", detail=f"{names}: {way.said}"))
        self._order(fault.nodes, way.order, way.away)
        self._clock.wait(self._over, self._outage_s)
        keys = self._order(fault.nodes, "up", "up")
        if not self._abandoned.is_set():
            self._emit(Fault(fault=fault.fault, state="end", detail=f"{names}: up with {keys} keys"))

    def _order(self, names: Sequence[str], order: NodeOrder, state: NodeStateName) -> int:
        """Until all of them have come to ``state``, or it is abandoned; how many keys they hold."""
        for name in names:
            self._control.order_node(name, order)
        give_up_s = self._clock.monotonic_s() + _COME_TO_S
        while not self._abandoned.is_set():
            nodes = [node for node in self._frame().nodes if node.name in names]
            if all(node.state == state for node in nodes):
                return sum(node.keys for node in nodes)
            if self._clock.monotonic_s() > give_up_s:
                late = ", ".join(f"{node.name} is {node.state}" for node in nodes if node.state != state)
                message = f"{late}, and did not come to be {state} within {_COME_TO_S:.0f} s"
                raise OperationError(message, cause="timeout", outcome=Outcome.FAILED, where="embedded server")
            self._clock.wait(self._abandoned, _LOOK_AGAIN_S)
        return 0

    def _frame(self) -> ClusterFrame:
        frame = self._control.status(patient=True).cluster
        if frame is None:
            raise OperationError("the server has no nodes", cause="protocol", where="embedded server")
        self._news.tell(frame)
        return frame
