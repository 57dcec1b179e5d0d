"""The outcome table: each of its rows against what the real program said, and against the real program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.children import Completed
from seatrial.config.model import Preset
from seatrial.errors import NoSpaceError
from seatrial.targets.borg.outcomes import TABLE
from seatrial.targets.borg.target import BorgTarget
from seatrial.targets.programs.program import numbers_of
from seatrial.testing.stage import Stage
from seatrial.verdicts import Outcome
from tests.support.borg import PROVOKED, raised_by

TRANSCRIPTS = Path(__file__).parents[2] / "data" / "borg"
RECORDED = {name: (cause, outcome) for name, (_, cause, outcome) in PROVOKED.items()} | {
    # Root reads everything, and a small file system of one's own takes privileges: recorded only.
    "create-incomplete": ("incomplete", Outcome.UNKNOWN),
    "restore-incomplete": ("incomplete", Outcome.FAILED),
    "create-no-space": ("no-space", Outcome.UNKNOWN),
}


def recorded(name: str) -> tuple[tuple[int, ...], Completed]:
    """Version, and how the command ended."""
    version, _, code, *said = (TRANSCRIPTS / f"{name}.txt").read_text().splitlines()
    done = Completed(int(code.rpartition(" ")[2]), stdout="", stderr="\n".join(said))
    return numbers_of(version.rpartition(" ")[2]), done


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_what_borg_said_is_judged(name: str) -> None:
    version, done = recorded(name)
    error = TABLE.error_of(name.partition("-")[0], done, version, where="borg")
    assert error is not None
    assert (error.cause, error.outcome) == RECORDED[name]
    assert isinstance(error, NoSpaceError) == (error.cause == "no-space")


def test_damage_that_stops_a_change_leaves_it_unknown() -> None:
    for name in ("restore-corrupt", "restore-missing-data"):
        version, done = recorded(name)
        error = TABLE.error_of("delete", done, version, where="borg")
        assert error is not None
        assert (error.cause, error.outcome) == ("corrupt", Outcome.UNKNOWN)


def test_every_row_of_the_table_has_been_seen() -> None:
    seen = []
    for name in RECORDED:
        version, done = recorded(name)
        operations = [name.partition("-")[0], "delete"]
        seen += [TABLE.row_for(operation, done, version) for operation in operations]
    assert [row.recognised for row in TABLE.rows if row not in seen] == []


def test_an_error_that_no_row_knows_is_unknown_and_a_good_end_is_none() -> None:
    error = TABLE.error_of("create", Completed(2, "", '{"msgid": "Exception", "message": "Local Exception"}'), (1, 2, 4), where="borg")
    assert error is not None
    assert (error.cause, error.outcome) == ("exit-2", Outcome.UNKNOWN)
    for operation in ("create", "delete", "restore"):
        assert TABLE.error_of(operation, Completed(0, "", ""), (1, 2, 4), where="borg") is None


def test_what_we_ended_is_unknown_whatever_it_said() -> None:
    version, done = recorded("create-exists")
    for how, cause in (("timed_out", "timeout"), ("cancelled", "cancelled")):
        ended = Completed(done.returncode, "", done.stderr, **{how: True})
        error = TABLE.error_of("create", ended, version, where="borg")
        assert error is not None
        assert (error.cause, error.outcome) == (cause, Outcome.UNKNOWN)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(BorgTarget(), tmp_path_factory.mktemp("borg") / "stage", Preset()).open()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.needs_program("borg", "sshd")
@pytest.mark.parametrize("name", sorted(PROVOKED))
def test_the_real_borg_is_judged(name: str, stage: Stage) -> None:
    provoke, cause, outcome = PROVOKED[name]
    error = raised_by(provoke, stage)
    assert (error.cause, error.outcome) == (cause, outcome), error
