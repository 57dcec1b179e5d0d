"""Latency histograms of the public operations."""

from __future__ import annotations

import threading
from bisect import bisect_left

BOUNDS_NS = (
    *(50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_000_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000),
    1_000_000_000,
)
"""Upper bounds, inclusive; a last bucket holds what is above."""

OPERATIONS = ("set", "get", "remove")


def bucket(ns: int) -> int:
    """The bucket of a sample."""
    return bisect_left(BOUNDS_NS, ns)


class Latencies:
    """Counts by operation and bucket. Threading: any thread; ``_lock`` guards ``_counts``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {operation: [0] * (len(BOUNDS_NS) + 1) for operation in OPERATIONS}

    def record(self, operation: str, seconds: float) -> None:
        """One sample."""
        counts, index = self._counts[operation], bucket(int(seconds * 1e9))
        with self._lock:
            counts[index] += 1

    def view(self) -> dict[str, list[int]]:
        """A copy."""
        with self._lock:
            return {operation: list(counts) for operation, counts in self._counts.items()}
