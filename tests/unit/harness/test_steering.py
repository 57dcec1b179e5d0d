"""What is asked of a run, where its end comes in between."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.engine.gate import Gate
from seatrial.errors import CancelledError
from seatrial.harness.prefix import Prefix
from seatrial.harness.steering import Steering
from seatrial.harness.watching import Watching
from seatrial.history.fold import RunFold
from tests.support.waiting import eventually

WAIT_S = 10.0


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


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


def test_one_for_which_there_was_no_thread_is_refused_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    steered = steering(Collecting())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            steered.handlers()["gc"]("")
    steered.close()


@pytest.mark.parametrize("name", ["telemetry-writer", "sample-caches", "sample-server", "directory-meter", "sampler"])
def test_where_one_thread_of_the_telemetry_cannot_be_had_the_others_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = SimpleNamespace(directory=tmp_path, prefix=Prefix(path=tmp_path), fold=RunFold(), server_log_offset=lambda: 0)
    harness = SimpleNamespace(history=history, clock=SYSTEM_CLOCK, base=tmp_path)
    start, before = threading.Thread.start, threading.active_count()

    def none_for_it(thread: threading.Thread) -> None:
        if thread.name == name:
            no_thread(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", none_for_it)
    with ExitStack() as undo, pytest.raises(RuntimeError, match="new thread"):
        undo.enter_context(Watching(harness))  # type: ignore[arg-type]  # a double
    assert eventually(lambda: threading.active_count() == before)
