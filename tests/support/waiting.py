"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from seatrial.clock import SYSTEM_CLOCK

_LOOK_AGAIN_S = 0.01


def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
    """Whether ``condition`` becomes true within ``timeout_s``."""
    until_s = SYSTEM_CLOCK.monotonic_s() + timeout_s
    while not condition():
        if SYSTEM_CLOCK.monotonic_s() > until_s:
            return False
        SYSTEM_CLOCK.wait(threading.Event(), _LOOK_AGAIN_S)
    return True
