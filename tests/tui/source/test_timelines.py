"""What a client did, the newest first, and what befell it."""

from __future__ import annotations

from copy import deepcopy

from seatrial.history.events import ClientJoined, ClientLeft, ErrorInfo, Event, Recovered, Resolved
from seatrial.verdicts import Outcome
from seatrial_tui.source.timelines import KEPT_AT_LEAST, KEPT_IN_TOTAL, KEPT_PER_CLIENT, Timelines
from tests.tui.source.journals import PLAN, RESTORE, SECOND, finding, invoke, numbered, result


def of(*events: Event) -> Timelines:
    timelines = Timelines()
    for record in numbered(events):
        timelines.apply(record)
    return timelines


def test_an_action_is_one_row_from_its_beginning_to_its_end() -> None:
    (row,) = of(PLAN, invoke("1", snapshot="s", action=RESTORE, queue_s=0.5)).of("c0")
    assert (row.op, row.action, row.snapshot, row.outcome, row.at_ns, row.queue_s) == ("1", RESTORE, "s", None, 2 * SECOND, 0.5)
    failed = result(
        "1", action=RESTORE, outcome=Outcome.FAILED, error=ErrorInfo(cause="contended", message="locked"), service_s=0.25, bytes=9, files=2
    )
    (row,) = of(PLAN, invoke("1", snapshot="s", action=RESTORE), failed).of("c0")
    assert (row.outcome, row.cause, row.message, row.at_ns, row.snapshot) == (Outcome.FAILED, "contended", "locked", 2 * SECOND, "s")
    assert (row.service_s, row.bytes, row.files, row.noop) == (0.25, 9, 2, False)


def test_what_found_nothing_to_act_on_never_began_and_has_a_row() -> None:
    (row,) = of(PLAN, result("1", noop=True, service_s=0.5)).of("c0")
    assert (row.noop, row.at_ns) == (True, 2 * SECOND - SECOND // 2)


def test_what_befell_a_client_stands_among_its_actions() -> None:
    timelines = of(
        ClientJoined(client="c0", index=0),
        invoke("1"),
        result("1", outcome=Outcome.UNKNOWN),
        Recovered(client="c0", snapshot="s"),
        Resolved(op="1", run_id="r", snapshot="s", outcome=Outcome.OK, how="seen in a listing"),
        finding(1, client="c1", owner="c0", damage="flipped"),
        ClientLeft(client="c0"),
    )
    rows = timelines.of("c0")
    assert [row.action for row in rows] == ["client-left", "finding", "resolved", "recovered", "snapshot-root", "client-joined"]
    assert [row.op for row in rows] == ["", "", "", "", "1", ""]
    assert (rows[1].cause, rows[1].message) == ("flipped", "bad")
    assert (rows[2].outcome, rows[2].message) == (Outcome.OK, "operation 1: seen in a listing")
    assert [row.action for row in timelines.of("c1")] == ["finding"]


def test_rows_are_bounded_for_each_client_and_in_total() -> None:
    timelines = of(*(result(str(number)) for number in range(2 * KEPT_PER_CLIENT)))
    assert [row.op for row in timelines.of("c0")] == [str(number) for number in range(2 * KEPT_PER_CLIENT - 1, KEPT_PER_CLIENT - 1, -1)]
    clients, each = 400, 100
    crowd = of(*(result(str(number), client=f"c{number % clients}") for number in range(clients * each)))
    kept = [len(crowd.of(f"c{index}")) for index in range(clients)]
    assert KEPT_AT_LEAST < KEPT_IN_TOTAL // clients == min(kept) == max(kept)


def test_a_copy_goes_on_as_the_original() -> None:
    before: list[Event] = [invoke("1"), result("1", outcome=Outcome.UNKNOWN), invoke("2")]
    original = of(*before)
    copy = deepcopy(original)
    rest = numbered([*before, result("2"), Resolved(op="1", run_id="r", outcome=Outcome.FAILED, how="gone")])[len(before) :]
    for record in rest:
        original.apply(record)
        copy.apply(record)
    assert copy.of("c0") == original.of("c0")
    assert len(copy.of("c0")) == 3
