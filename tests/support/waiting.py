"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from seatrial.clock import SYSTEM_CLOCK

_LOOK_AGAIN_S = 0.01


def eventually(condition: Callable[[], object], timeout_s: float = 10.0, look_again_s: float = _LOOK_AGAIN_S) -> bool:
    """Whether ``condition`` becomes true within ``timeout_s``. It is looked at every ``look_again_s``."""
    until_s = SYSTEM_CLOCK.monotonic_s() + timeout_s
    while not condition():
        if SYSTEM_CLOCK.monotonic_s() > until_s:
            return False
        SYSTEM_CLOCK.wait(threading.Event(), look_again_s)
    return True


async def soon(condition: Callable[[], object], say: Callable[[], str] = str, timeout_s: float = 60.0) -> None:
    """Let others run until ``condition`` is true; ``say`` tells what stood there where it never came."""
    until_s = SYSTEM_CLOCK.monotonic_s() + timeout_s
    while not condition():
        assert SYSTEM_CLOCK.monotonic_s() < until_s, f"it never came true: {say()}"
        await asyncio.sleep(_LOOK_AGAIN_S)
