"""What may be asked of a running trial from outside; each request that is not refused is an event in the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from seatrial.config.model import ActionName
from seatrial.context import Context, unwrap_context
from seatrial.errors import SeatrialError, UsageError
from seatrial.harness.chaos import Chaos
from seatrial.harness.harness import TestHarness
from seatrial.history.events import Steer
from seatrial.history.tallies import pet_name

MAX_REMARK_CHARACTERS = 4000


class Stop(Protocol):
    """Ends the trial early."""

    def __call__(self, *, now: bool, reason: str, interrupted: bool = False) -> None: ...


class Steering:
    """The handlers of the request socket.

    Threading: called on the socket's thread, so none of them waits for an action; ``close`` by any, when none of them is called any more.
    """

    def __init__(self, harness: TestHarness, ctx: Context, stop: Stop, chaos: Callable[[], Chaos | None]) -> None:
        """``chaos``: the phase in which clients act, None before it."""
        self._harness, self._ctx, self._stop, self._chaos = harness, ctx, stop, chaos
        self._collecting: threading.Thread | None = None

    def close(self) -> None:
        """Wait for a garbage collection under way, which has to end before its server does; one that has yet to begin does not."""
        if self._collecting is not None:
            self._harness.engine.gate.turn_away()
            self._collecting.join()

    def handlers(self) -> Mapping[str, Callable[[str], str]]:
        """By command: argument in, answer out."""
        return {
            "pause": self._noted("pause", self._pause),
            "resume": self._noted("resume", self._resume),
            "stop": self._noted("stop", lambda _: self._end(now=False)),
            "stop-now": self._noted("stop-now", lambda _: self._end(now=True)),
            "gc": self._collect,
            "remark": self._noted("remark", lambda _: "noted"),
            "snapshot": self._take_snapshot,
            "add-client": self._add_client,
            "remove-client": self._remove_client,
            "status": self._status,
        }

    def _noted(self, command: str, handler: Callable[[str], str]) -> Callable[[str], str]:
        def handle(argument: str) -> str:
            self._note(command, argument)
            return handler(argument)

        return handle

    def _note(self, command: str, argument: str) -> None:
        self._harness.history.emit(Steer(command=command, argument=argument[:MAX_REMARK_CHARACTERS], by="request"))

    # What is refused never happened: these look first, then note, then act. Between looking and acting the phase may end, which the
    # answer then says.

    def _take_snapshot(self, name: str) -> str:
        members = self._acting().members
        client = members.find(name)
        members.ask_snapshot(client, check_only=True)
        self._note("snapshot", client)
        members.ask_snapshot(client)
        return f"{pet_name(client)} takes a snapshot at its next turn{self._when_resumed()}"

    def _add_client(self, _: str) -> str:
        chaos = self._acting()
        ctx = chaos.newcomer(self._ctx)
        client = unwrap_context(ctx).id
        self._note("add-client", client)
        chaos.add(ctx)
        return f"{pet_name(client)} joins, and acts with the others{self._when_resumed()}"

    def _remove_client(self, name: str) -> str:
        members = self._acting().members
        client = members.find(name)
        members.ask_to_leave(client, check_only=True)
        self._note("remove-client", client)
        members.ask_to_leave(client)
        return f"{pet_name(client)} leaves after its action under way{self._when_resumed()}; its snapshots stay"

    def _acting(self) -> Chaos:
        chaos = self._chaos()
        if chaos is None:
            raise UsageError("no client acts yet", remedy="ask in the chaos phase")
        return chaos

    def _when_resumed(self) -> str:
        return ", once the run is resumed" if self._harness.engine.gate.paused else ""

    def _status(self, _: str) -> str:
        """Not noted: to look is not to steer."""
        view, chaos, gate = self._harness.history.view(), self._chaos(), self._harness.engine.gate
        clients = len(chaos.members.present()) if chaos else view.header.clients
        ok, failed, unknown = (sum(getattr(row, name) for row in view.actions) for name in ("ok", "failed", "unknown"))
        return "; ".join(
            (
                (view.phase.name if view.phase else "starting") + (", paused" if gate.paused else ""),
                f"clients {clients}, in flight {gate.in_flight}, waiting {gate.waiting}",
                f"ok {ok}, failed {failed}, unknown {unknown}",
                f"findings {view.findings_total}, {view.verdict.name} so far",
            )
        )

    def _pause(self, _: str) -> str:
        self._harness.engine.gate.pause()
        return "paused: no new action begins"

    def _resume(self, _: str) -> str:
        self._harness.engine.gate.resume()
        return "resumed"

    def _end(self, *, now: bool) -> str:
        self._stop(now=now, reason="stopped by request")
        return "stopping now" if now else "stopping: no new action begins, what is there will be verified"

    def _collect(self, argument: str) -> str:
        if why := self._harness.server.absent.get(ActionName.GC):
            raise UsageError(f"no garbage collection here: {why}", remedy="collect it where the server runs")
        self._note("gc", argument)
        if self._collecting is not None and self._collecting.is_alive():
            return "a garbage collection asked for earlier has not ended yet"
        collecting = threading.Thread(target=self._run_gc, name="steered-gc", daemon=True)
        collecting.start()
        self._collecting = collecting  # one that could not be started is not waited for
        return "a garbage collection was asked for"

    def _run_gc(self) -> None:
        with suppress(SeatrialError):  # its result is in the journal
            self._harness.engine.exec_action(self._ctx, ActionName.GC, times=1)
