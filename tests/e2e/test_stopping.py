"""Stopping and steering a run from outside: by signals as in a terminal, and by commands; each is in the journal, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.history.events import Invoke, Phase, Result, RunEnded, ServerEvent, Steer
from seatrial.verdicts import ExitCode, Verdict
from tests.e2e.test_kills import BUSY
from tests.support.command import Command, World, world
from tests.support.waiting import eventually

LONG = ("run", "busy", "--duration", "10m")
ABORTS_S = 10.0
QUIET_S = 1.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.config(busy=BUSY)
        yield made


def ended(place: World, run: Command, code: ExitCode) -> RunEnded:
    """It has ended with this code and left nothing; its last event."""
    assert run.end() == code, run.out + run.err
    assert place.gone(), place.left()
    last = run.records()[-1].event
    assert isinstance(last, RunEnded)
    assert last.exit_code == code
    return last


def phases_done(run: Command) -> list[str]:
    return [phase.name for phase in run.events(Phase) if phase.state == "end"]


def aborted(end: RunEnded) -> bool:
    return end.aborted and end.verdict is Verdict.INCONCLUSIVE


# -- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_one_signal_stops_verifies_and_reports(place: World, number: signal.Signals) -> None:
    run = place.start(*LONG)
    run.chaos()
    os.killpg(run.process.pid, number)  # as a terminal does it
    end = ended(place, run, ExitCode.INTERRUPTED)
    assert (end.verdict, end.aborted, end.reason) == (Verdict.PASS, False, f"interrupted by {number.name}")
    assert phases_done(run) == ["setup", "chaos", "heal", "quiesce", "verify", "report"]
    assert f"interrupted by {number.name}" in run.out
    assert "PASS  exit code 130" in run.out


def test_one_signal_during_setup_stops_before_anything_else_begins(place: World) -> None:
    run = place.start(*LONG)
    run.wait_for(Phase, name="setup", state="begin")
    run.signal(signal.SIGINT)
    end = ended(place, run, ExitCode.INTERRUPTED)
    assert not end.aborted
    assert phases_done(run)[-1] == "report"
    assert not [invoke for invoke in run.events(Invoke) if invoke.action == "write-random-files"]


@pytest.mark.parametrize("phase", ["setup", "chaos", "verify"])
def test_two_signals_end_it_at_once_in_whatever_phase(place: World, phase: str) -> None:
    run = place.start(*LONG[:3], *(("2s", "--clients", "8") if phase == "verify" else LONG[3:]))
    run.wait_for(Phase, name=phase, state="begin")
    began_s = SYSTEM_CLOCK.monotonic_s()
    run.signal(signal.SIGINT)
    assert eventually(lambda: "the run stops" in run.out)
    run.signal(signal.SIGINT)
    end = ended(place, run, ExitCode.INTERRUPTED)
    assert SYSTEM_CLOCK.monotonic_s() - began_s < ABORTS_S
    assert aborted(end), end
    assert "interrupted by SIGINT" in end.reason
    assert "report" not in phases_done(run)
    assert "the run is ended at once" in run.out


@pytest.mark.slow
def test_two_signals_end_a_run_whose_server_hangs(place: World) -> None:
    run = place.start(*LONG)
    server = run.chaos()
    os.kill(server.pid, signal.SIGSTOP)
    run.signal(signal.SIGINT)
    assert eventually(lambda: "the run stops" in run.out)
    run.signal(signal.SIGTERM)
    assert aborted(ended(place, run, ExitCode.INTERRUPTED))


# -- commands


def steered(run: Command) -> list[tuple[str, str]]:
    return [(event.command, event.argument) for event in run.events(Steer)]


def tell(place: World, run: Command, command: str, *arguments: str) -> str:
    """Ask the run something that it does; the answer."""
    code, out, err = place.do(command, str(run.directory), *arguments)
    assert (code, err) == (ExitCode.PASS, "")
    return out


def begun(run: Command) -> int:
    return len(run.events(Invoke))


def test_stop_ends_with_the_verdicts_own_code_and_is_in_the_journal(place: World) -> None:
    run = place.start(*LONG)
    run.chaos()
    assert "stopping" in tell(place, run, "stop")
    end = ended(place, run, ExitCode.PASS)
    assert (end.verdict, end.aborted, end.reason) == (Verdict.PASS, False, "stopped by request")
    assert steered(run) == [("stop", "")]
    assert phases_done(run)[-2:] == ["verify", "report"]
    code, _, err = place.do("stop", str(run.directory))
    assert (code, "not" in err) == (ExitCode.USAGE, True), err


def test_stop_now_drops_everything(place: World) -> None:
    run = place.start(*LONG)
    run.chaos()
    tell(place, run, "stop", "--now")
    assert aborted(ended(place, run, ExitCode.INTERRUPTED))
    assert steered(run) == [("stop-now", "")]


def test_no_action_begins_while_it_is_paused(place: World) -> None:
    run = place.start(*LONG)
    run.chaos()
    assert "paused" in tell(place, run, "pause")
    assert eventually(lambda: len(run.events(Result)) >= begun(run)), "those under way go on to their end"
    before = begun(run)
    with pytest.raises(subprocess.TimeoutExpired):
        run.process.wait(QUIET_S)
    assert begun(run) == before
    assert "resumed" in tell(place, run, "resume")
    assert eventually(lambda: begun(run) > before + 5)
    tell(place, run, "pause")
    tell(place, run, "stop")
    assert ended(place, run, ExitCode.PASS).verdict is Verdict.PASS, "a paused run can be stopped, and verifies"
    assert [command for command, _ in steered(run)] == ["pause", "resume", "pause", "stop"]


def test_gc_and_remarks_are_in_the_journal_at_their_moment(place: World) -> None:
    run = place.start(*LONG, "--set", "mix.run-gc=0")
    run.chaos()
    tell(place, run, "remark", "the fan\nis loud: ünïcode")
    tell(place, run, "gc")
    done = run.wait_for(Result, action="run-gc")
    assert done.outcome.value == "ok" or (done.error and done.error.cause == "contended")
    tell(place, run, "stop")
    ended(place, run, ExitCode.PASS)
    assert steered(run) == [("remark", "the fan\nis loud: ünïcode"), ("gc", ""), ("stop", "")]
    kinds = [type(record.event) for record in run.records()]
    assert kinds.index(ServerEvent) < kinds.index(Steer)


def test_a_run_that_is_not_there_cannot_be_steered(place: World) -> None:
    code, _, err = place.do("pause", "last", "--runs-dir", str(place.runs_dir))
    assert (code, "there is no run yet" in err) == (ExitCode.USAGE, True)
