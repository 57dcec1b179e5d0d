"""The chaos phase: what one client's worker does until it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat

from seatrial.clock import Clock
from seatrial.context import Context
from seatrial.engine.engine import Engine
from seatrial.errors import CancelledError, OperationError, RobustnessError

PAUSE_AFTER_FAILURE_S = (0.05, 1.0)
"""First and longest pause after failures in a row: a server that refuses at once must not be flooded."""


class Chaos:
    """Steps, then random actions, for each client on its own thread.

    A failure is in the journal when it arrives here; it does not end the worker, unless ``fail_fast``. Threading: ``work`` runs on
    many threads; ``end`` may be called from any.
    """

    def __init__(self, engine: Engine, *, clock: Clock, fail_fast: bool) -> None:
        self._engine, self._clock, self._fail_fast = engine, clock, fail_fast
        self._over = threading.Event()

    def end(self) -> None:
        """No new action begins; who waits at the gate is sent home. Idempotent."""
        self._over.set()
        self._engine.gate.turn_away()

    def work(self, ctx: Context) -> None:
        """All of one client's actions."""
        failures = 0
        for take_turn in self._turns(ctx):
            if self._over.is_set():
                return
            try:
                take_turn()
                failures = 0
            except CancelledError:
                if ctx.cancel.cancelled:
                    return
            except (OperationError, RobustnessError):
                failures += 1
                if self._fail_fast:
                    self.end()
                self._pause(failures)

    def _turns(self, ctx: Context) -> Iterator[Callable[[], object]]:
        """The steps, round by round, then random actions as long as the preset has any."""
        preset = self._engine.preset
        for _ in range(preset.rounds):
            for step in preset.steps:
                yield partial(self._engine.exec_action, ctx, step)
        if preset.actions_per_client:
            yield from repeat(partial(self._engine.random_action, ctx), preset.actions_per_client)
        elif preset.duration_s:
            yield from repeat(partial(self._engine.random_action, ctx))

    def _pause(self, failures: int) -> None:
        shortest_s, longest_s = PAUSE_AFTER_FAILURE_S
        self._clock.wait(self._over, min(longest_s, shortest_s * 2 ** min(failures - 1, 10)))
