"""What one listing proves: every combination of what is known and what is seen, for one snapshot."""

from __future__ import annotations

from itertools import product

import pytest

from seatrial.history.reconcile import Known, Listed, Reconciliation, UnknownOperation, operation_key, reconcile
from seatrial.history.view import SnapshotState
from seatrial.verdicts import Outcome

OP = ("run-1", "7")
TAG = "run-1/7"
CREATE = UnknownOperation(run_id=OP[0], op=OP[1], client="c", kind="create", root="r", ended_ns=1)
DELETE = UnknownOperation(run_id=OP[0], op="9", client="c", kind="delete", snapshot="s", ended_ns=1)
ALL = list(product((False, True), repeat=4))


def judged(
    *,
    live: bool = False,
    state: SnapshotState | None = None,
    unknown: UnknownOperation | None = None,
    in_flight: bool = False,
    tag: str = TAG,
    listed: bool = True,
    changed: bool = False,
    complete: bool = True,
    settled: bool = False,
) -> Reconciliation:
    known = Known(
        live={"s"} if live else set(),
        states={"s": state} if state and listed and not live else {},
        unknown=[unknown] if unknown else [],
        in_flight={OP} if in_flight else set(),
        runs={"run-1"},
        changed={"s", OP, DELETE.key} if changed else set(),
    )
    return reconcile([("s", tag)] if listed else [], known, complete=complete, settled=settled)


NOTHING = Reconciliation()


@pytest.mark.parametrize(("listed", "changed", "complete", "settled"), ALL)
def test_a_live_snapshot_is_lost_only_where_it_stood_still_and_the_listing_is_whole(
    listed: bool, changed: bool, complete: bool, settled: bool
) -> None:
    found = judged(live=True, listed=listed, changed=changed, complete=complete, settled=settled)
    assert found == (NOTHING if listed or changed or not complete else Reconciliation(lost=["s"]))


@pytest.mark.parametrize(("listed", "changed", "complete", "settled"), ALL)
def test_a_deleted_snapshot_that_is_listed_is_a_phantom_unless_it_was_deleted_meanwhile(
    listed: bool, changed: bool, complete: bool, settled: bool
) -> None:
    found = judged(state="deleted", listed=listed, changed=changed, complete=complete, settled=settled)
    assert found == (Reconciliation(phantoms=["s"]) if listed and not changed else NOTHING)


@pytest.mark.parametrize(("listed", "changed", "complete", "settled"), ALL)
def test_a_lost_snapshot_that_is_listed_has_reappeared(listed: bool, changed: bool, complete: bool, settled: bool) -> None:
    found = judged(state="lost", listed=listed, changed=changed, complete=complete, settled=settled)
    assert found == (Reconciliation(reappeared=["s"]) if listed and not changed else NOTHING)


@pytest.mark.parametrize(("listed", "changed", "complete", "settled"), ALL)
def test_a_snapshot_being_deleted_may_be_listed_or_not(listed: bool, changed: bool, complete: bool, settled: bool) -> None:
    assert judged(state="deleting", listed=listed, changed=changed, complete=complete, settled=settled) == NOTHING


@pytest.mark.parametrize(("listed", "changed", "complete", "settled"), ALL)
def test_an_unknown_create_is_proved_by_presence_at_once_and_by_absence_when_it_can_no_longer_arrive(
    listed: bool, changed: bool, complete: bool, settled: bool
) -> None:
    # "changed" names the operation only: the ledger cannot have heard of the snapshot.
    known = Known(live=set(), states={}, unknown=[CREATE], runs={"run-1"}, changed={OP} if changed else set())
    found = reconcile([("s", TAG)] if listed else [], known, complete=complete, settled=settled)
    outcomes = [(row.op, row.run_id, row.snapshot, row.outcome) for row in found.resolutions]
    if listed:
        assert outcomes == [("7", "run-1", "s", Outcome.OK)]
    elif complete and settled and not changed:
        assert outcomes == [("7", "run-1", "", Outcome.FAILED)]
    else:
        assert outcomes == []
    assert (found.late, found.foreign, found.lost) == ([], [], [])


@pytest.mark.parametrize(("listed", "changed", "complete", "settled"), ALL)
def test_an_unknown_delete_is_proved_by_absence_at_once_and_by_presence_when_it_can_no_longer_arrive(
    listed: bool, changed: bool, complete: bool, settled: bool
) -> None:
    found = judged(state="unknown", unknown=DELETE, listed=listed, changed=changed, complete=complete, settled=settled)
    outcomes = [(row.op, row.snapshot, row.outcome) for row in found.resolutions]
    if not listed and complete and not changed:
        assert outcomes == [("9", "s", Outcome.OK)]
    elif listed and settled and not changed:
        assert outcomes == [("9", "s", Outcome.FAILED)]
    else:
        assert outcomes == []
    assert (found.lost, found.phantoms, found.late, found.foreign) == ([], [], [], [])


@pytest.mark.parametrize(("in_flight", "changed", "complete", "settled"), ALL)
def test_our_tag_on_an_id_nobody_knows_is_late_unless_its_create_is_under_way(
    in_flight: bool, changed: bool, complete: bool, settled: bool
) -> None:
    found = judged(in_flight=in_flight, changed=changed, complete=complete, settled=settled)
    assert found == (NOTHING if in_flight or changed else Reconciliation(late=[Listed(id="s", op=TAG)]))


def test_our_tag_is_not_late_while_its_operation_changes() -> None:
    known = Known(live=set(), states={}, unknown=[], runs={"run-1"}, changed={OP})
    assert reconcile([("s", TAG)], known, complete=True, settled=False) == NOTHING


@pytest.mark.parametrize("tag", ["", "run-1", "run-1/", "/7", "another-run/7", "prod-backup"])
def test_an_id_without_our_tag_is_foreign(tag: str) -> None:
    assert judged(tag=tag) == Reconciliation(foreign=[Listed(id="s", op=tag)])


def test_a_create_that_made_two_snapshots_is_resolved_by_one_and_late_by_the_other() -> None:
    known = Known(live=set(), states={}, unknown=[CREATE], runs={"run-1"}, changed=set())
    found = reconcile([("t", TAG), ("s", TAG)], known, complete=True, settled=True)
    assert [row.snapshot for row in found.resolutions] == ["s"]
    assert found.late == [Listed(id="t", op=TAG)]


def test_everything_is_sorted_and_a_row_that_comes_twice_counts_once() -> None:
    known = Known(live={"a", "b", "c"}, states={"p": "deleted", "q": "deleted"}, unknown=[], runs=set(), changed=set())
    found = reconcile([("q", ""), ("p", ""), ("q", ""), ("z", ""), ("y", "")], known, complete=True, settled=False)
    assert (found.lost, found.phantoms, [row.id for row in found.foreign]) == (["a", "b", "c"], ["p", "q"], ["y", "z"])


@pytest.mark.parametrize(
    ("tag", "key"), [("r/o", ("r", "o")), ("r/o/p", ("r", "o/p")), ("", None), ("r", None), ("/o", None), ("r/", None)]
)
def test_tags_are_taken_apart(tag: str, key: tuple[str, str] | None) -> None:
    assert operation_key(tag) == key
