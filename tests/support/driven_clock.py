"""A clock for nodes whose background loops run when the test says so."""

from __future__ import annotations

import threading

from seatrial.clock import VirtualClock

_LOOK_AGAIN_S = 0.002


class DrivenClock(VirtualClock):
    """A wait ends once the test has moved time past it, or with its event; a slow machine makes nothing late."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        until_s = self.monotonic_s() + timeout_s
        while self.monotonic_s() < until_s and not event.wait(_LOOK_AGAIN_S):
            pass
        return event.is_set()
