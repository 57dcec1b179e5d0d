"""One thread that acts when deadlines pass: kills programs that overstay, wakes sockets that are stuck."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
from collections.abc import Callable

from seatrial.clock import SYSTEM_CLOCK, Clock

_IDLE_S = 3600.0
_SLACK = 64
"""Entries taken back stay in the heap until they outnumber the live ones by this many: bounds it without searching it."""


class Alarms:
    """Callbacks at points of the monotonic clock.

    Threading: any thread sets and takes back; callbacks run one after another on the one alarm thread, outside the lock, and must not
    block. The lock guards ``_heap``, ``_pending`` and ``_closed``. The thread starts with the first alarm and ends with ``close()``.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._heap: list[tuple[float, int]] = []
        self._pending: dict[int, Callable[[], object]] = {}
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def at(self, when_s: float, callback: Callable[[], object]) -> Callable[[], None]:
        """Run ``callback`` once the monotonic clock shows ``when_s``; after ``close`` nothing runs.

        Returns a function that takes it back. ``RuntimeError`` where the machine has no thread for the first one; a later one tries again.
        """
        with self._lock:
            number = next(self._numbers)
            if self._closed:
                return lambda: None
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="alarms", daemon=True)
                thread.start()
                self._thread = thread  # one that could not be started must not be taken for one that serves
            self._pending[number] = callback
            heapq.heappush(self._heap, (when_s, number))
            earliest = self._heap[0][1] == number
        if earliest:
            self._wake.set()
        return lambda: self._take_back(number)

    def after(self, delay_s: float, callback: Callable[[], object]) -> Callable[[], None]:
        """``at``, counted from now."""
        return self.at(self._clock.monotonic_s() + delay_s, callback)

    def close(self) -> None:
        """Forget all alarms and end the thread. Idempotent."""
        with self._lock:
            self._closed = True
            self._pending.clear()
            self._heap.clear()
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _take_back(self, number: int) -> None:
        with self._lock:
            self._pending.pop(number, None)
            if len(self._heap) > 2 * len(self._pending) + _SLACK:
                self._heap = [entry for entry in self._heap if entry[1] in self._pending]
                heapq.heapify(self._heap)

    def _serve(self) -> None:
        while True:
            self._wake.clear()  # before looking: an alarm set after the look sets it again
            with self._lock:
                if self._closed:
                    return
                due, timeout_s = self._due()
            for callback in due:
                _shielded(callback)
            if not due:
                self._clock.wait(self._wake, timeout_s)

    def _due(self) -> tuple[list[Callable[[], object]], float]:
        due: list[Callable[[], object]] = []
        now_s = self._clock.monotonic_s()
        while self._heap:
            when_s, number = self._heap[0]
            if number in self._pending and when_s > now_s:
                return due, min(when_s - now_s, _IDLE_S)
            heapq.heappop(self._heap)
            callback = self._pending.pop(number, None)
            if callback is not None:
                due.append(callback)
        return due, _IDLE_S


def _shielded(callback: Callable[[], object]) -> None:
    # One broken callback must not cost the others their deadline; it is still shown, by the hook for dying threads.
    try:
        callback()
    except Exception:  # noqa: BLE001 - reported through threading.excepthook
        kind, error, trace = sys.exc_info()
        if kind is not None:
            threading.excepthook(threading.ExceptHookArgs((kind, error, trace, threading.current_thread())))
