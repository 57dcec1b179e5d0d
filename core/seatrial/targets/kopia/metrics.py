"""What the server tells of itself: its own metrics, in the text format of Prometheus."""

from __future__ import annotations

import re
from collections import defaultdict

import urllib3

from seatrial.history.frames import ServerFrame

_TIMEOUT = urllib3.Timeout(total=0.9)
"""A frame may not take longer than a second."""
_BUCKET = re.compile(r'^kopia_blob_storage_latency_ms_bucket\{method="([^"]+)",le="([^"]+)"\} (\S+)$', re.MULTILINE)
_PERCENTILE = 0.95


class Metrics:
    """One server's. Threading: any thread."""

    def __init__(self, address: str, fingerprint: str) -> None:
        url = urllib3.util.parse_url(address)
        self._pool = urllib3.HTTPSConnectionPool(
            url.host or "",
            url.port,
            cert_reqs="CERT_NONE",  # the pin below is stricter than any authority
            assert_fingerprint=fingerprint,
            retries=False,
        )

    def frame(self) -> ServerFrame | None:
        """What it does with its storage; None when it does not answer within a second."""
        try:
            # Not kept open: a server that is asked to end would wait for its clients.
            answer = self._pool.request("GET", "/metrics", timeout=_TIMEOUT, headers={"Connection": "close"})
        except urllib3.exceptions.HTTPError:
            return None
        return read_metrics(answer.data.decode(errors="replace")) if answer.status == 200 else None

    def close(self) -> None:
        """Idempotent."""
        self._pool.close()


def read_metrics(text: str) -> ServerFrame:
    """Counts and latencies of the requests to the storage, by kind, of those that there were."""
    buckets: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for method, bound, count in _BUCKET.findall(text):
        buckets[method].append((float(bound), float(count)))
    counts = {method: round(max(count for _, count in rows)) for method, rows in buckets.items()}
    used = {method: count for method, count in counts.items() if count}
    return ServerFrame(requests=used, latency_ms_p95={method: _percentile(buckets[method], used[method]) for method in used})


def _percentile(rows: list[tuple[float, float]], count: int) -> float:
    """The upper bound of the bucket it falls into; of the last but one where that has no bound."""
    bounds = sorted(rows)
    for bound, below in bounds:
        if below >= count * _PERCENTILE and bound != float("inf"):
            return bound
    return bounds[-2][0] if len(bounds) > 1 else 0.0
