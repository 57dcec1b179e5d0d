"""The checker: fingerprint, snapshot, store; restore, compare; list, reconcile. What is wrong becomes a finding."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from seatrial.checker.evidence import keep_evidence
from seatrial.checker.findings import Findings
from seatrial.checker.fingerprint import Fingerprint
from seatrial.checker.mismatch import MismatchError
from seatrial.checker.protocols import Snapshotter
from seatrial.context import Context, unwrap_context
from seatrial.errors import CancelledError, DeadlineExceededError, OperationError
from seatrial.history.journal import split_trees
from seatrial.history.ledger import Ledger, SnapshotRow
from seatrial.history.reconcile import LATE, LOST, PHANTOM, Reconciliation
from seatrial.targets.protocols import CreateStats, EventSink, ListedSnapshot, Traits, Verification
from seatrial.verdicts import Verdict

TOLERATED = frozenset({"contended", "no-space", "cancelled", "append-only"})
"""Causes that are part of the trade: counted, no finding."""


class RepositoryVerifier(Protocol):
    """The server's side of a verification."""

    def __call__(self, ctx: Context) -> Verification: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A snapshot that the server has acknowledged."""

    id: str
    root: str
    stats: CreateStats


class Checker:
    """Stands between the actions and the snapshotter. Threading: any thread; owns nothing but references."""

    def __init__(
        self,
        *,
        run_id: str,
        traits: Traits,
        ledger: Ledger,
        snapshotter: Snapshotter,
        verifier: RepositoryVerifier,
        emit: EventSink,
        findings: Findings,
        evidence: Path,
        strangers: bool = False,
    ) -> None:
        """``evidence``: a directory in the run directory, made when needed. ``strangers``: others keep snapshots in this repository too, so
        that one without our mark is no news."""
        self._run_id, self._traits, self._ledger, self._snapshotter = run_id, traits, ledger, snapshotter
        self._verifier, self._emit, self.findings, self._evidence = verifier, emit, findings, evidence
        self._strangers = strangers

    def take_snapshot(self, ctx: Context, source_dir: Path, op: str) -> Taken:
        """Fingerprint first, as a fact in the journal; then the snapshot."""

        def store(before: Fingerprint) -> None:
            missing = self._ledger.missing_nodes(before.nodes)
            for event in split_trees(op, before.root, {node: before.nodes[node] for node in missing}):
                self._emit(event)

        snapshot_id, before, stats = self._snapshotter.create_snapshot(ctx, source_dir, f"{self._run_id}/{op}", store)
        return Taken(id=snapshot_id, root=before.root, stats=stats)

    def restore_and_compare(self, ctx: Context, row: SnapshotRow, into: Path, op: str) -> Fingerprint:
        """Restore ``row`` into an empty directory and compare; on a mismatch the evidence, as far as there is room, is kept before it is
        raised."""
        if not row.root:
            raise OperationError("no fingerprint is known for this snapshot", cause="no-fingerprint", where=row.id)
        report = io.StringIO()
        try:
            return self._snapshotter.restore_snapshot_compare(ctx, row.id, into, row.root, self._ledger.node, report)
        except MismatchError as error:
            with suppress(OSError):  # a disk too full for the evidence must not hide what it is evidence of
                keep_evidence(self._evidence / op, into, [damage.path for damage in error.damages], report.getvalue())
            raise

    def observe(self, ctx: Context, op: str) -> list[str]:
        """List as the context's client, hold the listing against the ledger, report what is wrong. Returns the ids, sorted."""
        return self._listed(lambda: self._snapshotter.list_snapshots(ctx), op, unwrap_context(ctx).id, settled=False)

    def settle(self, listing: Callable[[], list[ListedSnapshot]], op: str) -> list[str]:
        """The same with a listing made on the server's side when no request of any client can still arrive."""
        return self._listed(listing, op, "", settled=True)

    def verify_repository(self, ctx: Context, op: str) -> Verification:
        """The target's own consistency command; each problem is a finding."""
        verification = self._verifier(ctx)
        if not verification.clean:
            problems = verification.problems or ["it says no more than that"]
            self.findings.add(
                "repository-verification",
                "damaged",
                f"the target's own verification is not clean: {problems[0]}",
                op=op,
                detail=problems,
            )
        return verification

    def judge_removal(self, op: str, ctx: Context, *, still_admitted: bool) -> None:
        """A client whose user was removed must be turned away."""
        if still_admitted and "removed-user-may-act" not in self._traits.tolerances:
            self.findings.add(
                "access",
                "removed-user-admitted",
                "the server still served a client after its user had been removed",
                op=op,
                client=unwrap_context(ctx).id,
            )

    def report(self, error: Exception, *, action: str, op: str, client: str, snapshot: str) -> None:
        """What an action raised, as a finding, where it is one."""
        row = self._ledger.snapshot(snapshot) if snapshot else None
        facts: dict[str, Any] = {
            "op": op,
            "client": client,
            "snapshot": snapshot,
            "owner": row.owner if row else "",
            "last_good_ns": row.last_good_ns if row else 0,
        }
        if isinstance(error, MismatchError):
            first = error.damages[0]
            self.findings.add(
                "restore",
                first.kind,
                f"{first.path} came back {first.kind}",
                path=first.path,
                expected=first.expected,
                actual=first.actual,
                detail=error.lines,
                evidence=f"{self._evidence.name}/{op}" if (self._evidence / op).is_dir() else "",
                **facts,
            )
        elif isinstance(error, OperationError):
            if error.cause not in TOLERATED:
                check = "restore" if snapshot and action.startswith("restore") else action
                self.findings.add(check, error.cause, f"{action} failed: {error}", remedy=error.remedy, path=error.path, **facts)
        elif isinstance(error, DeadlineExceededError):
            self.findings.add(action, "timeout", f"{action} did not come back in time", **facts)
        elif not isinstance(error, CancelledError):
            self.findings.add(
                "seatrial",
                type(error).__name__,
                f"{action} ended with a defect of seatrial itself: {error!r}",
                verdict=Verdict.INCONCLUSIVE,
                **facts,
            )

    def _listed(self, listing: Callable[[], list[ListedSnapshot]], op: str, client: str, *, settled: bool) -> list[str]:
        began = self._ledger.begin_listing()
        try:
            rows = listing()
        except BaseException:
            self._ledger.abandon(began)
            raise
        self._say(self._ledger.reconcile(began, [(row.id, row.op) for row in rows], settled=settled), op, client)
        return sorted(row.id for row in rows)

    def _say(self, found: Reconciliation, op: str, client: str) -> None:
        for resolution in found.resolutions:
            self._emit(resolution)
        for snapshot in found.lost:
            self._missing_or_back(snapshot, LOST, "an acknowledged snapshot is no longer listed", op, client)
        for snapshot in found.phantoms:
            self._missing_or_back(snapshot, PHANTOM, "a deleted snapshot is listed again", op, client)
        for snapshot in found.reappeared:
            self._missing_or_back(snapshot, "reappeared", "a snapshot that had been lost is listed again", op, client)
        for row in found.late:
            self.findings.add(
                "list", LATE, f"a snapshot of {row.op} is listed that was thought not to exist", snapshot=row.id, op=op, client=client
            )
        for row in () if self._strangers else found.foreign:
            self.findings.add(
                "list",
                "foreign",
                "a snapshot is listed that seatrial did not make",
                verdict=Verdict.INCONCLUSIVE,
                remedy="give seatrial a repository of its own; it is never deleted by seatrial",
                snapshot=row.id,
                op=op,
                client=client,
            )

    def _missing_or_back(self, snapshot: str, damage: str, message: str, op: str, client: str) -> None:
        row = self._ledger.snapshot(snapshot)
        self.findings.add(
            "list",
            damage,
            message,
            snapshot=snapshot,
            owner=row.owner if row else "",
            last_good_ns=row.last_good_ns if row else 0,
            op=op,
            client=client,
        )
