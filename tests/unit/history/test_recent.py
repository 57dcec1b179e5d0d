"""What is appended and not yet in the database."""

from __future__ import annotations

import pytest

from seatrial.history import recent as recent_module
from seatrial.history.changes import Good, Made, Moved, Nodes
from seatrial.history.ledger_records import SnapshotRow
from seatrial.history.recent import Recent

ROW = SnapshotRow(id="s", run_id="r", op="1", owner="c", root="", state="live", created_start_ns=1, created_end_ns=2)
DELETING = Moved("s", "deleting", frozenset({"live"}), 3)
DELETED = Moved("s", "deleted", frozenset({"deleting"}), 4)


def test_a_row_is_remembered_until_its_last_change_is_applied() -> None:
    recent = Recent()
    recent.add(1, [Made(ROW)])
    recent.add(2, [DELETING])
    recent.applied(1)
    row = recent.of("s")
    assert row is not None
    assert row.on(ROW).state == "deleting"
    recent.applied(2)
    assert recent.of("s") is None


def test_laid_over_a_row_that_already_has_some_of_it_it_gives_the_same() -> None:
    recent = Recent()
    recent.add(1, [DELETING])
    recent.add(2, [DELETED])
    recent.add(3, [Good("s", 9)])
    row = recent.of("s")
    assert row is not None
    at_each_step = [ROW, row_in("deleting"), row.on(ROW)]
    assert {row.on(step) for step in at_each_step} == {row.on(ROW)}
    assert (row.on(ROW).state, row.on(ROW).deleted_ns, row.on(ROW).last_good_ns) == ("deleted", 4, 9)
    assert {row.state("live"), row.state("deleting"), row.state("deleted")} == {"deleted"}


def row_in(state: str) -> SnapshotRow:
    return SnapshotRow(id="s", run_id="r", op="1", owner="c", root="", state=state, created_start_ns=1, created_end_ns=2)  # type: ignore[arg-type]  # a double, or fields by name


def test_nodes_are_bounded_and_given_up_once_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "MOST_NODE_BYTES", 100)
    recent = Recent()
    recent.add(1, [Nodes({"a": bytes(60)})])
    recent.add(2, [Nodes({"a": bytes(60), "b": bytes(60)})])
    assert recent.full
    recent.applied(1)
    assert (recent.node("a"), recent.node("b"), recent.full) == (None, bytes(60), False)
    recent.applied(2)
    assert recent.node("b") is None
    assert recent.wait_applied(2, 0)
    assert not recent.wait_applied(3, 0)
