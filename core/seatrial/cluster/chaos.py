"""A transport that loses and delays calls, and parts nodes from one another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

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
        self._parted: frozenset[str] = frozenset()

    def set_drop_rate(self, p: float) -> None:
        """The share of calls that is lost, clamped to [0, 1]."""
        with self._lock:
            self._drop_rate = min(1.0, max(0.0, p))

    def set_latency(self, seconds: float, rate: float) -> None:
        """Delay the share ``rate`` of the calls, clamped to [0, 1]."""
        with self._lock:
            self._latency_s, self._latency_rate = seconds, min(1.0, max(0.0, rate))

    def split(self, node_ids: Iterable[str]) -> None:
        """Lose every call between one of these nodes and any other, both ways, from now on; none of them ends the split.

        For nodes whose calls all go through this chaos. Among themselves either side goes on as before.
        """
        with self._lock:
            self._parted = frozenset(node_ids)

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

    def before_call(self, stopping: threading.Event, source: str = "", target: str = "") -> None:
        """Roll for one call from node to node: raises ChaosDropError, or sleeps, or neither; the sleep ends early with ``stopping``."""
        delay_s = 0.0
        with self._lock:
            apart = (source in self._parted) != (target in self._parted)
            if apart or (self._drop_rate > 0 and self._draws.random() < self._drop_rate):
                self._drops += 1
                raise ChaosDropError
            if self._latency_s > 0 and self._latency_rate > 0 and self._draws.random() < self._latency_rate:
                self._latencies += 1
                delay_s = self._latency_s
        if delay_s:
            self._clock.wait(stopping, delay_s)


class ChaosTransport(Transport):
    """``inner`` behind chaos; each call rolls first. ``source`` names the node whose transport it is."""

    def __init__(self, inner: Transport, chaos: Chaos, stopping: threading.Event = _NEVER, source: Callable[[], str] = str) -> None:
        self.inner, self.chaos, self._stopping, self._source = inner, chaos, stopping, source

    def _roll(self, target: str) -> Transport:
        self.chaos.before_call(self._stopping, self._source(), target)
        return self.inner

    def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
        return self._roll(node_id).forward_set(node_id, item, replicate)

    def forward_get(self, node_id: str, key: str) -> Item | None:
        return self._roll(node_id).forward_get(node_id, key)

    def forward_remove(self, node_id: str, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        self._roll(node_id).forward_remove(node_id, key, replicate, version=version, origin=origin)

    def health(self, node_id: str, timeout: float | None = None) -> None:
        self._roll(node_id).health(node_id, timeout)

    def indirect_health(self, relay_id: str, target_id: str, timeout: float | None = None) -> None:
        self._roll(relay_id).indirect_health(relay_id, target_id, timeout)

    def gossip(self, target_id: str, members: Sequence[GossipMember]) -> None:
        self._roll(target_id).gossip(target_id, members)

    def fetch_merkle(self, node_id: str, scope: str = "") -> MerkleTree:
        return self._roll(node_id).fetch_merkle(node_id, scope)

    def list_keys(self, node_id: str, pattern: str = "") -> list[str]:
        return self._roll(node_id).list_keys(node_id, pattern)

    def forward_entry(self, node_id: str, key: str) -> Entry:
        return self._roll(node_id).forward_entry(node_id, key)

    def list_tombstones(self, node_id: str) -> dict[str, Tombstone]:
        return self._roll(node_id).list_tombstones(node_id)


def wrap_chaos(inner: Transport, chaos: Chaos | None, stopping: threading.Event = _NEVER, source: Callable[[], str] = str) -> Transport:
    """``inner`` behind ``chaos``, never twice behind the same; ``inner`` itself where there is no chaos."""
    if chaos is None or (isinstance(inner, ChaosTransport) and inner.chaos is chaos):
        return inner
    return ChaosTransport(inner, chaos, stopping, source)
