"""Judging how a command ended."""

from __future__ import annotations

import pytest

from seatrial.children import Completed
from seatrial.errors import NoSpaceError
from seatrial.targets.programs.outcomes import OutcomeTable, Row
from seatrial.verdicts import Outcome

TABLE = OutcomeTable(
    rows=[
        Row(operations=frozenset({"create"}), code=3, outcome=Outcome.OK, cause="", recognised="a source was unreadable"),
        Row(operations=frozenset({"create"}), code=0, text="incomplete", outcome=Outcome.UNKNOWN, cause="incomplete", recognised="said so"),
        Row(code=11, since=(0, 17), outcome=Outcome.FAILED, cause="contended", recognised="exit code 11"),
        Row(text="already locked", before=(0, 17), outcome=Outcome.FAILED, cause="contended", recognised="its words"),
        Row(text="No space left", outcome=Outcome.FAILED, cause="no-space", recognised="its words"),
    ]
)


def judged(
    code: int, *, operation: str = "create", out: str = "", err: str = "", version: tuple[int, ...] = (0, 18)
) -> tuple[str, Outcome]:
    error = TABLE.error_of(operation, Completed(returncode=code, stdout=out, stderr=err), version, where="tool")
    return ("", Outcome.OK) if error is None else (error.cause, error.outcome)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (judged(0), ("", Outcome.OK)),
        (judged(3), ("", Outcome.OK)),
        (judged(3, operation="delete"), ("exit-3", Outcome.UNKNOWN)),
        (judged(0, out='"incomplete":"canceled"'), ("incomplete", Outcome.UNKNOWN)),
        (judged(11), ("contended", Outcome.FAILED)),
        (judged(11, version=(0, 14)), ("exit-11", Outcome.UNKNOWN)),
        (judged(1, err="repository is already locked", version=(0, 14)), ("contended", Outcome.FAILED)),
        (judged(1, err="repository is already locked"), ("exit-1", Outcome.UNKNOWN)),
        (judged(-9), ("killed", Outcome.UNKNOWN)),
        (judged(0, operation="list", err="already locked", version=(0, 14)), ("", Outcome.OK)),
    ],
)
def test_the_first_row_that_fits_decides_and_what_no_row_knows_is_unknown(found: object, expected: object) -> None:
    assert found == expected


@pytest.mark.parametrize(("ended", "cause"), [({"timed_out": True}, "timeout"), ({"cancelled": True}, "cancelled")])
def test_what_we_ended_is_unknown_whatever_its_exit_code(ended: dict[str, bool], cause: str) -> None:
    error = TABLE.error_of("create", Completed(returncode=0, stdout="", stderr="", **ended), (1,), where="tool")
    assert error is not None
    assert (error.cause, error.outcome) == (cause, Outcome.UNKNOWN)


def test_the_error_tells_the_programs_last_words_and_a_full_disk_is_one_of_its_own() -> None:
    error = TABLE.error_of("create", Completed(returncode=1, stdout="", stderr="working\nNo space left on device\n"), (1,), where="tool")
    assert isinstance(error, NoSpaceError)
    assert error.outcome is Outcome.FAILED
    assert str(error) == "tool: create: working\nNo space left on device"
    long = TABLE.error_of("list", Completed(returncode=7, stdout="", stderr="x" * 10_000), (1,), where="tool")
    assert long is not None
    assert len(str(long)) < 1000
