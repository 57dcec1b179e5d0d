"""Read repairs, gathered by peer and key."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.cluster.attempts import side_by_side
from seatrial.cluster.items import Item, is_higher_version
from seatrial.cluster.metrics import Counters
from seatrial.cluster.transport import Transport


class RepairQueue:
    """Repairs that wait for ``interval`` seconds or for ``max_batch_size`` keys of one peer.

    Threading: any thread. ``_lock`` guards ``_batches``, ``_flushers`` and ``_thread``; batches are sent with no lock held.
    """

    def __init__(
        self,
        interval: float,
        max_batch_size: int,
        transport: Callable[[], Transport | None],
        counters: Counters,
        logger: logging.Logger | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._interval, self._max_batch_size = interval, max_batch_size
        self._transport, self._counters, self._log, self._clock = transport, counters, logger, clock
        self._lock = threading.Lock()
        self._batches: dict[str, dict[str, Item]] = {}
        self._flushers: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Flush every ``interval`` from now on."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cluster-repair", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Flush what waits, and return when all is sent. Idempotent."""
        self._stopping.set()
        with self._lock:
            threads = [*self._flushers, *filter(None, [self._thread])]
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()
        self.flush_all()

    def enqueue(self, peer: str, item: Item) -> None:
        """Have ``peer`` repaired with ``item``; of two for one key the higher stays."""
        with self._lock:
            batch = self._batches.setdefault(peer, {})
            waiting = batch.get(item.key)
            if waiting is not None:
                self._counters.add("read_repair_coalesced")
            if waiting is None or is_higher_version(item, waiting):
                batch[item.key] = item.clone()
            if waiting is None and len(batch) >= self._max_batch_size > 0:
                self._send_soon(peer, self._batches.pop(peer))

    def flush_all(self) -> None:
        """Send all that waits."""
        with self._lock:
            peers = list(self._batches)
        for peer in peers:
            self.flush_peer(peer)

    def flush_peer(self, peer: str) -> None:
        """Send what waits for one peer, side by side; without a transport it is dropped."""
        with self._lock:
            batch = self._batches.pop(peer, {})
        self._send(peer, batch)

    def pending(self) -> int:
        """Repairs that wait."""
        with self._lock:
            return sum(map(len, self._batches.values()))

    def _send(self, peer: str, batch: dict[str, Item]) -> None:
        transport = self._transport()
        if not batch or transport is None:
            return
        calls = [partial(transport.forward_set, peer, item, False) for item in batch.values()]
        for _, _, error in side_by_side(calls):
            self._counters.add("read_repair_batched")
            if error is not None and self._log is not None:
                self._log.debug("read repair failed", extra={"peer_id": peer, "err": str(error)})

    def _send_soon(self, peer: str, batch: dict[str, Item]) -> None:
        def send() -> None:
            self._send(peer, batch)
            with self._lock:
                self._flushers.discard(thread)

        thread = threading.Thread(target=send, name="cluster-repair-flush", daemon=True)
        self._flushers.add(thread)
        thread.start()

    def _run(self) -> None:
        while not self._clock.wait(self._stopping, self._interval):
            self.flush_all()
