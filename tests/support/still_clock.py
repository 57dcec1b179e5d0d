"""A clock for nodes whose background loops must not run: it moves when told, and waits on it are real."""

from __future__ import annotations

import threading

from seatrial.clock import VirtualClock


class StillClock(VirtualClock):
    """``wait`` moves no time and ends with the event, so that a loop sleeps until its node stops."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait()
