"""The one place that knows what time it is. Everything else takes a ``Clock``; tests take ``VirtualClock``."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two times and a wait. Threading: safe from any thread."""

    def now_ns(self) -> int:
        """Wall time in nanoseconds since the epoch; may jump."""

    def monotonic_s(self) -> float:
        """Monotonic seconds from an arbitrary start; never goes back."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until ``event`` is set or ``timeout_s`` has passed; True when it is set."""


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(max(0.0, timeout_s))


class VirtualClock:
    """A clock that moves only when told, or when somebody waits on it. For tests."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._lock = threading.Lock()
        self._start_ns, self._elapsed_s = start_ns, 0.0

    def now_ns(self) -> int:
        with self._lock:
            return self._start_ns + int(self._elapsed_s * 1e9)

    def monotonic_s(self) -> float:
        with self._lock:
            return self._elapsed_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.advance(max(0.0, timeout_s))
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Move both times forward."""
        with self._lock:
            self._elapsed_s += seconds


SYSTEM_CLOCK = SystemClock()


def thread_cpu_s() -> float:
    """Processor seconds that the calling thread has used: for work that keeps to a share of a core."""
    return time.thread_time()


def rfc3339(at_ns: int) -> str:
    """UTC, up to nine fraction digits, trailing zeros dropped, ``Z``: what Go prints and restic stores."""
    seconds, fraction = divmod(at_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def stamp(at_ns: int) -> str:
    """``YYYYMMDD_HHMMSS`` in UTC, as file names use it."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y%m%d_%H%M%S")
