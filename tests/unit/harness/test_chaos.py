"""The chaos phase: what its workers do, and what becomes of those who come and go. The engine is told."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import ActionName, Preset
from seatrial.context import CancelToken, Context, new_client_contexts, unwrap_context
from seatrial.engine.gate import Gate
from seatrial.errors import OperationError, TargetError, UsageError
from seatrial.harness.chaos import Chaos
from tests.support.waiting import eventually

WAIT_S = 10.0


class ToldEngine:
    """Keeps what each client did. ``go_on`` is what every random action waits for."""

    def __init__(self, preset: Preset) -> None:
        self.preset, self.gate = preset, Gate(8)
        self.did: list[tuple[str, str]] = []
        self.acting: set[str] = set()
        self.go_on = threading.Event()
        self.refuses: Exception | None = None

    def join(self, ctx: Context) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.note(ctx, "join")

    def leave(self, ctx: Context) -> None:
        self.note(ctx, "leave")

    def exec_action(self, ctx: Context, name: ActionName, times: int = 0) -> None:
        self.note(ctx, name.value)

    def random_action(self, ctx: Context) -> None:
        self.acting.add(unwrap_context(ctx).id)
        assert self.go_on.wait(WAIT_S)
        self.note(ctx, "random")

    def note(self, ctx: Context, what: str) -> None:
        self.did.append((unwrap_context(ctx).id, what))

    def of(self, client: str) -> list[str]:
        return [what for who, what in self.did if who == client]


class Stage:
    """A phase under way: its clients stand in the middle of their first random action."""

    def __init__(self, clients: int = 2, **preset: Any) -> None:
        self.engine = ToldEngine(Preset(**({"actions_per_client": 3} | preset)))
        self.chaos = Chaos(self.engine, clock=SYSTEM_CLOCK, fail_fast=False)  # type: ignore[arg-type]  # a double
        self.cancel = CancelToken()
        self.contexts = new_client_contexts(Context(cancel=self.cancel), clients)
        self.ids = [unwrap_context(ctx).id for ctx in self.contexts]
        self.left: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        if self.engine.preset.actions_per_client or self.engine.preset.duration_s:
            assert eventually(lambda: len(self.engine.acting) == clients)

    def _run(self) -> None:
        self.left = [unwrap_context(ctx).id for ctx in self.chaos.run(self.contexts)]

    def end(self) -> None:
        self.engine.go_on.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def add(self) -> str:
        ctx = self.chaos.newcomer(Context(cancel=self.cancel))
        self.chaos.add(ctx)
        return unwrap_context(ctx).id


def test_what_is_asked_is_done_between_two_actions_on_the_clients_own_turn() -> None:
    stage = Stage(steps=[ActionName.WRITE])
    first, second = stage.ids
    stage.chaos.members.ask_snapshot(first)
    stage.chaos.members.ask_to_leave(second)
    stage.end()
    assert stage.engine.of(first) == ["write-random-files", "random", "snapshot-root", "random", "random"]
    assert stage.engine.of(second) == ["write-random-files", "random", "leave"]
    assert stage.left == [first]


def test_a_snapshot_asked_of_one_that_leaves_is_taken_before_it_goes() -> None:
    stage = Stage()
    stage.chaos.members.ask_snapshot(stage.ids[0])
    stage.chaos.members.ask_to_leave(stage.ids[0])
    stage.end()
    assert stage.engine.of(stage.ids[0]) == ["random", "snapshot-root", "leave"]


def test_a_newcomer_joins_and_acts_at_random_but_has_missed_the_steps() -> None:
    stage = Stage(clients=1, steps=[ActionName.WRITE])
    newcomer = stage.add()
    stage.end()
    assert stage.engine.of(newcomer) == ["join", "random", "random", "random"]
    assert stage.left == [*stage.ids, newcomer]


def test_a_newcomer_that_the_server_does_not_take_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(clients=1)
    stage.engine.refuses = OperationError("no more users", cause="denied")
    with caplog.at_level(logging.WARNING):
        newcomer = stage.add()
        stage.end()
    assert stage.engine.of(newcomer) == []
    assert stage.left == stage.ids
    assert f"{newcomer} could not join: no more users" in caplog.text


def test_a_newcomer_that_finds_the_server_broken_ends_the_run() -> None:
    broken = TargetError("the server is gone")
    engine = ToldEngine(Preset(actions_per_client=1))
    chaos = Chaos(engine, clock=SYSTEM_CLOCK, fail_fast=False)  # type: ignore[arg-type]  # a double
    (first,) = new_client_contexts(None, 1)

    def while_it_acts() -> None:
        assert eventually(lambda: engine.acting)
        engine.refuses = broken
        chaos.add(chaos.newcomer(Context()))
        engine.go_on.set()

    asking = threading.Thread(target=while_it_acts)
    asking.start()
    with pytest.raises(TargetError, match="the server is gone"):
        chaos.run([first])
    asking.join(WAIT_S)


def test_an_error_of_our_own_in_one_client_sends_the_others_home_and_is_raised_then() -> None:
    engine, never = ToldEngine(Preset(actions_per_client=1000)), threading.Event()
    chaos = Chaos(engine, clock=SYSTEM_CLOCK, fail_fast=False)  # type: ignore[arg-type]  # a double
    contexts = new_client_contexts(None, 3)
    broken = unwrap_context(contexts[1]).id

    def act(ctx: Context) -> None:
        engine.acting.add(unwrap_context(ctx).id)
        if unwrap_context(ctx).id == broken:
            assert eventually(lambda: len(engine.acting) == 3)
            raise KeyError("planted")
        SYSTEM_CLOCK.wait(never, WAIT_S / 1000)
        engine.note(ctx, "random")

    engine.random_action = act  # type: ignore[method-assign]  # one that breaks
    with pytest.raises(KeyError, match="planted"):
        chaos.run(contexts)
    assert all(len(engine.of(unwrap_context(ctx).id)) < 1000 for ctx in contexts)
    assert chaos.members.present() == contexts


def test_once_the_phase_ends_nobody_comes_or_goes_but_who_was_asked_to_leave_leaves() -> None:
    stage = Stage()
    stage.chaos.members.ask_to_leave(stage.ids[0])
    stage.chaos.end()
    with pytest.raises(UsageError, match="no client acts now"):
        stage.add()
    stage.end()
    assert stage.left == stage.ids[1:]
    assert stage.engine.of(stage.ids[1]) == ["random"]


def test_a_run_that_is_ended_at_once_waits_for_nobody_to_leave() -> None:
    stage = Stage()
    stage.chaos.members.ask_to_leave(stage.ids[0])
    stage.cancel.cancel("now")
    stage.end()
    assert "leave" not in stage.engine.of(stage.ids[0])


def test_nobody_joins_where_there_are_no_random_actions() -> None:
    stage = Stage(actions_per_client=0)
    stage.end()
    with pytest.raises(UsageError, match="no random actions"):
        stage.chaos.newcomer(Context())


def test_nobody_joins_when_all_have_done_their_actions() -> None:
    stage = Stage()
    ctx = stage.chaos.newcomer(Context())
    stage.end()
    with pytest.raises(UsageError, match="no client acts any more"):
        stage.chaos.add(ctx)
    assert stage.left == stage.ids


def test_who_waits_at_the_gate_in_a_later_phase_is_not_sent_home_and_a_pause_then_is_over() -> None:
    stage = Stage()
    stage.end()
    gate, inside = stage.engine.gate, threading.Event()
    gate.pause()

    def verify() -> None:
        with gate.admit(Context()):
            inside.set()

    later = threading.Thread(target=verify)
    later.start()
    assert eventually(lambda: gate.waiting == 1)
    stage.chaos.end()
    later.join(WAIT_S)
    assert inside.is_set()


def test_an_action_that_comes_to_a_paused_gate_after_the_end_holds_up_nothing() -> None:
    stage = Stage(clients=1)
    came: list[str] = []

    def repeat(ctx: Context, what: str) -> None:
        with stage.engine.gate.admit(ctx):
            came.append(what)

    stage.engine.note = repeat  # type: ignore[method-assign]  # the second half of a repeated action
    stage.engine.gate.pause()
    stage.chaos.end()
    stage.end()
    assert came == []
    repeat(Context(), "verified")
    assert came == ["verified"], "the phases to come find the gate open"
