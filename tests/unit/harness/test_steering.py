"""What is asked of a run, where its end comes in between."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.engine.gate import Gate
from seatrial.errors import CancelledError
from seatrial.harness.steering import Steering
from tests.support.waiting import eventually

WAIT_S = 10.0


class Collecting:
    """An engine whose garbage collections last until ``go_on``."""

    def __init__(self) -> None:
        self.gate, self.begun, self.go_on = Gate(1), threading.Event(), threading.Event()
        self.ended: list[str] = []

    def exec_action(self, ctx: Context, name: ActionName, times: int = 0) -> None:
        with self.gate.admit(ctx, alone=True):
            self.begun.set()
            assert self.go_on.wait(WAIT_S)
            self.ended.append(name.value)

    def closed(self) -> bool:
        try:
            with self.gate.admit(Context(), apart=True):
                return False
        except CancelledError:
            return True


def steering(engine: Collecting) -> Steering:
    harness = SimpleNamespace(engine=engine, server=SimpleNamespace(absent={}), history=SimpleNamespace(emit=lambda _: None))
    return Steering(harness, Context(), lambda **_: None, lambda: None)  # type: ignore[arg-type]  # a double


def test_the_end_waits_for_a_garbage_collection_under_way() -> None:
    engine = Collecting()
    engine.gate = Gate(2)
    steered = steering(engine)
    assert steered.handlers()["gc"]("") == "a garbage collection was asked for"
    assert engine.begun.wait(WAIT_S)
    assert "has not ended yet" in steered.handlers()["gc"]("")
    closing = threading.Thread(target=lambda: (steered.close(), engine.ended.append("closed")))
    closing.start()
    assert eventually(engine.closed)
    engine.go_on.set()
    closing.join(WAIT_S)
    assert engine.ended == ["run-gc", "closed"]


def test_the_end_does_not_wait_for_one_that_has_yet_to_begin() -> None:
    engine = Collecting()
    engine.gate.pause()
    steered = steering(engine)
    steered.handlers()["gc"]("")
    assert eventually(lambda: engine.gate.waiting == 1)
    steered.close()
    assert engine.ended == []


def test_the_end_of_a_run_without_any_is_at_once() -> None:
    engine = Collecting()
    steering(engine).close()
    assert not engine.closed()
