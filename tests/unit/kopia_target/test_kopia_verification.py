"""What kopia's verification is worth when it does not come to its end, and when others work beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from seatrial.children import Completed
from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.targets.kopia.outcomes import TABLE
from seatrial.targets.kopia.verification import verify_repository
from seatrial.targets.programs.commands import Commands

CLEAN, LATE = Completed(0, "", ""), Completed(-15, "", "", timed_out=True)
DAMAGED = Completed(1, "", "error processing x: backed by missing blob\n")


class Said:
    """A kopia that says what it is told to, in order, and the last thing again and again."""

    def __init__(self, answers: Mapping[str, list[Completed]]) -> None:
        self._answers = {words: list(said) for words, said in answers.items()}

    def attempt(self, _ctx: Context, _operation: str, *arguments: str) -> Completed:
        said = self._answers[" ".join(arguments[:2])]
        return said.pop(0) if len(said) > 1 else said[0]

    def error_of(self, operation: str, done: Completed) -> OperationError | None:
        return TABLE.error_of(operation, done, (0, 23), where="kopia")

    run = attempt


def listing(*names: str, manifests: bool = False) -> Completed:
    rows: list[dict[str, Any]] = [{"id": name, "labels": {"type": "snapshot"}} if manifests else {"id": name} for name in names]
    return Completed(0, json.dumps(rows), "")


def kopia(**differently: list[Completed]) -> Commands:
    usual = {
        "snapshot verify": [CLEAN],
        "content verify": [CLEAN],
        "manifest list": [listing("a", manifests=True)],
        "snapshot list": [listing("a")],
    }
    return cast("Commands", Said(usual | {words.replace("_", " "): said for words, said in differently.items()}))


def test_whole_and_undisturbed_it_is_clean() -> None:
    assert verify_repository(Context(), kopia()).clean


@pytest.mark.parametrize("late", [LATE, Completed(0, "", "", timed_out=True), Completed(0, "", "", cancelled=True)])
def test_what_was_told_to_end_has_verified_nothing(late: Completed) -> None:
    with pytest.raises(OperationError) as raised:
        verify_repository(Context(), kopia(content_verify=[late]))
    assert raised.value.cause in {"timeout", "cancelled"}


def test_what_was_found_before_the_time_was_up_stands() -> None:
    verified = verify_repository(Context(), kopia(snapshot_verify=[DAMAGED], content_verify=[LATE]))
    assert not verified.clean
    assert "missing blob" in verified.problems[0]


def test_snapshots_that_come_and_go_between_two_listings_are_no_damage() -> None:
    made = kopia(
        snapshot_list=[listing("a", "made"), listing("a", "made", "later")],
        manifest_list=[listing("a", manifests=True), listing("a", "made", manifests=True)],
    )
    assert verify_repository(Context(), made).clean
    deleted = kopia(manifest_list=[listing("a", "gone", manifests=True), listing("a", manifests=True)])
    assert verify_repository(Context(), deleted).clean


def test_a_snapshot_that_one_listing_never_shows_is_damage() -> None:
    verified = verify_repository(Context(), kopia(manifest_list=[listing("a", "unread", manifests=True)]))
    assert not verified.clean
    assert "unread" in verified.problems[0]
