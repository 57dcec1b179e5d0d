"""The verdict of a run, from its view: every way a run can end, and which of two wins."""

from __future__ import annotations

import msgspec
import pytest

from seatrial.history.events import Finding, RunEnded
from seatrial.history.judge import judge
from seatrial.history.view import ActionRow, EndView, FindingGroup, PhaseView, RunHeader, RunView, ServerView
from seatrial.verdicts import ExitCode, Verdict

VERIFIED = PhaseView(name="verify", state="end", total=3, progress=3)
CLEAN = RunView(header=RunHeader(preset="smoke"), phases=(VERIFIED,))


def group(verdict: Verdict, message: str = "a byte is wrong", count: int = 1) -> FindingGroup:
    finding = Finding(id="f1", group=message, check="restore", verdict=verdict, message=message)
    return FindingGroup(group=message, check="restore", verdict=verdict, count=count, first_ns=1, last_ns=1, first=finding)


def ended(exit_code: int, reason: str = "", *, aborted: bool = False) -> EndView:
    return EndView(at_ns=1, event=RunEnded(verdict=Verdict.INCONCLUSIVE, exit_code=exit_code, reason=reason, aborted=aborted))


def with_(view: RunView = CLEAN, **changes: object) -> RunView:
    return msgspec.structs.replace(view, **changes)


OFF_CONTRACT = with_(header=RunHeader(preset="no-fsync", expect="fail"))


def test_a_clean_verified_run_passes_without_a_word() -> None:
    assert judge(CLEAN) == (Verdict.PASS, ExitCode.PASS, ())


@pytest.mark.parametrize(
    ("view", "code", "reason"),
    [
        (with_(findings=(group(Verdict.FAIL),)), ExitCode.ROBUSTNESS_FAILURE, "1 defect found, seen 1 time: a byte is wrong"),
        (with_(findings=(group(Verdict.INCONCLUSIVE, "late"),)), ExitCode.INCONCLUSIVE, "late"),
        (with_(gaps=1), ExitCode.INCONCLUSIVE, "the journal has 1 gap in its sequence: part of the history is missing"),
        (
            with_(actions=(ActionRow(action="write-random-files", count=5, failed=5, errors={"no-space": 5}),)),
            ExitCode.INCONCLUSIVE,
            "nothing was written: no space for write-random-files, 5 times, and never any (free some, or lower its free-space-limit)",
        ),
        (with_(unknown_open=2), ExitCode.INCONCLUSIVE, "2 operations may or may not have happened"),
        (with_(in_flight=1), ExitCode.INCONCLUSIVE, "1 operation never returned"),
        (with_(phases=()), ExitCode.INCONCLUSIVE, "nothing was verified: the run never came to its verify phase"),
        (
            with_(phases=(PhaseView(name="verify", state="end", total=9, progress=4),)),
            ExitCode.INCONCLUSIVE,
            "only 4 of 9 live snapshots were verified",
        ),
        (
            with_(phases=(PhaseView(name="verify", state="begin", total=2, progress=2),)),
            ExitCode.INCONCLUSIVE,
            "the verify phase did not come to its end",
        ),
        (
            with_(server=ServerView(deaths=1, exit_code=-9, address="https://here")),
            ExitCode.BROKEN,
            "the server died with signal 9 (SIGKILL) in the middle of the run",
        ),
        (with_(server=ServerView(deaths=1, exit_code=4)), ExitCode.BROKEN, "the server died with exit code 4 before it was ready"),
        (with_(end=ended(4, "port 1 is in use")), ExitCode.BROKEN, "port 1 is in use"),
        (with_(end=ended(2, "no such target")), ExitCode.USAGE, "no such target"),
        (with_(end=ended(130, "second Ctrl-C", aborted=True)), ExitCode.INTERRUPTED, "second Ctrl-C"),
    ],
)
def test_each_charge_gives_its_code_and_says_why(view: RunView, code: ExitCode, reason: str) -> None:
    judgement = judge(view)
    assert judgement.exit_code is code
    assert judgement.reasons[0] == reason
    assert judgement.verdict is (Verdict.FAIL if code is ExitCode.ROBUSTNESS_FAILURE else Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    "row",
    [
        ActionRow(action="write-random-files", count=5, ok=1, failed=4, errors={"no-space": 4}),
        ActionRow(action="restore-into-data-dir", count=1, failed=1, errors={"no-space": 1}),
    ],
)
def test_a_disk_that_is_full_at_times_is_none_of_them(row: ActionRow) -> None:
    assert judge(with_(actions=(row,))).reasons == ()


def test_a_run_that_was_stopped_cleanly_keeps_its_verdict_and_says_so_by_its_code() -> None:
    assert judge(with_(end=ended(130, "interrupted by SIGINT"))) == (Verdict.PASS, ExitCode.INTERRUPTED, ("interrupted by SIGINT",))


def test_interrupted_wins_over_broken_over_failure_over_inconclusive_and_all_reasons_stay() -> None:
    view = with_(
        end=ended(130, "stopped twice", aborted=True),
        server=ServerView(deaths=1, address="https://here"),
        findings=(group(Verdict.FAIL),),
        gaps=1,
    )
    judgement = judge(view, ["and one more"])
    assert judgement.exit_code is ExitCode.INTERRUPTED
    assert judgement.verdict is Verdict.FAIL, "an abort does not take back what was found"
    assert [reason.split(":")[0] for reason in judgement.reasons] == [
        "stopped twice",
        "the server died in the middle of the run",
        "1 defect found, seen 1 time",
        "the journal has 1 gap in its sequence",
        "and one more",
    ]
    assert judge(msgspec.structs.replace(view, end=None)).exit_code is ExitCode.BROKEN
    assert judge(msgspec.structs.replace(view, end=None, server=ServerView())).exit_code is ExitCode.ROBUSTNESS_FAILURE


def test_a_problem_that_the_view_cannot_show_makes_it_inconclusive() -> None:
    assert judge(CLEAN, ["ended without an end"]) == (Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE, ("ended without an end",))


def test_the_recorded_verdict_of_a_finished_run_is_judged_anew() -> None:
    claims_pass = with_(end=ended(0), findings=(group(Verdict.FAIL),))
    assert judge(claims_pass).exit_code is ExitCode.ROBUSTNESS_FAILURE
    claims_failure = with_(end=ended(1))
    assert judge(claims_failure).exit_code is ExitCode.PASS


def test_an_expected_loss_that_is_caught_passes_and_is_named_as_expected() -> None:
    judgement = judge(msgspec.structs.replace(OFF_CONTRACT, findings=(group(Verdict.FAIL),), unknown_open=1))
    assert judgement.verdict is Verdict.PASS
    assert judgement.exit_code is ExitCode.PASS
    assert "the expected loss was caught (no-fsync is off contract)" in judgement.reasons[0]


def test_an_expected_loss_that_is_not_caught_fails() -> None:
    judgement = judge(OFF_CONTRACT)
    assert (judgement.verdict, judgement.exit_code) == (Verdict.FAIL, ExitCode.ROBUSTNESS_FAILURE)
    assert "no loss was caught" in judgement.reasons[0]


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (msgspec.structs.replace(OFF_CONTRACT, gaps=1), ExitCode.INCONCLUSIVE),
        (msgspec.structs.replace(OFF_CONTRACT, server=ServerView(deaths=1)), ExitCode.BROKEN),
        (
            msgspec.structs.replace(OFF_CONTRACT, server=ServerView(deaths=1), findings=(group(Verdict.FAIL),)),
            ExitCode.BROKEN,
        ),
    ],
)
def test_an_off_contract_run_that_broke_is_not_taken_for_caught_loss(view: RunView, code: ExitCode) -> None:
    assert judge(view).exit_code is code
