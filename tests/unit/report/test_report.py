"""Reports out of real journals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seatrial.checker.compare import DamageKind
from seatrial.errors import HarnessError, UsageError
from seatrial.history.events import Phase, ServerEvent
from seatrial.history.segments import plain_path
from seatrial.report import render_json, render_text, summarise, write_all
from seatrial.report.explain import IN_WORDS
from seatrial.verdicts import ExitCode, Outcome, Verdict
from seatrial.workload.explain import Damage
from tests.unit.report.story import FOX, OTTER, Story, clean_run, damaged_run, flipped

CLEAN = """\
PASS: smoke on embedded 1.0, run run-1
  exit code 0: pass

Run
  directory          {directory}
  seed               42  (repeats the plan, not the interleaving)
  run it again       seatrial run smoke --seed 42
  started            2023-11-14T22:13:21.000Z, took 21 s
  time               set-up 5 s · workload 7 s · verify 3 s
  clients            2
  repository under   /srv/prefix
  versions           seatrial 0.1.0, embedded 1.0, Python 3.11.7, Linux-x

Actions
  action                 count  ok  failed  unknown  no-op     p50     p95     p99     max  queued p95
  snapshot-root              1   1       0        0      0  250 ms  250 ms  250 ms  250 ms           -
  delete-random-snapID       1   0       0        0      1       -       -       -       -           -
  run-gc                     1   0       1        0      0  250 ms  250 ms  250 ms  250 ms           -
  restore-random-snapID      1   1       0        0      0  250 ms  250 ms  250 ms  250 ms           -
  run-gc: contended 1 time

State
  snapshots          1 created, 1 live, 0 deleted, 0 unknown, 0 lost; 1 restore compared
  verification       verified 1 of 1
  open operations    0 unknown, 0 in flight
  server             stopped
  journal            22 records, 0 gaps
  phase setup        5 s
  phase chaos        7 s
  phase verify       3 s

Storage
  directory                    before    after
  /srv/prefix/robustness-data     0 B  3.0 MiB
"""

FINDING = """\
Finding 1 of 1: restore, FAIL, seen 2 times
  a restored file differs
  snapshot           aa11
  made by            brave-otter-1
  seen by            calm-fox-2 in operation 5
  path               data/\\x1b[31mred\\nfile_\\u202e1
  damage             flipped: expected 0x41, found 0x40
                     single bytes are wrong and all around them is right
  last good          2023-11-14T22:13:32.000Z, restored and equal
  first bad          2023-11-14T22:13:37.000Z, last 2023-11-14T22:13:40.000Z
  garbage collection running at that moment: 4 of brave-otter-1, since 2023-11-14T22:13:35.000Z
                     since 2023-11-14T22:13:32.000Z: 3 2023-11-14T22:13:33.000Z to 2023-11-14T22:13:34.000Z (ok, freed 2.0 KiB), \
4 from 2023-11-14T22:13:35.000Z, not ended
  in flight then     run-gc 4 of brave-otter-1
  also hit           bb22
  evidence           {directory}/evidence/f-1
  server log         byte 1,234 of server.log at that moment
  remedy             keep evidence/f-1
    at byte 4,097: 41 -> 40
"""


def test_the_report_of_a_clean_run_reads_like_this(tmp_path: Path) -> None:
    run = clean_run(tmp_path / "run-1")
    assert render_text(summarise(run)) == CLEAN.format(directory=run)


def test_the_time_of_the_workload_stands_apart_from_that_of_the_proof(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.say(Phase(name="chaos", state="end"), after_s=60)
    story.say(Phase(name="heal", state="begin"), after_s=0)
    story.say(Phase(name="heal", state="end"), after_s=0.25)
    story.say(Phase(name="quiesce", state="begin"), after_s=0)
    story.say(Phase(name="quiesce", state="end"), after_s=20)
    story.say(Phase(name="verify", state="begin"), after_s=0)
    story.say(Phase(name="verify", state="end"), after_s=45)
    story.say(Phase(name="report", state="begin"), after_s=0)
    story.say(Phase(name="report", state="end"))
    story.finish()
    summary = summarise(story.directory)
    assert "time               set-up 5 s · workload 1m 00s · liveness 20 s · verify 45 s · tear-down 4 s\n" in render_text(summary)
    spent_s = json.loads(render_json(summary))["run"]["spent_s"]
    assert spent_s == {"set-up": 5, "workload": 60, "heal": 0.25, "liveness": 20, "verify": 45, "tear-down": 4}


def test_the_time_of_a_phase_that_did_not_end_goes_on_until_the_last_that_was_heard(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.did(OTTER, "snapshot-root", snapshot="aa11")
    story.close()
    assert json.loads(render_json(summarise(story.directory)))["run"]["spent_s"] == {"set-up": 5, "workload": 2}


def test_a_finding_answers_what_maintainers_ask_back(tmp_path: Path) -> None:
    run = damaged_run(tmp_path / "run-1")
    text = render_text(summarise(run))
    assert text.splitlines()[:3] == [
        "FAIL: smoke on embedded 1.0, run run-1",
        "  - 1 defect found, seen 2 times: a restored file differs",
        "  exit code 1: robustness failure",
    ]
    assert FINDING.format(directory=run) in text


def test_a_finding_on_a_snapshot_without_history_says_what_is_not_known(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.did(OTTER, "snapshot-root", snapshot="aa11")
    story.say(flipped(), flipped(id="f-2", group="lost", snapshot="old", path="", damage="missing", expected="", actual="", evidence=""))
    story.finish()
    text = render_text(summarise(story.directory))
    assert "never restored before; acknowledged 2023-11-14T22:13:30.000Z" in text
    assert "not in this run; an earlier run made it" in text
    assert text.count("none had run in this run") == 2
    assert text.count("no other snapshot by this defect") == 2
    assert "by other findings: old" in text
    assert "by other findings: aa11" in text


def test_gc_during_the_making_of_a_snapshot_is_told(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    create = story.begin(OTTER, "snapshot-root")
    story.did(FOX, "run-gc", freed_bytes=1024)
    story.end(create, OTTER, "snapshot-root", snapshot="aa11")
    story.say(flipped())
    story.finish()
    text = render_text(summarise(story.directory))
    assert "while the snapshot was made: 2 2023-11-14T22:13:30.000Z to 2023-11-14T22:13:31.000Z (ok, freed 1.0 KiB)" in text
    assert "not running at that moment" in text


def test_a_server_that_died_since_the_snapshot_was_good_is_told(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.say(ServerEvent(state="starting"))
    story.set_up()
    story.say(ServerEvent(state="died", exit_code=-9), ServerEvent(state="ready"))
    story.did(OTTER, "snapshot-root", snapshot="aa11")
    story.say(ServerEvent(state="stopping"), ServerEvent(state="stopped", exit_code=0), ServerEvent(state="ready"), flipped())
    story.finish()
    summary = summarise(story.directory)
    (line,) = (line for line in render_text(summary).splitlines() if "server since good" in line)
    assert line.endswith("stopped with exit code 0 2023-11-14T22:13:35.000Z, ready again 2023-11-14T22:13:36.000Z")
    (finding,) = json.loads(render_json(summary))["findings"]
    assert [each["state"] for each in finding["circumstances"]["server"]] == ["stopped", "ready"]


@pytest.mark.parametrize("damage", [*DamageKind, *Damage])
def test_each_kind_of_damage_is_put_in_words(damage: DamageKind | Damage) -> None:
    told = IN_WORDS["restore"]
    assert damage.value in told or damage in {DamageKind.MORE, Damage.INTACT}, "neither of the two is damage"
    assert len(set(told.values())) == len(told)


def test_nothing_foreign_leaves_its_line_or_reaches_the_terminal_raw(tmp_path: Path) -> None:
    text = render_text(summarise(damaged_run(tmp_path / "run-1")))
    assert all(line.isprintable() for line in text.split("\n"))


def test_an_expected_loss_is_never_called_a_bug(tmp_path: Path) -> None:
    summary = summarise(damaged_run(tmp_path / "run-1", expect="fail"))
    text = render_text(summary)
    assert summary.judgement.exit_code is ExitCode.PASS
    assert text.startswith("PASS: ")
    assert "Expected finding 1 of 1" in text
    assert "bug" not in text


def test_the_json_report_holds_the_same_and_stays_one_document(tmp_path: Path) -> None:
    run = damaged_run(tmp_path / "run-1")
    report = json.loads(render_json(summarise(run)))
    assert (report["format"], report["verdict"], report["exit_code"], report["running"]) == (1, "FAIL", 1, False)
    assert report["run"]["seed"] == 42
    assert report["run"]["command"] == ["seatrial", "run", "smoke", "--seed", "42"]
    assert report["run"]["duration_s"] == 27
    (finding,) = report["findings"]
    assert (finding["count"], finding["verdict"], finding["first"]["snapshot"]) == (2, "FAIL", "aa11")
    assert finding["first"]["path"] == "data/\x1b[31mred\nfile_\u202e1"
    around = finding["circumstances"]
    assert around["snapshots"] == ["aa11", "bb22"]
    assert [run["op"] for run in around["gc"]["running"]] == ["4"]
    assert [run["op"] for run in around["gc"]["since_last_good"]] == ["3", "4"]
    assert around["last_good"] == "2023-11-14T22:13:32.000Z"
    assert {row["action"]: row["count"] for row in report["actions"]} == {
        "snapshot-root": 1,
        "restore-random-snapID": 3,
        "run-gc": 2,
    }
    assert (report["snapshots"]["verified"], report["snapshots"]["to_verify"]) == (1, 1)
    assert [client["id"] for client in report["clients"]] == [OTTER, FOX]


def test_a_run_without_an_end_was_killed_and_is_inconclusive(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.begin(OTTER, "snapshot-root")
    story.close()
    summary = summarise(story.directory)
    assert summary.judgement.exit_code is ExitCode.INCONCLUSIVE
    assert "1 operation never returned" in summary.judgement.reasons
    assert "ended without an end: the run was killed, or its journal is not all here" in summary.judgement.reasons
    assert "setup" in render_text(summary)


def test_a_killed_run_that_had_found_damage_fails(tmp_path: Path) -> None:
    summary = summarise(damaged_run(tmp_path / "run-1", end=False))
    assert summary.judgement.exit_code is ExitCode.ROBUSTNESS_FAILURE
    assert any(reason.startswith("ended without an end") for reason in summary.judgement.reasons)


def test_a_run_that_goes_on_is_not_called_killed(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    summary = summarise(story.directory, running=True)
    story.close()
    assert summary.running
    assert "the run is still going on" in summary.judgement.reasons
    assert "(still running: so far)" in render_text(summary).splitlines()[0]


def test_a_missing_line_makes_a_pass_inconclusive_and_says_which(tmp_path: Path) -> None:
    run = clean_run(tmp_path / "run-1")
    path = plain_path(run, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:9] + lines[11:]))
    judgement = summarise(run).judgement
    assert (judgement.verdict, judgement.exit_code) == (Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert any("records 10 to 11 are missing" in reason for reason in judgement.reasons)


def test_a_damaged_line_makes_it_inconclusive_and_names_the_place(tmp_path: Path) -> None:
    run = clean_run(tmp_path / "run-1")
    path = plain_path(run, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:9], b"{broken}\n", *lines[10:]]))
    summary = summarise(run)
    assert summary.judgement.exit_code is ExitCode.INCONCLUSIVE
    assert any(f"{path} line 10" in reason for reason in summary.judgement.reasons)


def test_what_only_the_harness_knew_still_counts(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.verify(1, 1)
    story.finish(Verdict.INCONCLUSIVE, 3, "the ledger could not be written")
    judgement = summarise(story.directory).judgement
    assert judgement.exit_code is ExitCode.INCONCLUSIVE
    assert judgement.reasons == ("the ledger could not be written",)


def test_a_set_up_that_failed_keeps_its_code_and_its_words(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.finish(Verdict.INCONCLUSIVE, 4, "the server did not come up:\nbind: address in use")
    summary = summarise(story.directory)
    assert summary.judgement.exit_code is ExitCode.BROKEN
    assert "- the server did not come up:\n      bind: address in use\n" in render_text(summary)


def test_an_aborted_run_is_interrupted(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.finish(Verdict.INCONCLUSIVE, 130, "SIGINT", aborted=True)
    assert summarise(story.directory).judgement.exit_code is ExitCode.INTERRUPTED


def test_a_copied_run_directory_gives_the_same_verdict(tmp_path: Path) -> None:
    run = damaged_run(tmp_path / "run-1")
    copied = Path(shutil.copytree(run, tmp_path / "elsewhere"))
    assert summarise(copied).judgement == summarise(run).judgement


def test_many_operations_in_flight_are_told_in_one_bounded_line(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    for number in range(30):
        story.begin(f"client-{number}", "write-random-files")
    story.say(flipped())
    story.finish()
    (line,) = (line for line in render_text(summarise(story.directory)).splitlines() if "in flight then" in line)
    assert line.endswith("write-random-files 9 of client-8 and 21 more")


def test_unknown_operations_are_listed(tmp_path: Path) -> None:
    story = Story(tmp_path / "run-1")
    story.set_up()
    story.did(OTTER, "snapshot-root", Outcome.UNKNOWN)
    story.verify(0, 0)
    story.finish()
    report = json.loads(render_json(summarise(story.directory)))
    assert [row["op"] for row in report["unknown_open"]] == ["1"]
    assert report["exit_code"] == ExitCode.INCONCLUSIVE


def test_both_reports_lie_beside_the_journal_and_are_written_whole(tmp_path: Path) -> None:
    run = clean_run(tmp_path / "run-1")
    summary = write_all(run)
    assert (run / "report.txt").read_text(encoding="utf-8") == render_text(summary)
    assert json.loads((run / "report.json").read_text(encoding="utf-8"))["verdict"] == "PASS"
    assert not list(run.glob(".report*"))


def test_a_report_that_cannot_be_written_is_an_error_with_its_place(tmp_path: Path) -> None:
    run = clean_run(tmp_path / "run-1")
    (run / "report.txt").mkdir()
    with pytest.raises(HarnessError, match=r"report\.txt"):
        write_all(run)
    assert not list(run.glob(".report*"))


def test_a_directory_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no journal"):
        summarise(tmp_path)
