"""What each client does at this moment, for the engine that counts its actions and for telemetry that shows them."""

from __future__ import annotations

import threading

from seatrial.clock import Clock
from seatrial.context import Context, Progress
from seatrial.history.frames import ClientFrame, ClientState


class ClientSlot:
    """One client.

    Threading: ``busy`` is held for the whole of an action, so a client does one thing at a time whoever asks. The other fields are
    written by the holder of ``busy`` and replaced whole, so any thread may read them.
    """

    def __init__(self, index: int, ctx: Context, clock: Clock) -> None:
        self.index, self.ctx = index, ctx
        self.busy = threading.Lock()
        self.actions = 0
        self.wrote_since_snapshot = False
        self.program = ""
        self._clock = clock
        self._now: tuple[ClientState, str, str, float, Progress] = ("joining", "", "", clock.monotonic_s(), ctx.progress)

    def enter(self, state: ClientState, action: str = "", op: str = "") -> None:
        """A new state, from now on."""
        self._now = (state, action, op, self._clock.monotonic_s(), self.ctx.progress)

    def frame(self) -> ClientFrame:
        """The state now, with the progress of a running action."""
        state, action, op, since_s, progress = self._now
        frame = ClientFrame(state=state, action=action, op=op, since_s=self._clock.monotonic_s() - since_s)
        if state != "running":
            return frame
        return ClientFrame(
            state=state,
            action=action,
            op=op,
            since_s=frame.since_s,
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            unit=progress.unit,
        )


class ClientSlots:
    """All clients of an engine, in the order in which they came. Threading: any thread; ``_lock`` guards the map."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[str, ClientSlot] = {}

    def of(self, client_id: str) -> ClientSlot | None:
        with self._lock:
            return self._slots.get(client_id)

    def add(self, client_id: str, ctx: Context) -> tuple[ClientSlot, bool]:
        """The client's place, with the next index where it has none yet; and whether it had none: the operator may come on two threads."""
        with self._lock:
            if (known := self._slots.get(client_id)) is not None:
                return known, False
            slot = self._slots[client_id] = ClientSlot(len(self._slots), ctx, self._clock)
            return slot, True

    def programs(self) -> dict[str, str]:
        """What acts as each client, by client id, of those whose target tells."""
        return {slot.ctx.client.id: slot.program for slot in self.all() if slot.ctx.client is not None and slot.program}

    def all(self) -> list[ClientSlot]:
        with self._lock:
            return list(self._slots.values())

    def frames(self) -> dict[str, ClientFrame]:
        """By client id; clients that are gone are left out."""
        with self._lock:
            slots = list(self._slots.items())
        frames = {client_id: slot.frame() for client_id, slot in slots}
        return {client_id: frame for client_id, frame in frames.items() if frame.state != "gone"}
