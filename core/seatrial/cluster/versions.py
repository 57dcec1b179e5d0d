"""A node's Lamport clock: the versions of its writes lie above all that it has seen."""

from __future__ import annotations

import threading


class LamportClock:
    """Threading: any thread; ``_lock`` guards ``_value``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def observe(self, version: int) -> None:
        """A version was applied, injected, or returned by a peer."""
        # Unlocked look: the value only grows, so what is not above it now never will be.
        if version > self._value:
            with self._lock:
                self._value = max(self._value, version)

    def next(self, *seen: int) -> int:
        """A version above all seen so far and above ``seen``; a fresh node's first is 1."""
        with self._lock:
            self._value = max(self._value, *seen) + 1
            return self._value
