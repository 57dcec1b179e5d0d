"""A run on a terminal: its engine is a process of its own, whatever becomes of whoever shows it. The dashboard is a stand-in here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seatrial.history.events import ClientJoined, ClientLeft, Phase, Result, RunEnded, Steer
from seatrial.verdicts import ExitCode, Verdict
from tests.e2e.test_kills import BUSY
from tests.support.command import Command, World, world
from tests.support.waiting import eventually

LONG, SHORT = ("run", "busy", "--duration", "10m"), ("run", "busy", "--duration", "500ms")
PHASES = ["setup", "chaos", "heal", "quiesce", "verify", "report"]
CALM = {"clients": 2, "duration_s": "10m", "mix": {"write-random-files": 1, "list-snapshots": 1}, "options": BUSY["options"]}
"""Nobody takes or deletes a snapshot unless it is told to."""
HOLDS = "threading.Event().wait()"
CRASH_REPORT = "seatrial-crash-"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.config(busy=BUSY, steps=BUSY | {"duration_s": 0, "rounds": 200}, calm=CALM)
        yield made


def stand_in(dashboard: str = "raise AssertionError('nothing is to be shown')", launch: str = "raise AssertionError()") -> str:
    """Source of a module that takes the dashboard's place: the bodies of its two functions."""
    return f"""
import os, sys, threading, types

def dashboard(runs, engine, ui):
    print("shown", *runs, ui.theme, "engine" if engine else "none", flush=True)
    {dashboard}

def launch():
    {launch}

sys.modules["seatrial_tui.command"] = types.SimpleNamespace(dashboard=dashboard, launch=launch)
"""


def show(place: World, *arguments: str, dashboard: str) -> Command:
    """Start ``seatrial`` on a terminal."""
    return place.start(*arguments, terminal=True, prologue=stand_in(dashboard))


def ended(place: World, run: Command) -> RunEnded:
    """The run has ended, whoever waits for it, and nothing is left; its last event."""
    assert eventually(lambda: any(run.events(RunEnded)), 30)
    assert place.gone(), place.left()
    last = run.records()[-1].event
    assert isinstance(last, RunEnded)
    return last


def phases_done(run: Command) -> list[str]:
    return [phase.name for phase in run.events(Phase) if phase.state == "end"]


def test_a_run_is_shown_and_told_on_the_same_terminal_when_the_dashboard_closes(place: World) -> None:
    run = show(place, *SHORT, "--theme", "seatrial-light", dashboard="engine.wait(); return 0")
    assert run.end() == ExitCode.PASS, run.err
    assert f"shown {run.directory} seatrial-light engine" in run.out
    assert "PASS  exit code 0: pass" in run.out
    assert "run it again   seatrial run busy --seed" in run.out
    assert run.err == ""
    assert ended(place, run).verdict is Verdict.PASS
    assert not run.events(Steer)
    log = (run.directory / "engine.log").read_text()
    assert log.startswith("seed ")
    assert "PASS  exit code 0" in log


def test_a_dashboard_that_is_killed_leaves_the_run_to_stop_cleanly(place: World) -> None:
    run = show(place, *LONG, dashboard=HOLDS)
    run.chaos()
    run.signal(signal.SIGKILL)
    end = ended(place, run)
    assert (end.verdict, end.exit_code, end.aborted) == (Verdict.PASS, ExitCode.PASS, False)
    assert phases_done(run) == PHASES
    (steer,) = run.events(Steer)
    assert (steer.command, steer.by) == ("stop", "dashboard")
    assert "vanished" in steer.argument
    assert (run.directory / "report.json").exists()


def test_a_dashboard_that_is_killed_before_anybody_acts_leaves_the_run_to_stop_cleanly(place: World) -> None:
    run = show(place, *LONG, dashboard="os.kill(os.getpid(), 9)")
    assert run.end() == -signal.SIGKILL
    end = ended(place, run)
    assert (end.verdict, end.aborted) == (Verdict.PASS, False)
    assert [steer.by for steer in run.events(Steer)] == ["dashboard"]


def test_a_run_that_is_detached_goes_on_to_its_own_end_and_is_found_again(place: World) -> None:
    run = show(place, *SHORT[:3], "4s", dashboard="engine.detach(); return 0")
    assert run.end() == ExitCode.PASS, run.err
    assert not run.events(RunEnded), "nobody has waited for it"
    assert f"run {run.directory.name} goes on" in run.out
    again = f"{run.directory.name} --runs-dir {place.runs_dir}"
    assert f"watch it   seatrial watch {again}\n" in run.out
    assert f"stop it    seatrial stop {again}\n" in run.out
    assert ended(place, run).verdict is Verdict.PASS
    assert phases_done(run) == PHASES
    assert not run.events(Steer)
    assert "PASS  exit code 0" in (run.directory / "engine.log").read_text()


def test_a_dashboard_that_just_closes_stops_the_run_and_tells_how_it_ended(place: World) -> None:
    run = show(place, *LONG, dashboard="return 0")
    assert run.end() == ExitCode.PASS, run.err
    assert "the run stops" in run.err
    assert "PASS  exit code 0" in run.out
    assert [steer.by for steer in run.events(Steer)] == ["dashboard"]
    assert place.gone(), place.left()


def test_ctrl_c_while_a_closed_dashboards_run_still_stops_ends_it_at_once(place: World) -> None:
    closes = place.home / "closes"
    os.mkfifo(closes)
    run = show(place, *LONG, dashboard=f"open({str(closes)!r}).close(); return 0")
    run.chaos()
    (server,) = (child for child in psutil.Process(run.process.pid).children(recursive=True) if "serve" in child.cmdline())
    server.suspend()  # it cannot have stopped by the time the key comes
    closes.write_text("")
    assert eventually(lambda: "the run stops" in run.err)
    assert eventually(lambda: any(run.events(Steer)))
    run.signal(signal.SIGINT)
    assert run.end() == ExitCode.INTERRUPTED, run.err
    assert "the run is ended at once" in run.err
    assert ended(place, run).aborted


def test_a_dashboard_that_fails_is_reported_after_the_run_has_stopped_cleanly(place: World) -> None:
    run = show(place, *LONG, dashboard="raise ZeroDivisionError('of the dashboard')")
    assert run.end() == ExitCode.BROKEN
    assert "ZeroDivisionError: of the dashboard" in run.err
    (report,) = (path for path in place.temporary.iterdir() if path.name.startswith(CRASH_REPORT))
    assert str(report) in run.err
    assert "PASS  exit code 0" in run.out
    end = ended(place, run)
    assert (end.verdict, end.aborted, phases_done(run)[-1]) == (Verdict.PASS, False, "report")


def test_an_engine_that_is_killed_is_named_and_the_run_is_judged_by_what_it_left(place: World) -> None:
    run = show(place, *LONG, dashboard="engine.wait(); return 0")
    run.chaos()
    (engine,) = (child for child in psutil.Process(run.process.pid).children() if "--tied-to" in child.cmdline())
    engine.kill()
    assert run.end() == ExitCode.BROKEN
    assert "the engine was killed by SIGKILL" in run.err
    assert str(run.directory / "engine.log") in run.err
    assert "INCONCLUSIVE" in run.out
    assert place.gone(), place.left()


def test_an_engine_that_cannot_begin_says_why_with_its_own_code_and_nothing_is_shown(place: World) -> None:
    run = show(place, "run", "buzy", dashboard=HOLDS)
    assert run.end() == ExitCode.USAGE
    assert "did you mean 'busy'?" in run.err
    assert "Traceback" not in run.err
    assert run.out == ""
    assert not place.runs()
    assert place.gone(), place.left()


def test_what_ends_the_run_in_setup_is_told_at_last(place: World) -> None:
    closed = place.root / "prefix"
    (closed / "robustness-data").mkdir(parents=True)
    (closed / "robustness-data" / "config").write_bytes(b"no repository of ours")
    run = show(place, *SHORT, "--repo-path-prefix", str(closed), dashboard="engine.wait(); return 0")
    code = run.end()
    headless = place.start(*SHORT, "--no-ui", "--repo-path-prefix", str(closed))
    assert code == headless.end() != ExitCode.PASS
    assert run.err.splitlines()[-1] == headless.err.splitlines()[-1], "the same words as without a screen"


@pytest.mark.parametrize("flag", [("--no-ui",), ("--quiet",), ("--json",), ("--dry-run",), ("--repeat", "1")], ids=" ".join)
def test_who_asks_for_lines_gets_them_on_a_terminal_too(place: World, flag: tuple[str, ...]) -> None:
    run = place.start(*SHORT, *flag, terminal=True, prologue=stand_in())
    assert run.end() == ExitCode.PASS, run.err
    assert "shown" not in run.out


def test_a_terminal_that_can_only_type_gets_lines(place: World) -> None:
    run = place.start(*SHORT, terminal=True, prologue=stand_in(), env={"TERM": "dumb"})
    assert run.end() == ExitCode.PASS, run.err
    assert "PASS  exit code 0" in run.out


def test_without_keys_there_are_lines(place: World) -> None:
    run = place.start(*SHORT, prologue=f"{stand_in()}\nsys.stdout.isatty = lambda: True")
    assert run.end() == ExitCode.PASS, run.err
    assert "PASS  exit code 0" in run.out


def test_a_tie_that_is_none_is_refused(place: World) -> None:
    code, _, err = place.do("run", "busy", "--tied-to", "77")
    assert (code, "--tied-to 77" in err, place.runs()) == (ExitCode.USAGE, True, [])


# -- the launch screen, and watching


def test_the_command_alone_runs_what_its_launch_screen_chose(place: World) -> None:
    argv = ["run", "busy", "--duration", "500ms", "--runs-dir", str(place.runs_dir)]
    run = place.start(terminal=True, prologue=stand_in("engine.wait(); return 0", launch=f"return {argv!r}"))
    assert run.end() == ExitCode.PASS, run.err
    assert f"shown {run.directory}" in run.out
    assert "PASS  exit code 0" in run.out


def test_the_command_alone_ends_where_nothing_was_chosen(place: World) -> None:
    run = place.start(terminal=True, prologue=stand_in(launch="return None"))
    assert (run.end(), run.out, run.err) == (ExitCode.PASS, "", "")


def test_runs_are_watched_without_an_engine_and_only_on_a_terminal(place: World) -> None:
    first, second = (place.start(*SHORT) for _ in range(2))
    assert (first.end(), second.end()) == (ExitCode.PASS, ExitCode.PASS)
    older, newer = place.runs()
    there = ("--runs-dir", str(place.runs_dir))
    both = place.start("watch", older.name, str(newer), older.name, *there, terminal=True, prologue=stand_in("return 0"))
    assert (both.end(), both.out) == (ExitCode.PASS, f"shown {older} {newer} seatrial-dark none\n")
    last = place.start("watch", *there, terminal=True, prologue=stand_in("return 0"))
    assert (last.end(), last.out) == (ExitCode.PASS, f"shown {newer} seatrial-dark none\n")
    code, out, err = place.do("watch", older.name, *there)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "seatrial report" in err


# -- clients that come, go and take a snapshot when they are told to


def tell(place: World, run: Command, command: str, *arguments: str) -> str:
    code, out, err = place.do(command, str(run.directory), *arguments)
    assert (code, err) == (ExitCode.PASS, ""), (command, arguments, out, err)
    return out


def refused(place: World, run: Command, command: str, *arguments: str) -> str:
    code, out, err = place.do(command, str(run.directory), *arguments)
    assert (code, out) == (ExitCode.USAGE, ""), (command, arguments, out, err)
    return err


def test_clients_come_go_and_take_a_snapshot_when_told_and_the_run_passes(place: World) -> None:
    run = place.start("run", "calm")
    run.chaos()
    assert eventually(lambda: len(run.events(ClientJoined)) == 2)
    stays, goes = (joined.client for joined in run.events(ClientJoined))
    words = goes.rsplit("-", 5)[0]
    for client in (stays, goes):
        run.wait_for(Result, client=client)
    assert "chaos; clients 2" in tell(place, run, "status")
    assert "no client is called 'nobody'" in refused(place, run, "snapshot", "nobody")

    assert words in tell(place, run, "snapshot", words)
    taken = run.wait_for(Result, action="snapshot-root", client=goes)
    assert taken.outcome.value == "ok"

    assert "joins" in tell(place, run, "add-client")
    newcomer = run.wait_for(ClientJoined, index=2).client
    run.wait_for(Result, client=newcomer)

    assert words in tell(place, run, "remove-client", goes[:-4])
    run.wait_for(ClientLeft, client=goes)
    seq_left = next(record.seq for record in run.records() if isinstance(record.event, ClientLeft))
    assert "no client is called" in refused(place, run, "snapshot", goes)
    tell(place, run, "remove-client", stays)
    run.wait_for(ClientLeft, client=stays)
    assert "the last client" in refused(place, run, "remove-client", newcomer)
    assert "chaos; clients 1" in tell(place, run, "status")
    tell(place, run, "stop")

    end = ended(place, run)
    assert (end.verdict, end.exit_code) == (Verdict.PASS, ExitCode.PASS)
    assert [(steer.command, steer.argument) for steer in run.events(Steer)] == [
        ("snapshot", goes),
        ("add-client", newcomer),
        ("remove-client", goes),
        ("remove-client", stays),
        ("stop", ""),
    ], "in order, and nothing that was refused"
    assert not [one for one in run.records() if one.seq > seq_left and isinstance(one.event, Result) and one.event.client == goes]
    restored = {result.snapshot for result in run.events(Result) if result.action == "restore-random-snapID"}
    assert taken.snapshot in restored, "what a client has left behind is verified"


def test_clients_neither_come_nor_go_when_nobody_acts(place: World) -> None:
    run = place.start(*SHORT, "--set", "verify.budget_s=60s", "--clients", "3")
    run.wait_for(Phase, name="quiesce", state="begin")
    code, _, err = place.do("add-client", str(run.directory))
    assert code == ExitCode.USAGE
    assert "no client acts" in err or "not active" in err
    assert run.end() == ExitCode.PASS
    assert not run.events(Steer)


def test_nobody_joins_a_run_without_random_actions(place: World) -> None:
    run = place.start("run", "steps", "--set", "mix={}")
    run.chaos()
    assert "no random actions" in refused(place, run, "add-client")
    tell(place, run, "stop")
    assert run.end() == ExitCode.PASS
    assert [steer.command for steer in run.events(Steer)] == ["stop"]
