"""The nodes of an embedded server on a cluster, seen from the engine: what they did becomes events, and some are made to fail."""

from __future__ import annotations

import threading

from seatrial.clock import Clock
from seatrial.config.model import EmbeddedSettings
from seatrial.context import Context
from seatrial.errors import OperationError, SeatrialError
from seatrial.history.events import ClusterEvent, Fault, NodeEvent
from seatrial.history.frames import ClusterFrame
from seatrial.targets.embedded.control import Control
from seatrial.targets.protocols import EventSink
from seatrial.verdicts import Outcome

_FAULT = "stop-node"
_LOOK_AGAIN_S = 0.1
_REFILLED_S = 120.0
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
    """Stops ``stop_nodes`` nodes, one after the other, each once the one before has been refilled.

    Threading: ``begin`` and ``heal`` by one thread; the outages are on a thread of their own, which ends with ``heal``.
    """

    def __init__(self, settings: EmbeddedSettings, control: Control, news: ClusterNews, emit: EventSink, clock: Clock) -> None:
        self._settings, self._control, self._news, self._emit, self._clock = settings, control, news, emit, clock
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
            names = [node.name for node in self._frame().nodes]
            # Evenly over the ring's numbers, so that the same preset breaks the same nodes.
            step = max(1, len(names) // max(1, self._settings.stop_nodes))
            for index in range(self._settings.stop_nodes):
                if self._clock.wait(self._over, self._settings.outage_s / 2):
                    return
                self._outage(names[index * step])
        except SeatrialError as error:
            self._failure = error

    def _outage(self, name: str) -> None:
        self._emit(Fault(fault=_FAULT, state="begin", detail=f"{name} loses all it holds"))
        self._control.stop_node(name)
        self._frame()
        self._clock.wait(self._over, self._settings.outage_s)
        self._control.start_node(name)
        give_up_s = self._clock.monotonic_s() + _REFILLED_S
        while not self._abandoned.is_set():
            node = next(node for node in self._frame().nodes if node.name == name)
            if node.state == "up":
                self._emit(Fault(fault=_FAULT, state="end", detail=f"{name} is back with {node.keys} keys"))
                return
            if self._clock.monotonic_s() > give_up_s:
                message = f"the node {name} was not refilled within {_REFILLED_S:.0f} s"
                raise OperationError(message, cause="timeout", outcome=Outcome.FAILED, where="embedded server")
            self._clock.wait(self._abandoned, _LOOK_AGAIN_S)

    def _frame(self) -> ClusterFrame:
        frame = self._control.status().cluster
        if frame is None:
            raise OperationError("the server has no nodes", cause="protocol", where="embedded server")
        self._news.tell(frame)
        return frame
