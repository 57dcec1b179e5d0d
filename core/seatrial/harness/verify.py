"""The verify phase: every live snapshot restored by another client with a cold cache, and compared."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seatrial.config.model import ActionName
from seatrial.context import Context, new_client_contexts
from seatrial.engine.engine import Engine
from seatrial.engine.workers import run_clients
from seatrial.errors import CancelledError, NoSpaceError, OperationError, RobustnessError
from seatrial.harness.harness import TestHarness
from seatrial.harness.liveness import with_snapshot
from seatrial.harness.phases import Phases
from seatrial.history.ledger import Ledger, SnapshotRow
from seatrial.resources import core_count

PER_CORE = 2
"""Verifying clients per core: one reads while the other waits for the server."""


def one_per_root(rows: Iterable[SnapshotRow], programs: Mapping[str, str] = MappingProxyType({})) -> list[SnapshotRow]:
    """Of snapshots with equal fingerprints only the newest: what it says of the content holds for all of them. Oldest first.

    ``programs`` says what acted as each client: one of each is kept, because two programs store the same in two ways. That each of the
    others is still listed, and whole as far as the target's own verification goes, is checked apart from this.
    """
    newest: dict[tuple[str, str], SnapshotRow] = {}
    for row in rows:
        key = (row.root or row.id, programs.get(row.owner, ""))
        known = newest.get(key)
        if known is None or row.created_end_ns > known.created_end_ns:
            newest[key] = row
    return sorted(newest.values(), key=lambda row: (row.created_end_ns, row.id))


def live_rows(ledger: Ledger) -> list[SnapshotRow]:
    """All live snapshots."""
    rows = (ledger.snapshot(snapshot_id) for snapshot_id in ledger.live())
    return [row for row in rows if row is not None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Restores rows by fresh clients, which own nothing and begin with empty caches: what they read, they read in this phase.

    Where clients are of several programs, what one program made is restored by another. Threading: ``rows`` is guarded by ``lock``.
    """

    engine: Engine
    rows: list[SnapshotRow]
    """Still to do, last first."""
    lock: threading.Lock
    programs: Mapping[str, str]
    """What acted as each client of this run, where there are several programs; else empty."""

    @classmethod
    def of(cls, engine: Engine, rows: Iterable[SnapshotRow]) -> Sweep:
        known = engine.clients.programs()
        programs = known if len(set(known.values())) > 1 else {}
        return cls(engine, one_per_root(rows, programs)[::-1], threading.Lock(), programs)

    def run(self, ctx: Context) -> None:
        """Until all are done, or ``ctx`` is over: what is left then stays in ``rows``."""
        count = min(len(self.rows), PER_CORE * core_count())
        # A target gives its programs to its clients in turn: as many verifiers as there are programs are one of each.
        verifiers = new_client_contexts(ctx, max(count, len(set(self.programs.values()))) if self.rows else 0)
        try:
            run_clients(verifiers, self._work)
        finally:
            for verifier in verifiers:
                self.engine.leave(verifier)

    def _work(self, ctx: Context) -> None:
        try:
            own = self.engine.join(ctx).program
        except CancelledError:
            return  # too late to do anything
        self.engine.scene.snapshotter.drop_caches(ctx)
        while (row := self._next(own)) is not None:
            try:
                self.engine.exec_action(ctx, ActionName.RESTORE, with_snapshot(self.engine.preset.options, row.id))
            except (CancelledError, NoSpaceError):
                self._put_back(row)
                return
            except (OperationError, RobustnessError):
                continue  # the finding is in the journal, the next row has its turn

    def _next(self, own: str) -> SnapshotRow | None:
        """The next row that a client of the program ``own`` is to restore."""
        with self.lock:
            for place in range(len(self.rows) - 1, -1, -1):
                if not own or self.programs.get(self.rows[place].owner) != own:
                    return self.rows.pop(place)
        return None

    def _put_back(self, row: SnapshotRow) -> None:
        with self.lock:
            self.rows.append(row)


def verify(harness: TestHarness, ctx: Context, phases: Phases) -> None:
    """The whole phase: settle what is UNKNOWN, restore and compare, then the target's own verification; all within the budget.

    What the budget leaves undone makes the run INCONCLUSIVE.
    """
    engine, settings = harness.engine, harness.plan.preset.verify
    within = ctx.within(settings.budget_s)
    _settle(harness, within)
    live = live_rows(harness.history.ledger)
    sweep = Sweep.of(engine, live)
    total = len(sweep.rows)
    with phases.of("verify", planned_s=settings.budget_s, total=total, detail=f"{len(live)} live snapshots, {total} of them different"):
        harness.server.drop_caches(within)
        sweep.run(within)
        if settings.repository:
            _verify_repository(engine, within)
        ctx.cancel.check()  # cut off, it has not come to its end


def _settle(harness: TestHarness, ctx: Context) -> None:
    try:
        harness.settle(ctx, "settle")
    except (OperationError, CancelledError) as error:
        ctx.cancel.check()
        if not ctx.expired:
            raise
        harness.engine.scene.checker.findings.incomplete(
            f"the listing before it did not come to its end: {error}", where="verify", remedy="a larger budget"
        )


def _verify_repository(engine: Engine, ctx: Context) -> None:
    findings = engine.scene.checker.findings
    damaged = any(group.check == "restore" for group in engine.statistics().findings)
    try:
        verified = engine.exec_action(ctx, ActionName.VERIFY_REPOSITORY)
    except (OperationError, CancelledError) as error:
        if not ctx.cancel.cancelled:
            findings.incomplete(f"the target's own verification did not come to its end: {error}", where="verify", remedy="a larger budget")
        return
    if verified.done.equal and damaged:
        findings.add(
            "verification-disagrees",
            "undetected",
            "restores came back wrong, yet the target's own verification is clean: "
            "either what is stored is whole and the way back is not, or the verification does not see the damage",
        )
