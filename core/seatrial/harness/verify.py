"""What a run proves when nothing disturbs it any more: that its clients still work, and that what they have stored is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.engine.engine import Engine
from seatrial.errors import CancelledError, OperationError
from seatrial.harness.harness import TestHarness
from seatrial.harness.liveness import Liveness
from seatrial.harness.phases import Phases
from seatrial.harness.sweep import Sweep
from seatrial.history.ledger import Ledger, SnapshotRow

_NOT_BACK = frozenset({"contended", "denied", "disconnected", "timeout", "unreachable"})
"""Of a restore that did not come back at all, which says nothing of what is stored."""


def live_rows(ledger: Ledger) -> list[SnapshotRow]:
    """All live snapshots."""
    rows = (ledger.snapshot(snapshot_id) for snapshot_id in ledger.live())
    return [row for row in rows if row is not None]


def prove(
    harness: TestHarness, ctx: Context, contexts: Sequence[Context], phases: Phases, before_verify: Callable[[TestHarness], object] | None
) -> None:
    """The phases quiesce and verify.

    Every client completes a snapshot; what is UNKNOWN is settled; every live snapshot is restored by another client and compared, which
    for each client is the restore that it has to complete as well (one that gets none restores its own); the target's own verification.
    From the settling on within the budget, less what those own restores take: what it leaves undone makes the run INCONCLUSIVE.
    """
    settings, liveness = harness.plan.preset.verify, Liveness(harness.engine, harness.plan.preset.verify.liveness_s)
    with phases.of("quiesce"):
        ledger, clients = harness.history.ledger, liveness.snapshots(contexts)
        alone = Sweep(harness.engine, liveness, live_rows(ledger)).deal(clients)
        liveness.own_restores(alone)
        ctx.cancel.check()
        if before_verify is not None:
            before_verify(harness)
        harness.log_storage_stats("after")
        within = ctx.within(settings.budget_s)
        _settle(harness, within)
        left_s = within.remaining_s(settings.budget_s)
        live = live_rows(ledger)
        sweep = Sweep(harness.engine, liveness, live)
        # Of those who were to have one, the settling may have left some without.
        liveness.own_restores(sweep.deal([each for each in clients if each not in alone]))
        ctx.cancel.check()
    detail = f"{len(live)} live snapshots, {sweep.total} of them different"
    with phases.of("verify", planned_s=settings.budget_s, total=sweep.total, detail=detail):
        harness.give_up_data(contexts)
        within = ctx.within(left_s)
        harness.server.drop_caches(within)
        _restore_and_verify(harness.engine, sweep, within, repository=settings.repository)
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


def _restore_and_verify(engine: Engine, sweep: Sweep, ctx: Context, *, repository: bool) -> None:
    """Side by side where the target's own verification shuts nobody out; else it comes last, so that restores have the budget first."""
    if not repository:
        sweep.run(ctx)
    elif ActionName.VERIFY_REPOSITORY in engine.scene.traits.exclusive:
        sweep.run(ctx)
        _compare(engine, clean=_verify_repository(engine, ctx))
    else:
        with ThreadPoolExecutor(1, thread_name_prefix="repository-verification") as beside:
            asked = beside.submit(_verify_repository, engine, ctx)
            sweep.run(ctx)
        _compare(engine, clean=asked.result())


def _verify_repository(engine: Engine, ctx: Context) -> bool:
    """Whether it came to its end and is clean."""
    try:
        return engine.exec_action(ctx, ActionName.VERIFY_REPOSITORY, times=1).done.equal is True
    except (OperationError, CancelledError) as error:
        if not ctx.cancel.cancelled:
            engine.scene.checker.findings.incomplete(
                f"the target's own verification did not come to its end: {error}", where="verify", remedy="a larger budget"
            )
        return False


def _compare(engine: Engine, *, clean: bool) -> None:
    wrong = (group.first.damage not in _NOT_BACK for group in engine.statistics().findings if group.check == "restore")
    if clean and any(wrong):
        engine.scene.checker.findings.add(
            "verification-disagrees",
            "undetected",
            "restores came back wrong, yet the target's own verification is clean: "
            "either what is stored is whole and the way back is not, or the verification does not see the damage",
        )
