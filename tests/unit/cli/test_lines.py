"""The running commentary, over journals that the real writer wrote."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.cli.json_lines import JsonLines
from seatrial.cli.lines import SHOWN_GROUPS, Detail, Lines, Narrator, progress_line
from seatrial.cli.terminal import Screen
from seatrial.clock import VirtualClock
from seatrial.history.events import ClusterEvent, Fault, NodeEvent, Phase, ServerEvent, Steer, Trees
from seatrial.history.fold import RunFold
from seatrial.history.journal import read_journal
from seatrial.history.view import PhaseView, RunView
from seatrial.report import summarise
from seatrial.report.progress import time_left_s
from seatrial.report.text import action_table
from seatrial.verdicts import Outcome, Verdict
from tests.unit.report.story import FOX, OTTER, Story, clean_run, damaged_run, flipped

COMMAND = ("seatrial", "run", "smoke", "--seed", "42")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(directory: Path, make: Callable[[Screen], Narrator]) -> str:
    """All that a narrator says of a finished run."""
    out = io.StringIO()
    narrator = make(Screen(out))
    narrator.start(directory)
    for record in read_journal(directory):
        narrator.record(record)
    narrator.finish(summarise(directory))
    return out.getvalue()


def text(directory: Path, detail: Detail = Detail.NORMAL) -> str:
    return told(directory, lambda screen: Lines(screen, 42, COMMAND, detail, VirtualClock()))


def documents(directory: Path, detail: Detail = Detail.NORMAL) -> list[dict[str, object]]:
    said = told(directory, lambda screen: JsonLines(screen, Screen(io.StringIO()), 42, COMMAND, detail))
    return [json.loads(line) for line in said.splitlines()]


DAMAGED = """\
seed 42
run directory {directory}
    0 s  smoke on embedded 1.0, 2 clients
    0 s  setup begins
    0 s  server ready at https://127.0.0.1:4000, pid 77
    0 s  chaos begins, 30 s planned
    0 s  FAIL restore: a restored file differs
         snapshot           aa11
         made by            brave-otter-1
         seen by            calm-fox-2 in operation 5
         path               data/\\x1b[31mred\\nfile_\\u202e1
         damage             flipped: expected 0x41, found 0x40
         remedy             keep evidence/f-1
         run it again       seatrial run smoke --seed 42
    0 s  verify begins, 2m 00s planned, 1 to do
    0 s  server stopped

action                 count  ok  failed  unknown  no-op     p50     p95     p99     max  queued p95
snapshot-root              1   1       0        0      0  250 ms  250 ms  250 ms  250 ms           -
restore-random-snapID      3   3       0        0      0  250 ms  250 ms  250 ms  250 ms           -
run-gc                     2   2       0        0      0  250 ms  250 ms  250 ms  250 ms           -

verified 1 of 1; 2 findings of 1 defect; 27 s
time  set-up 5 s · workload 13 s · verify 3 s
FAIL  exit code 1: robustness failure
  - 1 defect found, seen 2 times: a restored file differs
seed           42
run it again   seatrial run smoke --seed 42
run directory  {directory}
"""


def test_a_run_with_damage_reads_like_this_in_a_log(tmp_path: Path) -> None:
    run = damaged_run(tmp_path / "run-1")
    assert text(run) == DAMAGED.format(directory=run)


def test_quiet_leaves_findings_and_closing_lines_only(tmp_path: Path) -> None:
    quiet = text(damaged_run(tmp_path / "run-1"), Detail.QUIET)
    assert quiet.splitlines()[0].endswith("FAIL restore: a restored file differs")
    assert "begins" not in quiet
    assert "p95" not in quiet
    assert quiet.count("seed           42") == 1
    assert text(clean_run(tmp_path / "run-2"), Detail.QUIET).startswith("PASS  exit code 0: pass\n")


def test_verbose_tells_each_result(tmp_path: Path) -> None:
    verbose = text(clean_run(tmp_path / "run-1"), Detail.VERBOSE)
    assert "brave-otter-1 snapshot-root ok (snapshot aa11, 3 files, 4.0 KiB, 250 ms)" in verbose
    assert "calm-fox-2 delete-random-snapID no-op (250 ms)" in verbose
    assert "calm-fox-2 run-gc failed contended: locked (250 ms)" in verbose
    assert "brave-otter-1 joined" in verbose


def test_an_expected_loss_is_marked_as_expected(tmp_path: Path) -> None:
    said = text(damaged_run(tmp_path / "run-1", expect="fail"))
    assert "FAIL (expected) restore: a restored file differs" in said
    assert "PASS  exit code 0: pass\n  - the expected loss was caught (smoke is off contract)" in said


def test_server_faults_and_steering_are_told(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.say(
        ServerEvent(state="died", exit_code=-9, detail="last words\n\x1b[2J"),
        Fault(fault="flip-byte", state="planted", detail="in a pack"),
        NodeEvent(node="n1", state="down", detail="7 keys lost"),
        ClusterEvent(hints_queued=3, hints_waiting=2),
        Steer(command="remark", argument="look\nhere"),
        Phase(name="chaos", state="end", detail="stopped early"),
    )
    story.finish()
    said = text(story.directory)
    assert "server died with signal 9 (SIGKILL): last words\n           \\x1b[2J\n" in said
    assert "fault flip-byte planted: in a pack" in said
    assert "node n1 down: 7 keys lost" in said
    assert "cluster: 3 hints queued, 2 waiting" in said
    assert "steered: remark look\n           here\n" in said
    assert "chaos ended: stopped early" in said


def test_a_defect_seen_often_is_told_once_and_many_defects_are_bounded(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    for number in range(SHOWN_GROUPS + 20):
        story.say(flipped(group=f"g{number}"), flipped(group=f"g{number}"))
    story.finish()
    said = text(story.directory)
    assert said.count("FAIL restore: ") == SHOWN_GROUPS
    assert said.count("the rest is in the report") == 1


def view_of(story: Story) -> RunView:
    fold = RunFold()
    for record in read_journal(story.directory):
        fold.apply(record)
    return fold.view(force=True)


def test_progress_says_phase_rates_counts_flight_findings_and_time_left(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.did(OTTER, "snapshot-root", snapshot="aa11", bytes=4096)
    story.did(OTTER, "write-random-files", Outcome.FAILED)
    story.begin(FOX, "restore-random-snapID", "aa11")
    story.say(flipped())
    line = progress_line(view_of(story), story.clock.now_ns())
    story.close()
    phase, rates, *rest = line.split(" | ")
    assert phase == "chaos"
    assert rates.endswith("/s")
    assert rest == ["ok 1 failed 1 unknown 0 no-op 0", "1 in flight", "1 finding of 1 defect", "24 s left"]


def test_progress_comes_every_few_seconds_and_not_more_often() -> None:
    out, clock = io.StringIO(), VirtualClock()
    lines = Lines(Screen(out), 42, COMMAND, Detail.NORMAL, clock)
    for _ in range(40):
        clock.advance(0.5)
        lines.tick(RunView())
    assert len(out.getvalue().splitlines()) == 4
    assert out.getvalue().startswith("    5 s  starting | ")


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("phase", "left_s"),
    [
        (PhaseView(name="setup", state="begin"), None),
        (PhaseView(name="chaos", state="begin", planned_s=30), 20),
        (PhaseView(name="chaos", state="begin", planned_s=5), 0),
        (PhaseView(name="chaos", state="end", planned_s=30), None),
        (PhaseView(name="verify", state="begin", planned_s=120, total=40, progress=10), 30),
        (PhaseView(name="verify", state="begin", planned_s=15, total=40, progress=10), 5),
        (PhaseView(name="verify", state="begin", planned_s=120, total=40), 110),
    ],
    ids=str,
)
def test_time_left_goes_by_work_done_within_what_is_planned(phase: PhaseView, left_s: float | None) -> None:
    assert time_left_s(phase, 10 * SECOND) == left_s


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = damaged_run(tmp_path / "run-1")

    def painted(stream: io.StringIO) -> bool:
        narrator = Lines(Screen(stream), 42, COMMAND, Detail.NORMAL, VirtualClock())
        narrator.finish(summarise(run))
        return "\x1b[" in stream.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted(Terminal())
    assert not painted(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not painted(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not painted(Terminal())


def test_lines_fit_a_narrow_terminal_but_what_must_be_copied_is_never_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = damaged_run(tmp_path / ("long-" * 20 + "run"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    narrator = Lines(Screen(out), 42, COMMAND, Detail.NORMAL, VirtualClock())
    narrator.start(run)
    narrator.finish(summarise(run))
    assert str(run) in out.getvalue()
    assert all(len(line) <= 60 for line in out.getvalue().splitlines() if "snapID" in line or "p95" in line)


def test_a_reader_who_left_is_noticed_and_costs_no_exception() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    lines = Lines(Screen(Broken()), 42)
    assert not lines.lost
    lines.note("hello")
    lines.note("hello")
    assert lines.lost


def test_json_is_one_document_a_line_from_start_to_summary(tmp_path: Path) -> None:
    run = damaged_run(tmp_path / "run-1")
    first, *events, last = documents(run)
    assert first == {"type": "start", "run_id": "run-1", "directory": str(run), "seed": 42, "command": list(COMMAND)}
    assert {document["type"] for document in events} == {"event"}
    assert [document["record"]["seq"] for document in events] == list(range(1, len(events) + 1))  # type: ignore[index]  # documents are untyped
    assert last["type"] == "summary"
    assert last["report"]["verdict"] == "FAIL"  # type: ignore[index]  # documents are untyped
    assert {document["run_id"] for document in (first, *events, last)} == {"run-1"}


def test_json_leaves_out_trees_and_quiet_json_all_but_findings(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.say(Trees(op="1", root="00", nodes={"00": b"x"}), flipped(verdict=Verdict.FAIL))
    story.finish()
    kinds = [document["record"]["event"]["kind"] for document in documents(story.directory)[1:-1]]  # type: ignore[index]  # documents are untyped
    assert "trees" not in kinds
    assert "finding" in kinds
    quiet = documents(story.directory, Detail.QUIET)
    assert [document["type"] for document in quiet] == ["start", "event", "summary"]


@pytest.mark.parametrize("width", [71, 60, 45])
def test_a_narrow_terminal_loses_rates_and_columns_but_never_what_went_wrong(tmp_path: Path, width: int) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.did(OTTER, "write-random-files", Outcome.FAILED)
    view = view_of(story)
    line = progress_line(view, story.clock.now_ns(), width)
    table = action_table(view.actions, width)
    story.close()
    assert "failed 1 " in line
    assert line.endswith("left")
    assert "B/s" not in line
    assert "failed" in table[0]
    assert "queued p95" not in table[0]
    assert "queued p95" in action_table(view.actions)[0]
    assert max(map(len, table)) <= max(width, 55), "the columns that are left are those that must be"
