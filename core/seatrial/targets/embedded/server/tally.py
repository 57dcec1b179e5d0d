"""What the server counts of itself."""

from __future__ import annotations

import threading

from seatrial.history.histogram import Histogram


class Tally:
    """Requests and their latency by kind. Threading: any thread; the lock guards the histograms. Kinds are a small closed set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, Histogram] = {}

    def record(self, kind: str, seconds: float) -> None:
        """Count one request of ``kind``."""
        with self._lock:
            self._kinds.setdefault(kind, Histogram()).record(seconds)

    def counts(self) -> dict[str, int]:
        """Requests by kind since the start."""
        with self._lock:
            return {kind: histogram.count for kind, histogram in sorted(self._kinds.items())}

    def latency_ms_p95(self) -> dict[str, float]:
        """From the end of the header to the end of the answer, by kind."""
        with self._lock:
            return {kind: round(histogram.percentiles([0.95])[0] * 1e3, 3) for kind, histogram in sorted(self._kinds.items())}
