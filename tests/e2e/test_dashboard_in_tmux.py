"""The installed command on a real terminal: driven by keys, killed, hung up, suspended, resized, broken; and what is left of it."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from seatrial.history.events import Phase, RunEnded, Steer
from seatrial.verdicts import ExitCode
from tests.support.processes import alive
from tests.support.stage import FOOTER, PANES, QUESTION, Stage, stage
from tests.support.terminal import COMES_S, LOOK_AGAIN_S
from tests.support.waiting import eventually
from tests.tui.recorded import record_failed_run

pytestmark = pytest.mark.needs_program("tmux", "bash")
SLOW = pytest.mark.slow


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, (80, 24)) as made:
        yield made


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, (160, 50)) as made:
        yield made


def shown(made: Stage, command: str = "seatrial run calm") -> None:
    """Start a run and wait until its clients act and are shown."""
    made.enter(command)
    made.terminal.wait_for("╭─ Clients", FOOTER, "chaos")
    made.wait_for(Phase, name="chaos", state="begin")


def stop_by_keys(made: Stage) -> None:
    made.terminal.press("q")
    made.terminal.wait_for(QUESTION)
    made.terminal.press("s")


# -- driven by keys


def test_the_installed_command_is_driven_by_keys_and_ends_with_its_run_on_a_clean_terminal(small: Stage) -> None:
    window = small.terminal
    before = window.modes()
    shown(small, "seatrial run smoke --clients 2 --set duration_s=10m")
    assert window.alternate

    for number, title in enumerate(PANES, 1):
        window.press(str(number))
        screen = window.wait_for(f"╭─ {title} ─")
        assert screen.count("╭") == 1, "one at a time where it is narrow"
        assert FOOTER in screen.splitlines()[-1]
    window.press("1")
    window.wait_for("╭─ Clients ─")

    window.press("?")
    window.wait_for("╭─ Help: Clients ─", "Keys of Clients")
    window.press("Escape")
    window.wait_until_gone("Help: Clients")

    window.press("p")
    small.wait_for(Steer, command="pause")
    window.wait_for("‖ PAUSED")
    window.press("p")
    small.wait_for(Steer, command="resume")
    window.wait_until_gone("‖ PAUSED")

    window.press("m")
    window.wait_for("A remark for the journal")
    window.type("the [disk] was pulled; q? ü")
    window.press("Enter")
    assert small.wait_for(Steer, command="remark").argument == "the [disk] was pulled; q? ü"
    window.wait_until_gone("A remark for the journal")

    window.press("q")
    window.wait_for(QUESTION)
    window.press("Escape")
    window.wait_until_gone(QUESTION)
    stop_by_keys(small)

    assert small.ended() == ExitCode.PASS
    screen = window.wait_for("PASS  exit code 0: pass", "run it again   seatrial run smoke --seed")
    assert "╭" not in screen
    assert window.clean
    assert window.modes() == before
    assert [command for command, _ in small.steered()] == ["pause", "resume", "remark", "stop"]
    small.run_stopped_cleanly()
    assert not small.reports()


def test_a_run_that_is_left_running_is_found_again_and_stopped(small: Stage) -> None:
    window = small.terminal
    shown(small)
    window.press("q")
    window.wait_for(QUESTION)
    window.press("l")
    assert small.ended() == ExitCode.PASS
    window.wait_for(f"run {small.run.name} goes on")
    assert window.clean
    small.goes_on()

    window.enter("clear")
    small.enter("seatrial watch last")
    window.wait_for("╭─ Clients", FOOTER)
    window.press("q")
    assert small.ended() == ExitCode.PASS
    assert not small.events(RunEnded), "whoever only watches ends nothing"

    window.enter("clear")
    small.enter("seatrial stop last")
    assert small.ended() == ExitCode.PASS
    small.run_stopped_cleanly()


def test_ctrl_c_asks_what_q_asks(small: Stage) -> None:
    shown(small)
    small.terminal.press("C-c")
    small.terminal.wait_for(QUESTION)
    small.terminal.press("C-c")
    small.terminal.press("s")
    assert small.ended() == ExitCode.PASS
    assert small.terminal.clean
    small.run_stopped_cleanly()


# -- ended from outside


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=number.name, marks=marks)
        for number, marks in ((signal.SIGTERM, ()), (signal.SIGINT, SLOW), (signal.SIGHUP, SLOW))
    ],
)
def test_a_dashboard_that_is_told_to_end_stops_its_run_and_leaves_the_terminal_clean(small: Stage, number: int) -> None:
    before = small.terminal.modes()
    shown(small)
    small.terminal.program.send_signal(number)
    assert small.ended() == ExitCode.PASS
    small.terminal.wait_for("the run stops", "PASS  exit code 0")
    assert small.terminal.clean
    assert small.terminal.modes() == before
    assert small.steered() == [("stop", "dashboard")]
    small.run_stopped_cleanly()
    assert not small.reports()


def test_a_dashboard_that_is_killed_leaves_its_run_to_stop_cleanly(small: Stage) -> None:
    shown(small)
    small.terminal.program.kill()
    small.run_stopped_cleanly()
    assert small.steered() == [("stop", "dashboard")]


@pytest.mark.parametrize("suspended", [pytest.param(False, id="in front"), pytest.param(True, id="suspended", marks=SLOW)])
def test_a_window_that_is_closed_ends_the_dashboard_and_stops_its_run(small: Stage, suspended: bool) -> None:
    shown(small)
    program = small.terminal.program
    if suspended:
        small.terminal.press("C-z")
        small.terminal.wait_for("Stopped")
    small.terminal.hang_up()
    small.run_stopped_cleanly()
    assert not alive(program.pid)
    assert small.steered() == [("stop", "dashboard")]
    assert not small.reports()


@SLOW
def test_who_waits_for_the_runs_end_may_go_to_the_shell_meanwhile(small: Stage) -> None:
    window = small.terminal
    shown(small, "seatrial run calm --clients 12")
    window.program.terminate()
    window.wait_for("the run stops")
    window.press("C-z")
    window.wait_for("Stopped")
    window.enter("clear")
    window.wait_until_gone("ended with")
    window.enter("fg; echo ended with $?")
    assert small.ended() == ExitCode.PASS
    assert window.clean
    small.run_stopped_cleanly()
    assert not small.reports()


# -- suspended, resized


def test_ctrl_z_gives_the_shell_back_while_the_run_goes_on_and_fg_brings_the_dashboard_back(small: Stage) -> None:
    window = small.terminal
    before = window.modes()
    shown(small)
    for _ in range(2):
        window.press("C-z")
        window.wait_for("Stopped")
        assert eventually(lambda: window.clean, COMES_S)
        assert window.modes() == before
        assert window.program.status() == psutil.STATUS_STOPPED
        small.goes_on()
        window.enter("clear")
        window.enter("fg; echo ended with $?")
        window.wait_for("╭─ Clients", FOOTER, "chaos")
        assert window.alternate
    stop_by_keys(small)
    assert small.ended() == ExitCode.PASS
    assert window.clean
    assert window.modes() == before
    small.run_stopped_cleanly()


def looks_right(columns: int, frames: int) -> Callable[[str], bool]:
    """Whether a screen of so many columns has so many frames, a footer, and nothing beyond its edge."""

    def look(screen: str) -> bool:
        lines = screen.splitlines()
        return screen.count("╭") == screen.count("╯") == frames and FOOTER in lines[-1] and max(map(len, lines)) <= columns

    return look


def test_the_window_may_be_pulled_to_any_size_while_the_run_is_live(large: Stage) -> None:
    window = large.terminal
    shown(large)
    many = ("╭─ Clients", "╭─ Server log", "╭─ Findings", "╭─ Server ─", "╭─ Statistics")
    window.wait_for(*many)
    for columns, lines, frames in ((80, 24, 1), (40, 10, 1), (1, 1, 0), (300, 3, 0), (160, 50, 6)):
        window.resize(columns, lines)
        if frames:
            window.wait_until(looks_right(columns, frames), f"not as it should be at {columns}x{lines}")
    window.wait_for(*many, "PASS so far")
    window.resize(80, 24)
    window.wait_until(looks_right(80, 1), "not as it should be")
    stop_by_keys(large)
    assert large.ended() == ExitCode.PASS
    assert window.clean
    large.run_stopped_cleanly()


# -- broken


BREAKS = """
import sys
from seatrial.cli.main import main
from seatrial_tui.panes.{module}.pane import {pane}

def show(self, moment):
    if moment.view.seq:
        raise ZeroDivisionError("a pane breaks \\x1b]0;gotcha\\x07[/not markup]")

{pane}.show = show
main()
"""


@pytest.mark.parametrize(
    ("module", "pane", "key"),
    [pytest.param("run", "RunPane", "", id="at once"), pytest.param("statistics", "StatisticsPane", "5", id="by a key", marks=SLOW)],
)
def test_a_defect_of_the_dashboard_ends_it_with_one_message_and_stops_the_run(small: Stage, module: str, pane: str, key: str) -> None:
    small.program("broken", sys.executable, "-c", BREAKS.format(module=module, pane=pane))
    window = small.terminal
    before = window.modes()
    small.enter("broken run calm")
    if key:
        window.wait_for("╭─ Clients", FOOTER, "chaos")
        window.press(key)
    assert small.ended() == ExitCode.BROKEN
    (report,) = small.reports()
    said = re.sub(r"\n", "", window.screen)  # the terminal has wrapped it
    assert said.count("a defect of seatrial itself: ZeroDivisionError") == 1
    assert str(report) in said
    assert "Traceback" not in said
    assert "in show" in report.read_text()
    assert b"\x1b]0;gotcha" not in window.written
    assert window.clean
    assert window.modes() == before
    small.run_stopped_cleanly()


# -- what a server may write


HOSTILE = (
    b"[/var/x] [bold red]no markup[/] [@click=app.quit]press[/]\n"
    b"\x1b]0;gotcha\x07\x1b]2;gotcha\x1b\\\x1b[2Jwiped\x1b[31mred\x1b[?1049l\x1b[?25h\x1bc\n"
    b"\x9b31m\xff\xfe invalid \xc3\x28 \xc2\x9b2J\xc2\x85 \xe2\x80\xaeright to left\n"
    + b"long "
    * 20_000
    + b"\nnul \x00 bell \x07 back \x08\x08\x08 return\rover\ttab\x0b\x0c\x7f\n"
    b"the last hostile line\n"
)
OURS = re.compile(rb"\x1b(?:\[[?<>=]?[\d;:]*\$?[A-Za-z]|\]22;[a-z-]+\x07)")
"""What Textual itself writes: colours, the cursor, modes, the shape of the mouse's pointer. No titles, no clipboard, no reset."""


def test_nothing_a_server_writes_drives_the_terminal(small: Stage) -> None:
    run = small.place.start("run", "calm", "--duration", "300ms", "--no-ui")
    assert run.end() == ExitCode.PASS, run.err
    log = small.run / "server.log"
    log.write_bytes(log.read_bytes() + HOSTILE)
    window = small.terminal
    title = window.value("pane_title")
    shell = len(window.written)

    small.enter("seatrial watch last")
    window.wait_for("╭─ Clients", FOOTER)
    window.press("2")
    window.wait_for("╭─ Server log", "the last hostile line", "[/var/x] [bold red]no markup[/]")
    for key in ("w", "g", "G", "w", "t", "/"):
        window.press(key)
    window.wait_for("regular expression; ! in front inverts")
    window.type("hostile|gotcha")
    window.press("Enter")
    window.wait_until_gone("[/var/x]", "regular expression")
    window.wait_for("gotcha", "the last hostile line")
    window.press("Escape")
    window.wait_for("[/var/x]")
    window.press("q")
    assert small.ended() == ExitCode.PASS

    assert window.clean
    assert window.value("pane_title") == title
    assert window.value("window_bell_flag") == "0"
    painted = window.written[shell:]
    begin, end = painted.index(b"\x1b[?1049h"), painted.rindex(b"\x1b[?1049l")
    foreign = re.sub(rb"[\n\r]", b"", OURS.sub(b"", painted[begin:end]))
    assert not re.search(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]", foreign)
    foreign.decode()  # what reaches the terminal is UTF-8
    window.enter("printf '\\a'")
    assert eventually(lambda: window.value("window_bell_flag") == "1", COMES_S, LOOK_AGAIN_S), "a bell would have been noticed"
    small.nothing_is_left()


# -- the launch screen, and runs that are over


def test_the_bare_command_shows_what_can_be_run_and_enter_runs_it(small: Stage) -> None:
    window = small.terminal
    before = window.modes()
    small.enter("seatrial")
    window.wait_for("smoke *", "Former runs", FOOTER)
    window.press("q")
    assert small.ended() == ExitCode.PASS
    assert window.clean
    assert not small.place.runs()

    window.enter("clear")
    small.enter("seatrial")
    window.wait_for("smoke *")
    window.press("C-c")
    assert small.ended() == ExitCode.PASS
    assert window.clean

    window.enter("clear")
    small.enter("SEATRIAL_PRESET=calm seatrial")
    window.wait_for("calm *", "Former runs")
    window.press("Enter")
    window.wait_for("╭─ Clients", "chaos")
    stop_by_keys(small)
    assert small.ended() == ExitCode.PASS
    window.wait_for("PASS  exit code 0")
    assert window.clean
    assert window.modes() == before
    small.run_stopped_cleanly()
    small.nothing_is_left()


@SLOW
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: signal.Signals(number).name)
def test_a_launch_screen_that_is_told_to_end_leaves_the_terminal_clean(small: Stage, number: int) -> None:
    window = small.terminal
    before = window.modes()
    small.enter("seatrial")
    window.wait_for("smoke *", FOOTER)
    window.press("C-z")
    window.wait_for("Stopped")
    assert eventually(lambda: window.clean, COMES_S, LOOK_AGAIN_S)
    window.enter("clear")
    window.enter("fg; echo ended with $?")
    window.wait_for("smoke *", FOOTER)
    window.program.send_signal(number)
    assert small.ended() == ExitCode.PASS
    assert window.clean
    assert window.modes() == before
    assert not small.place.runs()
    small.nothing_is_left()
    assert not small.reports()


def test_a_run_that_is_over_is_played_again_and_left_at_once(small: Stage) -> None:
    run = record_failed_run(small.place.runs_dir)
    journal = sorted(path.read_bytes() for path in run.glob("journal-*"))
    window = small.terminal
    small.enter(f"seatrial watch {run.name}")
    window.wait_for("■ ended", "‖ 00:", FOOTER)
    window.press("3")
    window.wait_for("╭─ Findings", "flipped")
    window.press("[")
    window.wait_until_gone("■ ended")
    window.wait_for("FAIL as expected so far")
    window.press("<")
    window.wait_for("‖ 00:00 /")
    window.press("-", "-", "-", "Space")
    window.wait_for("▶ 0.125x 00:00 /")
    window.wait_for("▶ 0.125x 00:01 /")
    window.press("q")
    assert small.ended() == ExitCode.PASS
    assert window.clean
    assert sorted(path.read_bytes() for path in run.glob("journal-*")) == journal

    window.enter("clear")
    small.enter("seatrial watch last < /dev/null")
    assert small.ended() == ExitCode.USAGE
    window.wait_for("needs a terminal", "seatrial report RUN")
    small.nothing_is_left()
