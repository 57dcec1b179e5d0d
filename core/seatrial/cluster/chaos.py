"""A transport that loses and delays calls."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from seatrial import seeds
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.errors import ChaosDropError
from seatrial.cluster.items import Entry, Item, Tombstone
from seatrial.cluster.merkle import MerkleTree
from seatrial.cluster.node import GossipMember
from seatrial.cluster.transport import Transport

_NEVER = threading.Event()


class Chaos:
    """Rates and counts, shared by any number of nodes. Threading: any thread; ``_lock`` guards all fields."""

    def __init__(self, *, seed: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """``seed`` None: another each time."""
        self._lock = threading.Lock()
        self._clock = clock
        self._draws = seeds.stream(seeds.new_root_seed() if seed is None else seed, "cluster", "chaos")
        self._drop_rate = self._latency_s = self._latency_rate = 0.0
        self._drops = self._latencies = 0

    def set_drop_rate(self, p: float) -> None:
        """The share of calls that is lost, clamped to [0, 1]."""
        with self._lock:
            self._drop_rate = min(1.0, max(0.0, p))

    def set_latency(self, seconds: float, rate: float) -> None:
        """Delay the share ``rate`` of the calls, clamped to [0, 1]."""
        with self._lock:
            self._latency_s, self._latency_rate = seconds, min(1.0, max(0.0, rate))

    @property
    def drops(self) -> int:
        """Calls lost so far."""
        with self._lock:
            return self._drops

    @property
    def latencies(self) -> int:
        """Calls delayed so far."""
        with self._lock:
            return self._latencies

    def before_call(self, stopping: threading.Event) -> None:
        """Roll for one call: raises ChaosDropError, or sleeps, or neither; the sleep ends early with ``stopping``."""
        delay_s = 0.0
        with self._lock:
            if self._drop_rate > 0 and self._draws.random() < self._drop_rate:
                self._drops += 1
                raise ChaosDropError
            if self._latency_s > 0 and self._latency_rate > 0 and self._draws.random() < self._latency_rate:
                self._latencies += 1
                delay_s = self._latency_s
        if delay_s:
            self._clock.wait(stopping, delay_s)


class ChaosTransport(Transport):
    """``inner`` behind chaos; each call rolls first."""

    def __init__(self, inner: Transport, chaos: Chaos, stopping: threading.Event = _NEVER) -> None:
        self.inner, self.chaos, self._stopping = inner, chaos, stopping

    def _roll(self) -> Transport:
        self.chaos.before_call(self._stopping)
        return self.inner

    def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
        return self._roll().forward_set(node_id, item, replicate)

    def forward_get(self, node_id: str, key: str) -> Item | None:
        return self._roll().forward_get(node_id, key)

    def forward_remove(self, node_id: str, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        self._roll().forward_remove(node_id, key, replicate, version=version, origin=origin)

    def health(self, node_id: str, timeout: float | None = None) -> None:
        self._roll().health(node_id, timeout)

    def indirect_health(self, relay_id: str, target_id: str, timeout: float | None = None) -> None:
        self._roll().indirect_health(relay_id, target_id, timeout)

    def gossip(self, target_id: str, members: Sequence[GossipMember]) -> None:
        self._roll().gossip(target_id, members)

    def fetch_merkle(self, node_id: str, scope: str = "") -> MerkleTree:
        return self._roll().fetch_merkle(node_id, scope)

    def list_keys(self, node_id: str, pattern: str = "") -> list[str]:
        return self._roll().list_keys(node_id, pattern)

    def forward_entry(self, node_id: str, key: str) -> Entry:
        return self._roll().forward_entry(node_id, key)

    def list_tombstones(self, node_id: str) -> dict[str, Tombstone]:
        return self._roll().list_tombstones(node_id)


def wrap_chaos(inner: Transport, chaos: Chaos | None, stopping: threading.Event = _NEVER) -> Transport:
    """``inner`` behind ``chaos``, never twice behind the same; ``inner`` itself where there is no chaos."""
    if chaos is None or (isinstance(inner, ChaosTransport) and inner.chaos is chaos):
        return inner
    return ChaosTransport(inner, chaos, stopping)
