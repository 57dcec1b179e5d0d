"""What the ledger holds, as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from seatrial.history.events import ActionTotals, Result
from seatrial.history.histogram import Histogram
from seatrial.history.view import SnapshotState
from seatrial.verdicts import Outcome

Children = Callable[[bytes], Iterable[str]]
"""The ids of the nodes that a fingerprint node names."""


class SnapshotRow(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot."""

    id: str
    run_id: str
    op: str
    owner: str
    """The client that made it."""
    root: str
    """Of the fingerprint of what went in; empty where it is not known."""
    state: SnapshotState
    created_start_ns: int
    created_end_ns: int
    """When it was acknowledged, or found."""
    deleted_ns: int = 0
    last_good_ns: int = 0
    """When it was last restored and found equal; 0 for never."""


class LedgerProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Part of what happened under this prefix cannot be known: no verdict is better than INCONCLUSIVE."""

    run_id: str
    where: str
    what: str
    remedy: str


class Cumulative(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics over all runs under the prefix, the one under way included."""

    runs: int = 0
    actions: tuple[ActionTotals, ...] = ()
    """By name."""


class Totals:
    """The mutable counterpart of ``ActionTotals``. Threading: one owner."""

    __slots__ = ("action", "bytes", "counts", "noop", "queue", "service")

    def __init__(self, data: ActionTotals) -> None:
        self.action, self.noop, self.bytes = data.action, data.noop, data.bytes
        self.counts = {Outcome.OK: data.ok, Outcome.FAILED: data.failed, Outcome.UNKNOWN: data.unknown}
        self.service, self.queue = Histogram.of(data.service), Histogram.of(data.queue)

    def add(self, result: Result) -> None:
        """Count one result."""
        self.bytes += result.bytes
        self.queue.record(result.queue_s)
        if result.noop:
            self.noop += 1
            return
        self.counts[result.outcome] += 1
        self.service.record(result.service_s)

    def freeze(self) -> ActionTotals:
        """As it is now."""
        return ActionTotals(
            action=self.action,
            count=sum(self.counts.values()) + self.noop,
            ok=self.counts[Outcome.OK],
            failed=self.counts[Outcome.FAILED],
            unknown=self.counts[Outcome.UNKNOWN],
            noop=self.noop,
            bytes=self.bytes,
            service=self.service.data(),
            queue=self.queue.data(),
        )
