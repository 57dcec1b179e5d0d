"""kopia's outcome table: every row against what the real program printed, where it could be provoked (``tests/data/kopia``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.children import Completed
from seatrial.errors import NoSpaceError
from seatrial.targets.kopia.outcomes import TABLE
from seatrial.verdicts import Outcome
from tests.support.transcripts import transcript

RECORDED = Path(__file__).parents[2] / "data" / "kopia"
FAILED, UNKNOWN = Outcome.FAILED, Outcome.UNKNOWN
EXPECTED = {
    "connect-denied": ("connect", "denied", FAILED),
    "connect-other-certificate": ("connect", "denied", FAILED),
    "connect-unreachable": ("connect", "unreachable", FAILED),
    "connect-wrong-repository-password": ("connect", "wrong-password", FAILED),
    "connect-not-initialized": ("connect", "missing", FAILED),
    "snapshot-create-denied": ("create", "denied", FAILED),
    "snapshot-create-unreachable": ("create", "unreachable", FAILED),
    "snapshot-create-no-source": ("create", "source-unreadable", FAILED),
    "snapshot-create-unreadable": ("create", "source-unreadable", UNKNOWN),
    "snapshot-create-server-killed": ("create", "unreachable", UNKNOWN),
    "snapshot-create-no-space": ("create", "no-space", UNKNOWN),
    "snapshot-create-terminated": ("create", "incomplete", UNKNOWN),
    "snapshot-delete-missing": ("delete", "missing", FAILED),
    "snapshot-delete-unreachable": ("delete", "unreachable", FAILED),
    "snapshot-restore-missing": ("restore", "missing", FAILED),
    "snapshot-restore-pack-deleted": ("restore", "missing-data", FAILED),
    "snapshot-restore-index-deleted": ("restore", "missing-data", FAILED),
    "snapshot-restore-flipped": ("restore", "corrupt", FAILED),
    "snapshot-restore-no-space": ("restore", "no-space", FAILED),
    "maintenance-contended": ("gc", "contended", FAILED),
    "maintenance-by-client": ("gc", "denied", FAILED),
}
FINE = {
    "connect": "connect",
    "snapshot-create": "create",
    "snapshot-delete": "delete",
    "snapshot-restore": "restore",
    "snapshot-list": "list",
    "manifest-list": "list",
    "maintenance": "gc",
    "users-delete": "run",
}
VERSION = (0, 23, 1)


def printed(name: str) -> Completed:
    return transcript(RECORDED / f"{name}.txt").done


@pytest.mark.parametrize("name", EXPECTED)
def test_what_the_program_says_decides_the_outcome(name: str) -> None:
    operation, cause, outcome = EXPECTED[name]
    error = TABLE.error_of(operation, printed(name), VERSION, where="kopia")
    assert error is not None
    assert (error.cause, error.outcome) == (cause, outcome)
    assert isinstance(error, NoSpaceError) == (cause == "no-space")


@pytest.mark.parametrize("name", FINE)
def test_what_went_well_is_ok(name: str) -> None:
    assert TABLE.error_of(FINE[name], printed(name), VERSION, where="kopia") is None


def test_every_row_is_exercised_by_what_the_program_really_said() -> None:
    rows = {TABLE.row_for(operation, printed(name), VERSION) for name, (operation, _, _) in EXPECTED.items()}
    assert [row.recognised for row in TABLE.rows if row not in rows] == []


def test_what_no_row_knows_is_unknown() -> None:
    error = TABLE.error_of("create", Completed(returncode=1, stdout="", stderr="something new"), VERSION, where="kopia")
    assert error is not None
    assert (error.cause, error.outcome) == ("exit-1", UNKNOWN)


def test_a_create_that_lost_its_server_in_the_middle_is_never_thought_not_to_have_happened() -> None:
    """``Unavailable`` settles something only where the repository could not be opened."""
    said = "Snapshotting a@b:/c ...\nrunning in write session: rpc error: code = Unavailable desc = error reading from server: EOF"
    error = TABLE.error_of("create", Completed(returncode=1, stdout="", stderr=said), VERSION, where="kopia")
    assert error is not None
    assert error.outcome is UNKNOWN


@pytest.mark.parametrize(("operation", "outcome"), [("create", Outcome.UNKNOWN), ("delete", Outcome.UNKNOWN), ("restore", Outcome.FAILED)])
def test_a_full_disk_leaves_a_change_unknown(operation: str, outcome: Outcome) -> None:
    error = TABLE.error_of(operation, Completed(1, "", "flush error: write blob: no space left on device\n"), (0, 23), where="kopia")
    assert error is not None
    assert (error.cause, error.outcome) == ("no-space", outcome)
