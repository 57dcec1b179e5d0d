"""The background threads of a node."""

from __future__ import annotations

import threading
from collections.abc import Callable

from seatrial.cluster.attempts import attempt
from seatrial.cluster.core import NodeCore


class Loops:
    """Runs ticks until the node stops. Threading: any thread; ``_lock`` guards ``_threads``."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def start(self, name: str, delay: Callable[[], float], tick: Callable[[], object]) -> bool:
        """Wait ``delay()`` seconds, tick, and so on; False where that loop runs already or the node has stopped."""
        with self._lock:
            if self._core.lifecycle.is_set() or name in self._threads:
                return False
            thread = threading.Thread(target=self._run, args=(name, delay, tick), name=f"cluster-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
            return True

    def join(self, timeout: float | None) -> None:
        """Wait for all loops; ``timeout`` seconds in all, None without limit."""
        clock = self._core.clock
        end = None if timeout is None else clock.monotonic_s() + timeout
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(None if end is None else max(0.0, end - clock.monotonic_s()))

    def _run(self, name: str, delay: Callable[[], float], tick: Callable[[], object]) -> None:
        while not self._core.clock.wait(self._core.lifecycle, delay()):
            _, error = attempt(tick)
            if error is not None:
                self._core.log.error("background tick failed", exc_info=error, extra={"loop": name})
