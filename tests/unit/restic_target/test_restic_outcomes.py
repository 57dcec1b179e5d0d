"""The outcome table: each of its rows against what the real program said, in two versions, and against the one that is here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.children import Completed
from seatrial.errors import NoSpaceError
from seatrial.targets.programs.program import numbers_of
from seatrial.targets.restic.outcomes import TABLE, hopeless
from seatrial.targets.restic.program import RESTIC
from seatrial.verdicts import Outcome
from tests.support.restic import PROVOKED, provoke, recorded

TRANSCRIPTS = sorted((Path(__file__).parents[2] / "data" / "restic").glob("*.txt"))
CAUSES = {
    "create-incomplete": ("incomplete", Outcome.UNKNOWN),
    "list-denied-certificate": ("denied", Outcome.FAILED),
    "restore-corrupt-snapshot": ("corrupt", Outcome.FAILED),
}
"""The others are FAILED with the cause that their name tells."""


def of(name: str) -> tuple[str, tuple[str, Outcome]]:
    """The operation, and what is expected of the transcript with this name."""
    operation, _, cause = name.partition("-")
    return operation, CAUSES.get(name, (cause, Outcome.FAILED))


@pytest.mark.parametrize("file", TRANSCRIPTS, ids=lambda file: file.stem)
def test_what_restic_said_is_judged(file: Path) -> None:
    version, done = recorded(file.read_text())
    operation, expected = of(file.stem.partition("-")[2])
    error = TABLE.error_of(operation, done, numbers_of(version), where="restic")
    assert error is not None
    assert (error.cause, error.outcome) == expected
    assert isinstance(error, NoSpaceError) == (error.cause == "no-space")


def test_every_row_of_the_table_has_been_seen() -> None:
    seen = []
    for file in TRANSCRIPTS:
        version, done = recorded(file.read_text())
        seen.append(TABLE.row_for(of(file.stem.partition("-")[2])[0], done, numbers_of(version)))
    assert [row.recognised for row in TABLE.rows if row not in seen] == []


@pytest.mark.parametrize("file", TRANSCRIPTS, ids=lambda file: file.stem)
def test_only_what_was_given_up_is_hopeless(file: Path) -> None:
    """A command that ends by itself in time is never cut short by what it says on its way."""
    version, done = recorded(file.read_text())
    assert hopeless(of(file.stem.partition("-")[2])[0], done.stderr) == done.given_up, version


def test_a_lock_that_vanishes_near_the_end_of_the_patience_is_waited_for() -> None:
    """There the program goes on by itself, and may have begun when it is ended."""
    text = "Load(<lock/abababab>, 0, 0) returned error, retrying after {}: <lock/abababab> does not exist\n"
    assert hopeless("create", text.format("552.330144ms"))
    assert not hopeless("create", text.format("552.330144ms") + text.format("15.394871241s"))


def test_an_error_that_no_row_knows_is_unknown_and_a_good_end_is_none() -> None:
    error = TABLE.error_of("create", Completed(1, "", "Fatal: something else"), (0, 14), where="restic")
    assert error is not None
    assert (error.cause, error.outcome) == ("exit-1", Outcome.UNKNOWN)
    for operation in ("create", "delete", "restore", "list", "gc", "verify"):
        assert TABLE.error_of(operation, Completed(0, "", ""), (0, 14), where="restic") is None


def test_what_we_ended_is_unknown_whatever_it_said() -> None:
    done = Completed(1, "", "Fatal: wrong password or no key found")
    for how, cause in (("timed_out", "timeout"), ("cancelled", "cancelled")):
        error = TABLE.error_of("create", replace(done, **{how: True}), (0, 14), where="restic")  # type: ignore[arg-type]  # fields by name
        assert error is not None
        assert (error.cause, error.outcome) == (cause, Outcome.UNKNOWN)


@pytest.mark.slow
@pytest.mark.needs_program("restic")
@pytest.mark.parametrize("name", sorted(PROVOKED))
def test_what_restic_says_here_is_judged(tmp_path: Path, name: str) -> None:
    version = RESTIC.find().numbers
    if name == "create-lock-vanished" and version >= (0, 17):
        pytest.skip("since 0.17 it does not wait for a lock that is gone")
    operation, expected = of(name)
    error = TABLE.error_of(operation, provoke(name, tmp_path / "stage"), version, where="restic")
    assert error is not None
    assert (error.cause, error.outcome) == expected
