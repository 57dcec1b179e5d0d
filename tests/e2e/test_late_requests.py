"""What is asked of a run when its clients have stopped acting: it neither spoils its verdict nor holds it up."""

from __future__ import annotations

import threading
from pathlib import Path

from seatrial.context import Context
from seatrial.harness.control import request
from seatrial.harness.harness import TestHarness
from seatrial.harness.trial import Trial
from seatrial.history.events import Invoke, Result, RunEnded
from seatrial.verdicts import ExitCode, Outcome
from tests.e2e.trials import run_trial
from tests.support.waiting import eventually


class Asker:
    """Asks, on a thread of its own, once everything is verified up to a gate that is paused."""

    def __init__(self) -> None:
        self.trial: Trial | None = None
        self._thread = threading.Thread(target=lambda: None)

    def knows(self, trial: Trial) -> None:
        self.trial = trial

    def stops_the_paused_verification(self, harness: TestHarness) -> None:
        harness.engine.gate.pause()
        self._thread = threading.Thread(target=self._stop, args=(harness,))
        self._thread.start()

    def _stop(self, harness: TestHarness) -> None:
        assert self.trial is not None
        eventually(lambda: harness.engine.gate.waiting > 1)
        self.trial.stop(now=False, reason="enough")
        if not eventually(lambda: not harness.engine.gate.waiting):
            self.trial.stop(now=True, reason="it hangs")

    def end(self) -> None:
        self._thread.join()


def test_a_stop_in_the_midst_of_a_paused_verification_lets_it_come_to_its_end(tmp_path: Path) -> None:
    asker = Asker()
    ended = run_trial(tmp_path, meanwhile=asker.knows, before_verify=asker.stops_the_paused_verification)
    asker.end()
    assert (ended.code, ended.error, ended.findings) == (ExitCode.PASS, None, [])


def test_a_garbage_collection_asked_for_as_the_last_client_leaves_has_its_result_in_the_journal(tmp_path: Path) -> None:
    answers: list[str] = []

    def ask_before_anybody_leaves(harness: TestHarness) -> None:
        leave, once = harness.engine.leave, threading.Lock()

        def ask_and_leave(ctx: Context) -> None:
            if once.acquire(blocking=False):
                answers.append(request(harness.history.directory, "gc"))
            leave(ctx)

        harness.engine.leave = ask_and_leave  # type: ignore[method-assign]  # the moment to ask at

    ended = run_trial(tmp_path, before_verify=ask_before_anybody_leaves)
    assert answers == ["a garbage collection was asked for"]
    begun = [event.op for event in ended.events if isinstance(event, Invoke) and event.action == "run-gc"]
    results = [(event.op, event.outcome) for event in ended.events if isinstance(event, Result) and event.action == "run-gc"]
    assert results == [(op, Outcome.OK) for op in begun]
    assert ended.code is ExitCode.PASS, ended.findings
    assert isinstance(ended.events[-1], RunEnded)
