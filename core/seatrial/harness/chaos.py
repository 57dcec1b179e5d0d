"""The chaos phase: what one client's worker does until it is over, and what may be asked of it meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat

from seatrial.clock import Clock
from seatrial.config.model import ActionName
from seatrial.context import Context, new_client_context, unwrap_context
from seatrial.engine.engine import Engine
from seatrial.engine.workers import Crew
from seatrial.errors import CancelledError, OperationError, RobustnessError, UsageError
from seatrial.harness.members import Member, Members

PAUSE_AFTER_FAILURE_S = (0.05, 1.0)
"""First and longest pause after failures in a row: a server that refuses at once must not be flooded."""

_log = logging.getLogger(__name__)


class Chaos:
    """Steps, then random actions, for each client on its own thread.

    A failure is in the journal when it arrives here; it does not end the worker, unless ``fail_fast``. An error that is no failure of
    an operation ends the phase for all, and ``run`` raises it once they have come home. What is asked of a client
    (``members``) is done on its own thread between two of its actions. Threading: ``run`` by one thread, once; everything else by any;
    ``_lock`` guards ``_acting``.
    """

    def __init__(self, engine: Engine, *, clock: Clock, fail_fast: bool) -> None:
        self._engine, self._clock, self._fail_fast = engine, clock, fail_fast
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._acting = False
        self._crew = Crew(self._work)
        self.members = Members()

    def run(self, contexts: Sequence[Context]) -> list[Context]:
        """All actions of all clients; returns those that are there at the end: some may have come, some may have gone."""
        for ctx in contexts:
            self.members.add(ctx, newcomer=False)
        with self._lock:
            self._acting = True
        try:
            self._crew.run(contexts)
        finally:
            self.members.close()
            with self._lock:
                self._acting = False
                self._engine.gate.reopen()
        return self.members.present()

    def end(self) -> None:
        """No new action begins: who waits at the gate, or comes to it, is sent home until the phase is over. Idempotent.

        Once it is over, those at the gate are in later phases, and go on: what was paused is resumed, so that it comes to its end.
        """
        self._over.set()
        self.members.close()
        with self._lock:
            if self._acting:
                self._engine.gate.turn_away()
            else:
                self._engine.gate.resume()

    def newcomer(self, parent: Context) -> Context:
        """The identity of one more client, for ``add``. Raises ``UsageError`` where it would have nothing to do."""
        preset = self._engine.preset
        if not (preset.duration_s or preset.actions_per_client):
            raise UsageError("the preset has no random actions that one more client could do", remedy="give it a duration_s")
        self.members.check_room()
        return new_client_context(parent)

    def add(self, ctx: Context) -> None:
        """Have it join, on a thread of its own, and act at random with the others. Raises ``UsageError`` where the phase is over."""
        self.members.add(ctx, newcomer=True)
        if not self._crew.add(ctx):
            self.members.gone(ctx)
            raise UsageError("no client acts any more", remedy="ask earlier")

    def _work(self, ctx: Context) -> None:
        """All of one client's actions. What it cannot go on from, the others need not go on without: the run cannot pass any more."""
        try:
            self._come_act_and_go(ctx)
        except BaseException:
            self.end()
            raise

    def _come_act_and_go(self, ctx: Context) -> None:
        member = self.members.of(ctx)
        if member.newcomer and not self._join(ctx):
            self.members.gone(ctx)
            return
        self.members.joined(member)
        self._act(ctx, member)
        if self.members.leaves(member) and not ctx.cancel.cancelled:
            try:
                self._engine.leave(ctx)
            finally:
                self.members.gone(ctx)  # also half way: nothing more is to be asked of it

    def _join(self, ctx: Context) -> bool:
        if self._over.is_set():
            return False
        try:
            self._engine.join(ctx)
        except (OperationError, CancelledError) as error:
            if not ctx.cancel.cancelled:
                _log.warning("%s could not join: %s", unwrap_context(ctx).id, error)
            return False
        return True

    def _act(self, ctx: Context, member: Member) -> None:
        failures = 0
        for take_turn in self._turns(ctx, member):
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

    def _turns(self, ctx: Context, member: Member) -> Iterator[Callable[[], object]]:
        """What is planned for it, and between two turns what was asked of it meanwhile."""
        snapshot = partial(self._engine.exec_action, ctx, ActionName.SNAPSHOT, times=1)
        for planned in self._planned(ctx, member):
            while self.members.take_snapshot_order(member):
                yield snapshot
            if self.members.leaves(member):
                return
            yield planned
        while not self.members.done(member):
            yield snapshot

    def _planned(self, ctx: Context, member: Member) -> Iterator[Callable[[], object]]:
        """The steps, round by round, then random actions as long as the preset has any. A newcomer has missed the steps."""
        preset = self._engine.preset
        for _ in range(0 if member.newcomer else preset.rounds):
            for step in preset.steps:
                yield partial(self._engine.exec_action, ctx, step)
        if preset.actions_per_client:
            yield from repeat(partial(self._engine.random_action, ctx), preset.actions_per_client)
        elif preset.duration_s:
            yield from repeat(partial(self._engine.random_action, ctx))

    def _pause(self, failures: int) -> None:
        shortest_s, longest_s = PAUSE_AFTER_FAILURE_S
        self._clock.wait(self._over, min(longest_s, shortest_s * 2 ** min(failures - 1, 10)))
