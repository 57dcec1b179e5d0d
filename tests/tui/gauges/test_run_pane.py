"""The run at a glance, on three lines and on eight."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from seatrial.history.events import Event, Finding, Invoke, NotRun, Phase, Result, RunEnded, Steer
from seatrial.history.frames import Frame
from seatrial.history.view import RunView
from seatrial.report.prose import duration
from seatrial.verdicts import Outcome, Verdict
from seatrial_tui.panes.run.pane import RunPane
from seatrial_tui.source.moment import Moment
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS, Stage, on_stage, recorded, screen_text, shown, told, until
from tests.tui.runs import NoRun

SETUP: list[Event] = [Phase(name="setup", state="begin"), Phase(name="setup", state="end")]
CHAOS: list[Event] = [*SETUP, Phase(name="chaos", state="begin", planned_s=60.0)]
SIZES = [(80, 24), (160, 50)]


def pane(*, compact: bool = False) -> RunPane:
    made = RunPane(NoRun())
    made.compact = compact
    return made


def finding(verdict: Verdict = Verdict.FAIL) -> Finding:
    return Finding(id="f", group="flipped", check="compare", verdict=verdict, message="a bit is flipped")


def later(moment: Moment, seconds: int) -> Moment:
    return msgspec.structs.replace(moment, now_ns=moment.now_ns + seconds * SECOND_NS)


@pytest.mark.parametrize("size", SIZES)
def test_a_recorded_run_is_told_in_words_at_its_end(finished_run: Path, size: tuple[int, int]) -> None:
    moments = recorded(finished_run)
    view = moments[-1].view
    assert view.end is not None
    took = duration((view.end.at_ns - view.header.started_ns) / 1e9)
    text = shown(
        pane(),
        moments,
        size,
        f"{view.header.preset} on {view.header.target}",
        f"seed {view.header.seed}",
        view.header.run_id,
        f"{view.snapshots.live} live",
        f"{view.snapshots.created} created",
        "no findings",
        "✓ PASS",
        "■ ended",
        "exit code 0",
        f"elapsed {took}",
        "verify ✓",
    )
    assert "so far" not in text
    assert "▶" not in text


def in_chaos(run_dir: Path) -> Moment:
    """In the middle of chaos, with actions under way."""
    there = [moment for moment in recorded(run_dir) if moment.view.phase and moment.view.phase.name == "chaos" and moment.view.in_flight]
    return there[len(there) // 2]


@pytest.mark.parametrize("size", SIZES)
def test_each_moment_of_a_recorded_run_tells_its_phase_and_rates(finished_run: Path, size: tuple[int, int]) -> None:
    middle = in_chaos(finished_run)
    rates = middle.view.rates
    shown(
        pane(),
        [middle],
        size,
        "chaos ▶",
        "PASS so far",
        f"{middle.view.in_flight} in flight",
        f"{rates.actions_per_minute:,.0f}/min",
        "↑",
    )


def test_a_recorded_loss_that_was_expected_is_told_as_such(failed_run: Path) -> None:
    moments = recorded(failed_run)
    view = moments[-1].view
    found = f"{view.findings_total} findings of {len(view.findings)} defects"
    shown(pane(), moments[-1:], (100, 24), "✓ PASS", "■ ended  exit code 0: the expected loss was caught", found)
    under_way = next(moment for moment in moments if moment.view.findings_total and moment.view.end is None)
    shown(pane(), [under_way], (100, 24), "✗ FAIL as expected so far")


def test_the_strip_is_three_lines_with_all_that_matters(finished_run: Path) -> None:
    text = shown(
        pane(compact=True),
        [in_chaos(finished_run)],
        (80, 24),
        "✓ chaos ▶",
        "PASS so far",
        "in flight",
        "no findings",
        "/min",
        "B/s",
        "seed",
    )
    lines = text.split("\n")
    assert [bool(line.strip()) for line in lines] == [True] * 3 + [False] * 21
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("compact", "size", "high"), [(True, (80, 24), 3), (False, (90, 24), 11), (False, (160, 50), 10)])
def test_it_takes_as_many_lines_as_it_needs(finished_run: Path, compact: bool, size: tuple[int, int], high: int) -> None:
    made = pane(compact=compact)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        made.show(in_chaos(finished_run))
        await until(pilot, lambda: str(made.outer_size.height), lambda height: height == str(high))
        assert made.outer_size.height == high

    on_stage(made, size, act)


@pytest.mark.parametrize("compact", [True, False])
def test_paused_cannot_be_overlooked_without_colour(compact: bool) -> None:
    moment = later(told([*CHAOS, Steer(command="pause", by="a test")]), 10)
    text = shown(pane(compact=compact), [moment], (80, 24), "‖ PAUSED ░ ░", "chaos")
    assert ("━" in text) is not compact  # a heavy border where there is one
    resumed = told([*CHAOS, Steer(command="pause"), Steer(command="resume")])
    assert "PAUSED" not in shown(pane(compact=compact), [moment, resumed], (80, 24), "of 1m 00s")


def test_progress_by_time_and_by_work_tell_what_is_left() -> None:
    by_time = later(told(CHAOS), 15)
    shown(pane(), [by_time], (92, 24), "25%", "15 s of 1m 00s, 45 s left")
    verify = [*SETUP, Phase(name="verify", state="begin", planned_s=100.0, total=8)]
    invoke = Invoke(op="1", client="c", action="restore-random-snapID", index=0, mutates=False, snapshot="s")
    result = Result(op="1", client="c", action="restore-random-snapID", outcome=Outcome.OK, snapshot="s", equal=True)
    by_work = told([*verify, invoke, result])
    assert by_work.view.phase is not None
    assert by_work.view.phase.progress == 1
    shown(pane(), [by_work], (92, 24), "1 of 8", "14 s left", "12%")
    shown(pane(), [later(by_time, 60)], (92, 24), "100%", "about to end")


def test_an_expected_failure_is_called_expected() -> None:
    moment = told([*CHAOS, finding()])
    off_contract = msgspec.structs.replace(moment.view.header, expect="fail")
    expected = msgspec.structs.replace(moment, view=msgspec.structs.replace(moment.view, header=off_contract))
    shown(pane(), [moment], (92, 24), "✗ FAIL so far", "1 finding of 1 defect")
    shown(pane(), [expected], (92, 24), "✗ FAIL as expected so far", "1 finding of 1 defect")


def test_what_keeps_the_verdict_open_is_told() -> None:
    invoke = Invoke(op="1", client="c", action="snapshot-root", index=0, mutates=True)
    unknown = Result(op="1", client="c", action="snapshot-root", outcome=Outcome.UNKNOWN)
    moment = told([*CHAOS, invoke, unknown])
    gappy = msgspec.structs.replace(moment, view=msgspec.structs.replace(moment.view, gaps=1, verdict=Verdict.INCONCLUSIVE))
    shown(pane(), [gappy], (92, 24), "? INCONCLUSIVE so far", "1 operation of unknown outcome", "1 gap in the journal")


def test_what_the_server_cannot_be_asked_for_is_named() -> None:
    attached = told([NotRun(action="run-gc", why="not ours"), NotRun(action="verify-repository", why="not ours"), *CHAOS])
    shown(pane(), [attached], (92, 24), "not run: run-gc, verify-repository")


def test_a_run_whose_engine_is_gone_says_so_and_one_watched_in_its_past_does_not() -> None:
    gone = msgspec.structs.replace(told(CHAOS), live=False)
    assert "PASS" not in shown(pane(), [gone], (92, 24), "■ BROKEN OFF", "? INCONCLUSIVE")
    lost = msgspec.structs.replace(gone, view=msgspec.structs.replace(gone.view, verdict=Verdict.FAIL))
    assert "so far" not in shown(pane(), [lost], (92, 24), "■ BROKEN OFF", "✗ FAIL")
    past = msgspec.structs.replace(gone, end_ns=gone.end_ns + 100 * SECOND_NS)
    assert "BROKEN" not in shown(pane(), [past], (92, 24), "chaos ▶", "PASS so far")


def test_a_journal_that_is_still_being_read_is_not_taken_for_one_without_an_end() -> None:
    moment = msgspec.structs.replace(told(CHAOS), live=False, reading=True, end_ns=BEGIN_NS + 12 * SECOND_NS)
    assert "BROKEN" not in shown(pane(), [moment], (92, 24), "reading the journal", "25%")


def test_an_aborted_run_and_a_run_that_cannot_be_read_say_why() -> None:
    aborted = told([*CHAOS, RunEnded(verdict=Verdict.INCONCLUSIVE, exit_code=130, reason="second Ctrl-C", aborted=True)])
    shown(pane(), [aborted], (92, 24), "■ ABORTED  exit code 130: second Ctrl-C", "chaos ■")
    broken = msgspec.structs.replace(aborted, problem="journal-000002.jsonl: [line 7] is damaged")
    shown(pane(), [broken], (92, 24), "journal-000002.jsonl: [line 7] is damaged")
    cut = msgspec.structs.replace(told(CHAOS), live=False, problem="journal-000002.jsonl: [line 7] is damaged")
    cut = msgspec.structs.replace(cut, end_ns=cut.end_ns + 100 * SECOND_NS)
    assert "PASS" not in shown(pane(), [cut], (92, 24), "[line 7] is damaged", "? INCONCLUSIVE")


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24), (200, 60)])
def test_nothing_yet_is_told_as_such_at_any_size(compact: bool, size: tuple[int, int]) -> None:
    expected = "waiting" if size[0] >= 40 else "w"
    shown(pane(compact=compact), [Moment(view=RunView())], size, expected)


def test_zero_samples_and_no_telemetry_leave_the_plots_empty() -> None:
    text = shown(pane(), [told(CHAOS)], (92, 24), "0/min", "0 B/s", "0 in flight")
    assert "↑" not in text
    assert "gate" not in text


def test_what_waits_at_the_gate_is_told_where_telemetry_tells() -> None:
    frame = Frame(at_ns=BEGIN_NS + 9 * SECOND_NS, in_flight=2, waiting=31)
    shown(pane(), [told(CHAOS, [frame])], (92, 24), "31 waiting at the gate")


def test_the_strip_becomes_a_pane_and_back_while_it_is_shown(finished_run: Path) -> None:
    made = pane(compact=True)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        made.show(in_chaos(finished_run))
        await until(pilot, lambda: screen_text(app), lambda text: "╭" not in text and "/min" in text)
        made.compact = False
        assert "at work" in await until(pilot, lambda: screen_text(app), lambda text: "╭" in text and "at work" in text)
        made.compact = True
        assert "╭" not in await until(pilot, lambda: screen_text(app), lambda text: "╭" not in text and "at work" not in text)

    on_stage(made, (100, 24), act)
