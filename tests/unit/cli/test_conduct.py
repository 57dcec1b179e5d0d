"""One run from the command's side: commentary, signals, reports, and every way a trial can end."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seatrial.cli.conduct import ABORT_S, Conductor
from seatrial.cli.lines import Lines, Narrator
from seatrial.cli.terminal import Screen
from seatrial.cli.tether import Tether
from seatrial.clock import VirtualClock
from seatrial.errors import TargetError, UsageError
from seatrial.history.events import Record
from seatrial.history.fold import RunFold
from seatrial.history.view import RunView
from seatrial.verdicts import ExitCode, Verdict
from tests.support.waiting import eventually
from tests.unit.report.story import OTTER, Story, flipped

WAIT_S = 10.0


class ToldTrial:
    """A trial whose run is a story: a real journal, a real fold, no server. Ends when ``script`` returns."""

    def __init__(self, directory: Path, script: Callable[[ToldTrial, Story], ExitCode]) -> None:
        self._place, self._script = directory, script
        self.directory: Path | None = None
        self.fold = RunFold()
        self.stops: list[tuple[bool, str, bool]] = []
        self.steered_by: list[str] = []
        self.stopping, self.ending = threading.Event(), threading.Event()

    def view(self) -> RunView:
        return self.fold.view()

    def run(self) -> ExitCode:
        story = Story(self._place)
        story.subscribe(self.fold.apply)
        self.directory = self._place
        try:
            return self._script(self, story)
        finally:
            story.close()

    def stop(self, *, now: bool, reason: str, interrupted: bool = False, by: str = "") -> None:
        self.stops.append((now, reason, interrupted))
        self.steered_by.append(by)
        (self.ending if now else self.stopping).set()


def clean(_trial: ToldTrial, story: Story) -> ExitCode:
    story.set_up()
    story.did(OTTER, "snapshot-root", snapshot="aa11")
    story.verify(1, 1)
    story.finish()
    return ExitCode.PASS


def until_stopped(trial: ToldTrial, story: Story) -> ExitCode:
    story.set_up()
    assert trial.stopping.wait(WAIT_S)
    story.verify(0, 0)
    story.finish(Verdict.PASS, ExitCode.INTERRUPTED, "SIGTERM")
    return ExitCode.INTERRUPTED


def until_aborted(trial: ToldTrial, story: Story) -> ExitCode:
    story.set_up()
    assert trial.ending.wait(WAIT_S)
    story.finish(Verdict.INCONCLUSIVE, ExitCode.INTERRUPTED, "SIGTERM", aborted=True)
    return ExitCode.INTERRUPTED


class Signalling(Lines):
    """Sends this process signals when the run has come to its chaos phase."""

    def __init__(self, screen: Screen, *signals: signal.Signals) -> None:
        super().__init__(screen, 42)
        self._signals = list(signals)

    def tick(self, view: RunView) -> None:
        if self._signals and view.phase is not None and view.phase.name == "chaos":
            os.kill(os.getpid(), self._signals.pop(0))


def conducted(trial: ToldTrial, narrator: Narrator | None = None) -> tuple[ExitCode, str]:
    out = io.StringIO()
    conductor = Conductor(trial, narrator or Lines(Screen(out), 42))
    return conductor.conduct(), out.getvalue()


def test_a_clean_trial_is_told_reported_and_passes(tmp_path: Path) -> None:
    trial = ToldTrial(tmp_path / "run-1", clean)
    code, said = conducted(trial)
    assert code is ExitCode.PASS
    assert said.startswith(f"seed 42\nrun directory {tmp_path / 'run-1'}\n")
    assert "chaos begins" in said
    assert "PASS  exit code 0: pass" in said
    assert (tmp_path / "run-1" / "report.txt").read_text().startswith("PASS")
    assert (tmp_path / "run-1" / "report.json").exists()
    assert not trial.stops


def test_the_journal_wins_over_a_trial_that_claims_to_have_passed(tmp_path: Path) -> None:
    def claims(trial: ToldTrial, story: Story) -> ExitCode:
        story.say(flipped())
        return clean(trial, story)

    assert conducted(ToldTrial(tmp_path / "run-1", claims))[0] is ExitCode.ROBUSTNESS_FAILURE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    out = io.StringIO()
    trial = ToldTrial(tmp_path / "run-1", until_stopped)
    before = signal.getsignal(number)
    code, _ = conducted(trial, Signalling(Screen(out), number))
    assert code is ExitCode.INTERRUPTED
    assert trial.stops == [(False, f"interrupted by {number.name}", True)]
    assert f"interrupted by {number.name}: the run stops; once more ends it at once" in out.getvalue()
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    trial = ToldTrial(tmp_path / "run-1", until_aborted)
    code, _ = conducted(trial, Signalling(Screen(io.StringIO()), signal.SIGTERM, signal.SIGTERM))
    assert code is ExitCode.INTERRUPTED
    assert [now for now, *_ in trial.stops] == [False, True]


def test_the_third_signal_leaves_without_waiting(tmp_path: Path) -> None:
    left: list[ExitCode] = []
    trial = ToldTrial(tmp_path / "run-1", until_aborted)

    def hold(_trial: ToldTrial, story: Story) -> ExitCode:
        story.set_up()
        assert go_on.wait(WAIT_S)
        return ExitCode.INTERRUPTED

    go_on = threading.Event()
    trial = ToldTrial(tmp_path / "run-2", hold)

    def leave(code: ExitCode) -> None:
        left.append(code)
        go_on.set()

    narrator = Signalling(Screen(io.StringIO()), *[signal.SIGTERM] * 3)
    Conductor(trial, narrator, leave=leave).conduct()
    assert left == [ExitCode.INTERRUPTED]


def test_a_trial_that_ignores_its_abort_is_left_behind_after_a_while(tmp_path: Path) -> None:
    go_on, clock, left = threading.Event(), VirtualClock(), []

    def stuck(_trial: ToldTrial, story: Story) -> ExitCode:
        story.set_up()
        assert go_on.wait(WAIT_S)
        return ExitCode.INTERRUPTED

    class Passing(Signalling):
        def tick(self, view: RunView) -> None:
            super().tick(view)
            if not self._signals:
                clock.advance(ABORT_S)

    def leave(code: ExitCode) -> None:
        left.append(code)
        go_on.set()

    narrator = Passing(Screen(io.StringIO()), signal.SIGTERM, signal.SIGTERM)
    Conductor(ToldTrial(tmp_path / "run-1", stuck), narrator, clock=clock, leave=leave).conduct()
    assert set(left) == {ExitCode.INTERRUPTED}


class Looking(Signalling):
    """Looks away, as a dashboard that vanishes does, when the run has come to its chaos phase; then sends signals."""

    def __init__(self, dashboard: socket.socket, trial: ToldTrial, *signals: signal.Signals) -> None:
        super().__init__(Screen(io.StringIO()), *signals)
        self._dashboard, self._trial = dashboard, trial

    def tick(self, view: RunView) -> None:
        if view.phase is not None and view.phase.name == "chaos":
            self._dashboard.close()
            if self._trial.stops:
                super().tick(view)


@pytest.fixture
def tied(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Tether, socket.socket]]:
    monkeypatch.setattr("seatrial.cli.tether._keep_output", lambda _: None)
    theirs, ours = socket.socketpair()
    with theirs:
        yield Tether(ours.detach()), theirs


def test_a_dashboard_that_vanishes_stops_the_run_cleanly_without_interrupting_it(
    tmp_path: Path, tied: tuple[Tether, socket.socket]
) -> None:
    tether, dashboard = tied
    trial = ToldTrial(tmp_path / "run-1", until_stopped)
    Conductor(trial, Looking(dashboard, trial), tether=tether).conduct()
    ((now, reason, interrupted),) = trial.stops
    assert (now, interrupted, trial.steered_by) == (False, False, ["dashboard"])
    assert "vanished" in reason


def test_a_signal_after_the_dashboard_has_vanished_ends_the_run_at_once(tmp_path: Path, tied: tuple[Tether, socket.socket]) -> None:
    tether, dashboard = tied
    trial = ToldTrial(tmp_path / "run-1", until_aborted)
    Conductor(trial, Looking(dashboard, trial, signal.SIGTERM), tether=tether).conduct()
    assert [(now, by) for (now, *_), by in zip(trial.stops, trial.steered_by, strict=True)] == [(False, "dashboard"), (True, "")]


def test_a_dashboard_that_vanishes_from_a_run_that_stops_already_changes_nothing(
    tmp_path: Path, tied: tuple[Tether, socket.socket]
) -> None:
    tether, dashboard = tied

    def until_unseen(trial: ToldTrial, story: Story) -> ExitCode:
        story.set_up()
        assert trial.stopping.wait(WAIT_S)
        dashboard.close()
        assert eventually(lambda: not any(thread.name == "tether" for thread in threading.enumerate()))
        return ExitCode.INTERRUPTED

    trial = ToldTrial(tmp_path / "run-1", until_unseen)
    Conductor(trial, Signalling(Screen(io.StringIO()), signal.SIGTERM), tether=tether).conduct()
    assert trial.steered_by == [""]


def test_a_reader_that_is_lost_stops_no_run_that_is_tied(tmp_path: Path, tied: tuple[Tether, socket.socket]) -> None:
    class Deaf(Lines):
        lost = True

    tether, _ = tied
    trial = ToldTrial(tmp_path / "run-1", clean)
    assert Conductor(trial, Deaf(Screen(io.StringIO()), 42), tether=tether).conduct() is ExitCode.PASS
    assert not trial.stops


def test_an_error_of_the_trial_is_raised_after_the_report(tmp_path: Path) -> None:
    def fails(_trial: ToldTrial, story: Story) -> ExitCode:
        story.finish(Verdict.INCONCLUSIVE, ExitCode.BROKEN, "the server did not come up")
        raise TargetError("the server did not come up")

    out = io.StringIO()
    with pytest.raises(TargetError):
        conducted(ToldTrial(tmp_path / "run-1", fails), Lines(Screen(out), 42))
    assert "INCONCLUSIVE  exit code 4: harness or target broke" in out.getvalue()
    assert "the server did not come up" in (tmp_path / "run-1" / "report.txt").read_text()


def test_an_error_before_there_is_a_run_directory_is_the_only_thing_said(tmp_path: Path) -> None:
    class Refused(ToldTrial):
        def run(self) -> ExitCode:
            raise UsageError("another run uses this prefix")

    out = io.StringIO()
    with pytest.raises(UsageError, match="another run uses this prefix"):
        conducted(Refused(tmp_path / "run-1", clean), Lines(Screen(out), 42))
    assert out.getvalue() == ""


def test_a_run_directory_without_a_journal_does_not_hide_why(tmp_path: Path) -> None:
    class Refused(ToldTrial):
        def run(self) -> ExitCode:
            self.directory = tmp_path
            raise UsageError("no space for a journal")

    with pytest.raises(UsageError, match="no space for a journal"):
        conducted(Refused(tmp_path, clean))


def test_what_the_run_warns_of_is_told_with_it_and_made_harmless(tmp_path: Path) -> None:
    def warns(trial: ToldTrial, story: Story) -> ExitCode:
        logging.getLogger("seatrial.somewhere").warning("could not remove %s", "\x1b[2J")
        return clean(trial, story)

    handlers = list(logging.getLogger().handlers)
    assert "could not remove \\x1b[2J\n" in conducted(ToldTrial(tmp_path / "run-1", warns))[1]
    assert logging.getLogger().handlers == handlers


def test_a_reader_who_left_stops_the_run_cleanly(tmp_path: Path) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    trial = ToldTrial(tmp_path / "run-1", until_stopped)
    conducted(trial, Lines(Screen(Broken()), 42))
    assert trial.stops == [(False, "the output takes no more", True)]
    assert (tmp_path / "run-1" / "report.txt").exists()


def test_a_defect_of_the_commentary_ends_the_run(tmp_path: Path) -> None:
    class Defective(Lines):
        def record(self, record: Record) -> None:
            raise ZeroDivisionError

    trial = ToldTrial(tmp_path / "run-1", until_aborted)
    with pytest.raises(ZeroDivisionError):
        conducted(trial, Defective(Screen(io.StringIO()), 42))
    assert trial.stops == [(True, "the command failed", False)]
    assert not [thread for thread in threading.enumerate() if thread.name == "trial"]


def test_a_terminal_that_hangs_up_does_not_keep_the_report_from_being_written(tmp_path: Path) -> None:
    """A real process: standard output is a pipe nobody reads, then SIGHUP."""
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from seatrial.cli.conduct import Conductor
        from seatrial.cli.lines import Lines
        from seatrial.cli.terminal import Screen
        from tests.unit.cli.test_conduct import ToldTrial, until_stopped
        code = Conductor(ToldTrial(Path(sys.argv[1]), until_stopped), Lines(Screen(sys.stdout), 42)).conduct()
        sys.stdout = None
        sys.exit(code)
        """
    )
    environment = {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[3])]), "PATH": os.defpath}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "run-1")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "chaos begins" in line:
                break
        process.stdout.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(WAIT_S) == ExitCode.INTERRUPTED
    assert (tmp_path / "run-1" / "report.txt").exists()
