"""Liveness: after the disturbances every client must still be able to work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from seatrial.config.model import ActionName, ActionOptions, RestoreOptions
from seatrial.context import Context, unwrap_context
from seatrial.engine.engine import Engine
from seatrial.engine.workers import run_clients
from seatrial.errors import CancelledError, NoSpaceError, OperationError, RobustnessError, SeatrialError
from seatrial.verdicts import Verdict

_OF_THE_CONTENT = frozenset({"corrupt", "missing", "missing-data", "no-fingerprint"})
"""Causes that say that what a snapshot holds is damaged or gone: the client was answered, and the restore has its own finding."""


def with_snapshot(options: ActionOptions, snapshot_id: str) -> ActionOptions:
    """The same options with a given snapshot to restore."""
    return msgspec.structs.replace(options, restore=RestoreOptions(snapshot_id=snapshot_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Halfway:
    """A client that has completed its snapshot, and has yet to complete a restore."""

    ctx: Context
    own: str
    """The snapshot that it made; empty where it had nothing to snapshot."""
    left_s: float
    """Of its limit."""

    @property
    def client(self) -> str:
        return unwrap_context(self.ctx).id


@dataclass(frozen=True, slots=True)
class Liveness:
    """Each client completes a snapshot, then a restore, within a limit; one that does not is a finding.

    Which snapshot it restores does not matter, so that one which has to be restored anyway will do. The limit is for one client with the
    server to itself: ``in_flight`` of them work at a time, so ``n`` clients have ``limit x ceil(n / in_flight)`` for both; one at a time
    where the target takes its snapshots alone. What passes between the two does not count. Threading: any thread; immutable.
    """

    engine: Engine
    limit_s: float

    def snapshots(self, contexts: Sequence[Context]) -> list[Halfway]:
        """All clients at once; returns those that have completed it, in the same order."""
        alone = ActionName.SNAPSHOT in self.engine.scene.traits.exclusive
        rounds = math.ceil(len(contexts) / (1 if alone else self.engine.gate.limit))
        done: dict[str, Halfway] = {}  # of each client by its own thread

        def complete(ctx: Context) -> None:
            limited = ctx.within(self.limit_s * rounds)
            try:
                made = self.engine.exec_action(limited, ActionName.SNAPSHOT, times=1)
            except (OperationError, CancelledError) as error:
                self._stuck(ctx, error)
                return
            halfway = Halfway(ctx=ctx, own="" if made.noop else made.snapshot, left_s=limited.remaining_s(0))
            done[halfway.client] = halfway

        run_clients(contexts, complete)
        return [done[client] for ctx in contexts if (client := unwrap_context(ctx).id) in done]

    def own_restores(self, clients: Sequence[Halfway]) -> None:
        """Each restores what it has made itself, all at once."""
        by_id = {each.client: each for each in clients if each.own}
        run_clients([each.ctx for each in by_id.values()], lambda ctx: self._restore_own(by_id[unwrap_context(ctx).id]))

    def _restore_own(self, halfway: Halfway) -> None:
        self.restores(halfway, halfway.own, halfway.ctx)

    def restores(self, halfway: Halfway, snapshot: str, budget: Context) -> bool:
        """Whether the client comes to the end of this restore, well or with a finding about the content. False where it says nothing of
        the snapshot: then the client is reported, unless it is ``budget`` that was over."""
        ctx = halfway.ctx.within(min(halfway.left_s, budget.remaining_s(halfway.left_s)))
        try:
            self.engine.exec_action(ctx, ActionName.RESTORE, with_snapshot(self.engine.preset.options, snapshot), times=1)
        except RobustnessError:
            return True  # it came back, though wrong
        except (OperationError, CancelledError) as error:
            if isinstance(error, OperationError) and error.cause in _OF_THE_CONTENT:
                return True
            if not budget.expired:
                self._stuck(halfway.ctx, error)
            return False
        return True

    def _stuck(self, ctx: Context, error: SeatrialError) -> None:
        if isinstance(error, NoSpaceError):
            # Refused, as it should be: not stuck, and yet nobody knows whether it could go on.
            self._report(ctx, error, "no-space", Verdict.INCONCLUSIVE, "give the server or the clients more room")
        elif not ctx.cancel.cancelled:
            self._report(ctx, error, "stuck", Verdict.FAIL)

    def _report(self, ctx: Context, error: SeatrialError, damage: str, verdict: Verdict, remedy: str = "") -> None:
        self.engine.scene.checker.findings.add(
            "liveness",
            damage,
            f"after the disturbances a client could not complete a snapshot and a restore within {self.limit_s:g} s: {error}",
            verdict=verdict,
            remedy=remedy,
            client=unwrap_context(ctx).id,
        )
