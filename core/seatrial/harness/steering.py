"""What may be asked of a running trial from outside; each request is an event in the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.errors import SeatrialError
from seatrial.harness.harness import TestHarness
from seatrial.history.events import Steer

MAX_REMARK_CHARACTERS = 4000


class Stop(Protocol):
    """Ends the trial early."""

    def __call__(self, *, now: bool, reason: str, interrupted: bool = False) -> None: ...


class Steering:
    """The handlers of the request socket. Threading: called on the socket's thread, so none of them waits for an action."""

    def __init__(self, harness: TestHarness, ctx: Context, stop: Stop) -> None:
        self._harness, self._ctx, self._stop = harness, ctx, stop
        self._collecting = threading.Lock()

    def handlers(self) -> Mapping[str, Callable[[str], str]]:
        """By command: argument in, answer out."""
        return {
            "pause": self._noted("pause", self._pause),
            "resume": self._noted("resume", self._resume),
            "stop": self._noted("stop", lambda _: self._end(now=False)),
            "stop-now": self._noted("stop-now", lambda _: self._end(now=True)),
            "gc": self._noted("gc", self._collect),
            "remark": self._noted("remark", lambda _: "noted"),
        }

    def _noted(self, command: str, handler: Callable[[str], str]) -> Callable[[str], str]:
        def handle(argument: str) -> str:
            self._harness.history.emit(Steer(command=command, argument=argument[:MAX_REMARK_CHARACTERS], by="request"))
            return handler(argument)

        return handle

    def _pause(self, _: str) -> str:
        self._harness.engine.gate.pause()
        return "paused: no new action begins"

    def _resume(self, _: str) -> str:
        self._harness.engine.gate.resume()
        return "resumed"

    def _end(self, *, now: bool) -> str:
        self._stop(now=now, reason="stopped by request")
        return "stopping now" if now else "stopping: no new action begins, what is there will be verified"

    def _collect(self, _: str) -> str:
        if not self._collecting.acquire(blocking=False):
            return "a garbage collection asked for earlier has not ended yet"
        threading.Thread(target=self._run_gc, name="steered-gc", daemon=True).start()
        return "a garbage collection was asked for"

    def _run_gc(self) -> None:
        try:
            self._harness.engine.exec_action(self._ctx, ActionName.GC)
        except SeatrialError:
            pass  # its result is in the journal
        finally:
            self._collecting.release()
