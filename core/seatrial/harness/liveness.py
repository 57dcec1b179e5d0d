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


def with_snapshot(options: ActionOptions, snapshot_id: str) -> ActionOptions:
    """The same options with a given snapshot to restore."""
    return msgspec.structs.replace(options, restore=RestoreOptions(snapshot_id=snapshot_id))


@dataclass(frozen=True, slots=True)
class Liveness:
    """Each client completes a snapshot and a restore of it within a limit.

    The limit is for one client with the server to itself: ``in_flight`` of them work at a time, so ``n`` clients have
    ``limit x ceil(n / in_flight)``; one at a time where the target takes its snapshots alone.
    """

    engine: Engine
    limit_s: float

    def check(self, contexts: Sequence[Context]) -> None:
        """All clients at once; a client that does not complete is a finding."""
        alone = ActionName.SNAPSHOT in self.engine.scene.traits.exclusive
        rounds = math.ceil(len(contexts) / (1 if alone else self.engine.gate.limit))
        run_clients([ctx.within(self.limit_s * rounds) for ctx in contexts], self._prove)

    def _prove(self, ctx: Context) -> None:
        try:
            made = self.engine.exec_action(ctx, ActionName.SNAPSHOT)
            if not made.noop:
                self.engine.exec_action(ctx, ActionName.RESTORE, with_snapshot(self.engine.preset.options, made.snapshot))
        except RobustnessError:
            return  # it came back, though wrong: the restore has its own finding
        except NoSpaceError as error:
            # Refused, as it should be: not stuck, and yet nobody knows whether it could go on.
            self._report(ctx, error, "no-space", Verdict.INCONCLUSIVE, "give the server or the clients more room")
        except (OperationError, CancelledError) as error:
            if not ctx.cancel.cancelled:
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
