"""The ledger: every snapshot known under a prefix. (Interface first; the body follows.)"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.histogram import HistogramData
from seatrial.history.journal import Journal
from seatrial.history.reconcile import Reconciliation, UnknownOperation
from seatrial.history.view import SnapshotState

Children = Callable[[bytes], Iterable[str]]
"""The hex ids of the nodes that a fingerprint node names."""


class SnapshotRow(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot."""

    id: str
    run_id: str
    op: str
    owner: str
    root: str
    state: SnapshotState
    created_start_ns: int
    created_end_ns: int
    deleted_ns: int = 0
    last_good_ns: int = 0


class LedgerProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Part of what happened under this prefix cannot be known: no verdict better than INCONCLUSIVE."""

    run_id: str
    where: str
    what: str
    remedy: str


class ActionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One action over all runs under the prefix."""

    action: str
    count: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    noop: int = 0
    bytes: int = 0
    service: HistogramData = HistogramData()
    queue: HistogramData = HistogramData()


class Cumulative(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics over all runs under the prefix."""

    runs: int = 0
    actions: tuple[ActionTotals, ...] = ()


class Listing:
    """A listing under way; made before its first request leaves (``Ledger.begin_listing``)."""


class Ledger:
    """Threading: any thread."""

    def __init__(self, directory: Path, children: Children, clock: Clock = SYSTEM_CLOCK) -> None:
        """Open ``<prefix>/robustness-metadata``; catches up on all registered runs. ``UsageError`` when another process has it."""
        raise NotImplementedError

    problems: list[LedgerProblem]
    """Found while catching up."""

    def attach(self, run_id: str, journal: Journal) -> None:
        """Register the run and follow its journal from its first event; before anything is appended."""

    def pick(self, draw: int) -> str | None:
        """``draw mod len(sorted live)``; None when nothing is live."""
        raise NotImplementedError

    def pinned(self, draw: int, snapshot_id: str = "") -> AbstractContextManager[SnapshotRow]:
        """Pick a live snapshot, or take the given one, and keep it from being deleted meanwhile. ``NoOp`` without a live one."""
        raise NotImplementedError

    def take_for_delete(self, draw: int, snapshot_id: str = "") -> SnapshotRow:
        """Take a live snapshot out of the live ones; ``NoOp`` when there is none to take: never the last live one, never a pinned one."""
        raise NotImplementedError

    def put_back(self, snapshot_id: str) -> None:
        """Undo ``take_for_delete`` where no invoke was written; after a result the ledger knows by itself."""

    @property
    def live_count(self) -> int:
        raise NotImplementedError

    def live(self) -> list[str]:
        """All live ids, sorted."""
        raise NotImplementedError

    def state(self, snapshot_id: str) -> SnapshotState | None:
        raise NotImplementedError

    def snapshot(self, snapshot_id: str) -> SnapshotRow | None:
        raise NotImplementedError

    def node(self, node_id: str) -> bytes | None:
        """One fingerprint node; the lookup that comparisons take."""
        raise NotImplementedError

    def missing_nodes(self, node_ids: Iterable[str]) -> set[str]:
        """Those that are not stored yet: what ``Trees`` has to carry."""
        raise NotImplementedError

    def unknown_operations(self) -> list[UnknownOperation]:
        raise NotImplementedError

    def begin_listing(self) -> Listing:
        """To be called before the first request of a listing; ``reconcile`` or ``abandon`` ends it."""
        raise NotImplementedError

    def reconcile(
        self, listing: Listing, listed: Iterable[tuple[str, str]], *, complete: bool = True, settled: bool = False
    ) -> Reconciliation:
        """Hold (id, tag value) rows against the ledger; see ``history/reconcile.py``."""
        raise NotImplementedError

    def abandon(self, listing: Listing) -> None:
        """The listing failed; it says nothing."""

    def cumulative(self) -> Cumulative:
        raise NotImplementedError

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything appended is in the database."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is pending; idempotent."""
