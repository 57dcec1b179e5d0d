"""The view of a run: the same for the same journal, and true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.clock import VirtualClock
from seatrial.history import fold as fold_module
from seatrial.history import snapshot_book
from seatrial.history.events import (
    ClientJoined,
    ClientLeft,
    ErrorInfo,
    Event,
    Fault,
    Finding,
    Invoke,
    Phase,
    PlanEvent,
    Resolved,
    Result,
    RunEnded,
    ServerEvent,
    Steer,
    StorageStats,
)
from seatrial.history.fold import FURTHER_GROUPS, RunFold
from seatrial.history.frames import CacheFrame, ClientFrame, Frame
from seatrial.history.view import RunView
from seatrial.verdicts import Outcome, Verdict
from tests.unit.history.histories import CREATE, DELETE, RESTORE, WRITE, History, records

SECOND = 1_000_000_000
PLAN = PlanEvent(
    run_id="r", preset="smoke", seed=7, target="embedded", repo_path_prefix="/p", settings={"clients": 2, "expect": "fail"}, command=["x"]
)


def folded(events: Sequence[Event]) -> RunFold:
    fold = RunFold(VirtualClock())
    for record in records(events):
        fold.apply(record)
    return fold


def view_of(*events: Event) -> RunView:
    return folded(events).view(force=True)


def result(op: str = "1", action: str = WRITE, client: str = "c0", **fields: object) -> Result:
    return Result(**{"op": op, "client": client, "action": action, "outcome": Outcome.OK, **fields})  # type: ignore[arg-type]  # a double, or fields by name


def test_a_copy_folds_on_as_if_it_had_seen_it_all() -> None:
    history: list[Event] = [
        PLAN,
        ClientJoined(client="c0", index=0),
        Invoke(op="1", client="c0", action=CREATE, index=0, mutates=True),
        result("1", CREATE, snapshot="s1", root="r1", service_s=0.5),
        result("2", DELETE, outcome=Outcome.UNKNOWN, snapshot="s1"),
        Resolved(op="2", run_id="r", snapshot="s1", outcome=Outcome.OK, how="listed"),
        RunEnded(verdict=Verdict.PASS, exit_code=0),
    ]
    for cut in range(len(history) + 1):
        fold = RunFold(VirtualClock())
        for record in records(history)[:cut]:
            fold.apply(record)
        again = deepcopy(fold)
        for record in records(history)[cut:]:
            fold.apply(record)
            again.apply(record)
        assert again.view(force=True) == fold.view(force=True)
        assert again.snapshots() == fold.snapshots()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 150))
def test_the_view_counts_what_happened(seed: int, steps: int) -> None:
    history = History(seed).run(steps)
    view = view_of(*history.events)
    assert sum(row.count for row in view.actions) == history.results
    assert all(row.count == row.ok + row.failed + row.unknown + row.noop for row in view.actions)
    assert sum(row.ok + row.failed + row.unknown + row.noop for row in view.clients) == history.results
    per_client = [row for rows in view.client_actions.values() for row in rows]
    for total in view.actions:
        parts = [row for row in per_client if row.action == total.action]
        for name in ("count", "ok", "failed", "unknown", "noop", "bytes"):
            assert sum(getattr(part, name) for part in parts) == getattr(total, name)
        assert total.service.count == total.count - total.noop
        assert sum(total.errors.values()) == total.failed + total.unknown
    counts = Counter(history.states.values())
    snapshots = view.snapshots
    assert {state: getattr(snapshots, state) for state in ("live", "deleting", "deleted", "unknown", "lost")} == {
        state: counts[state] for state in ("live", "deleting", "deleted", "unknown", "lost")
    }
    assert snapshots.created == len(history.states)
    assert sum(row.snapshots_live for row in view.clients) == snapshots.live
    assert view.unknown_open == len(history.open_creates) + len(history.open_deletes)
    assert view.in_flight == len(history.flying)
    assert view.gaps == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 200), max_size=10))
def test_the_same_journal_gives_the_same_view_whoever_looked_in_between(seed: int, looks: list[int]) -> None:
    events = History(seed).run(150).events
    fold = RunFold(VirtualClock())
    for number, record in enumerate(records(events)):
        fold.apply(record)
        if number in looks:
            fold.view(force=True)
    assert msgspec.structs.replace(fold.view(force=True), version=1) == view_of(*events)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_every_snapshot_can_be_looked_up(seed: int) -> None:
    history = History(seed).run(150)
    fold = folded(history.events)
    for snapshot, state in history.states.items():
        row = fold.snapshot(snapshot)
        assert row is not None
        assert (row.state, bool(row.last_good_ns), bool(row.deleted_ns)) == (state, snapshot in history.good, state == "deleted")
    listed = fold.snapshots(limit=10**6)
    assert {row.id for row in listed} == set(history.states)
    assert [row.created_ns for row in listed] == sorted((row.created_ns for row in listed), reverse=True)
    owner = listed[0].owner if listed else "c0"
    assert fold.snapshots(owner=owner, limit=3) == [row for row in listed if row.owner == owner][:3]


def test_rows_that_did_not_change_stay_the_same_objects() -> None:
    fold = RunFold(VirtualClock())
    events: list[Event] = [PLAN, *(ClientJoined(client=f"c{index}", index=index) for index in range(3))]
    events += [result(op=f"{index}", client=f"c{index}") for index in range(3)]
    more: list[Event] = [Invoke(op="9", client="c1", action=WRITE, index=1, mutates=False), result(op="9", client="c1")]
    stream = records([*events, *more])
    for record in stream[: len(events)]:
        fold.apply(record)
    before = fold.view(force=True)
    for record in stream[len(events) :]:
        fold.apply(record)
    after = fold.view(force=True)
    assert [old is new for old, new in zip(before.clients, after.clients, strict=True)] == [True, False, True]
    assert before.client_actions["c0"] is after.client_actions["c0"]
    assert before.client_actions["c1"] is not after.client_actions["c1"]
    assert before.header is after.header


def test_a_view_is_made_at_most_ten_times_a_second_unless_forced() -> None:
    clock = VirtualClock()
    fold = RunFold(clock)
    stream = records([PLAN, *(Steer(command="remark") for _ in range(50))])
    fold.apply(stream[0])
    first = fold.view()
    fold.apply(stream[1])
    assert fold.view() is first
    assert fold.view(force=True) is not first
    versions = set()
    for record in stream[2:]:
        fold.apply(record)
        clock.advance(0.025)
        versions.add(fold.view().version)
    assert 11 <= len(versions) <= 13
    latest = fold.view(force=True)
    assert fold.view(force=True) is latest  # nothing new


def test_the_header_comes_from_the_plan() -> None:
    header = view_of(PLAN).header
    assert (header.run_id, header.preset, header.seed, header.clients, header.expect, header.command) == (
        "r",
        "smoke",
        7,
        2,
        "fail",
        ("x",),
    )
    assert header.started_ns == SECOND


def test_a_client_goes_through_its_states() -> None:
    fold = RunFold(VirtualClock())
    client = "brave-otter-0d5cd2a6-9f0e-4f7e-8a42-1f7a6a0b1c2d"
    states = []
    events: list[Event] = [
        PLAN,
        ClientJoined(client=client, index=0, data_directory="/d"),
        Invoke(op="1", client=client, action=WRITE, index=0, mutates=False),
        result(client=client, outcome=Outcome.FAILED, error=ErrorInfo(cause="denied", message="no")),
        ClientLeft(client=client),
    ]
    for record in records(events):
        fold.apply(record)
        states.append([(row.name, row.state, row.action, row.since_ns) for row in fold.view(force=True).clients])
    assert states[0] == []
    assert [rows[0] for rows in states[1:]] == [
        ("brave-otter", "idle", "", 2 * SECOND),
        ("brave-otter", "running", WRITE, 3 * SECOND),
        ("brave-otter", "idle", "", 4 * SECOND),
        ("brave-otter", "gone", "", 5 * SECOND),
    ]
    row = fold.view().clients[0]
    assert (row.last_action, row.last_outcome, row.last_cause, row.failed, row.data_directory) == (WRITE, Outcome.FAILED, "denied", 1, "/d")


def test_telemetry_tells_progress_until_a_newer_fact_comes() -> None:
    fold = folded([PLAN, ClientJoined(client="c0", index=0), Invoke(op="1", client="c0", action=WRITE, index=0, mutates=False)])
    running = ClientFrame(state="running", action=WRITE, op="1", stage="scan", done=5, total=10, unit="files", since_s=1.0)
    fold.apply_frame(Frame(at_ns=4 * SECOND, clients={"c0": running}, in_flight=1, server_log_bytes=9))
    row = fold.view(force=True).clients[0]
    assert (row.stage, row.done, row.total, row.unit, row.since_ns) == ("scan", 5, 10, "files", 3 * SECOND)
    late = records([PLAN] * 3 + [result()])[-1]
    fold.apply(msgspec.structs.replace(late, at_ns=6 * SECOND))
    fold.apply_frame(Frame(at_ns=5 * SECOND, clients={"c0": running}))
    row = fold.view(force=True).clients[0]
    assert (row.state, row.stage) == ("idle", "")
    fold.apply_frame(Frame(at_ns=7 * SECOND, clients={"c0": ClientFrame(state="queued", action=RESTORE, op="2", since_s=0.5)}))
    row = fold.view(force=True).clients[0]
    assert (row.state, row.action, row.since_ns) == ("queued", RESTORE, 6 * SECOND + SECOND // 2)


def test_a_frame_that_says_the_same_changes_no_row_and_an_old_one_says_nothing() -> None:
    fold = folded([PLAN, ClientJoined(client="c0", index=0)])
    cache = CacheFrame(owner="c0", path="/c", size_bytes=3)
    told = {"c0": ClientFrame(state="queued", action=WRITE, op="1", since_s=1)}
    fold.apply_frame(Frame(at_ns=5 * SECOND, clients=told, caches=[cache]))
    before = fold.view(force=True)
    assert before.clients[0].cache == cache
    told = {"c0": replace_since(told["c0"], 2.01)}
    fold.apply_frame(Frame(at_ns=6 * SECOND, clients=told, caches=[cache]))
    assert fold.view(force=True).clients[0] is before.clients[0]
    fold.apply_frame(Frame(at_ns=3 * SECOND, paused=True))
    assert not fold.view(force=True).paused


def replace_since(frame: ClientFrame, since_s: float) -> ClientFrame:
    return msgspec.structs.replace(frame, since_s=since_s)


def test_phases_have_progress() -> None:
    view = view_of(
        PLAN,
        Phase(name="chaos", state="begin", planned_s=60),
        result(op="1"),
        result(op="2", noop=True),
        Phase(name="chaos", state="end"),
        Phase(name="verify", state="begin", total=2),
        result(op="3", action=RESTORE, snapshot="s", equal=True),
        result(op="4", action="verify-repository"),
    )
    chaos, verify = view.phases
    assert (chaos.state, chaos.progress, chaos.planned_s, chaos.begun_ns, chaos.ended_ns) == ("end", 1, 60, 2 * SECOND, 5 * SECOND)
    assert (verify.state, verify.progress, verify.total) == ("begin", 1, 2)
    assert view.phase is verify


def test_percentiles_are_those_of_the_action() -> None:
    view = view_of(PLAN, *(result(op=str(number), service_s=number / 100, queue_s=0.5) for number in range(1, 101)))
    service = view.actions[0].service
    assert service.p50_s == pytest.approx(0.5, rel=0.02)
    assert service.p95_s == pytest.approx(0.95, rel=0.02)
    assert service.max_s == 1.0
    assert service.total_s == pytest.approx(50.5)
    assert view.actions[0].queue.p95_s == pytest.approx(0.5, rel=0.02)
    assert view.clients[0].service_s_p95 == pytest.approx(0.95, rel=0.02)


def test_findings_of_one_group_are_one_row() -> None:
    first = Finding(id="1", group="flipped in s1", check="restore", verdict=Verdict.INCONCLUSIVE, message="m", client="c0", owner="c1")
    again = msgspec.structs.replace(first, id="2", verdict=Verdict.FAIL)
    view = view_of(PLAN, first, again, msgspec.structs.replace(first, id="3", group="other", client="c0", owner="c0"))
    group = view.findings[0]
    assert (group.count, group.verdict, group.first_ns, group.last_ns, group.first) == (2, Verdict.FAIL, 2 * SECOND, 3 * SECOND, first)
    assert (view.verdict, view.findings_total, len(view.findings)) == (Verdict.FAIL, 3, 2)
    assert {row.id: row.findings for row in view.clients} == {"c0": 3, "c1": 2}


def test_groups_and_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_module, "KEPT", 5)
    monkeypatch.setattr(snapshot_book, "KEPT_DELETED", 5)
    events: list[Event] = [PLAN]
    for number in range(20):
        events.append(Finding(id=str(number), group=f"g{number}", check="c", verdict=Verdict.FAIL, message="m"))
        events.append(Fault(fault="f", state="begin", detail=str(number)))
        events.append(result(op=f"c{number}", action=CREATE, snapshot=f"s{number}"))
        events.append(Invoke(op=f"d{number}", client="c0", action=DELETE, index=0, mutates=True, snapshot=f"s{number}"))
        events.append(result(op=f"d{number}", action=DELETE, snapshot=f"s{number}"))
    fold = folded(events)
    view = fold.view()
    assert [group.group for group in view.findings] == ["g0", "g1", "g2", "g3", "g4", FURTHER_GROUPS]
    assert view.findings[-1].count == 15
    assert [row.fault.detail for row in view.faults] == ["15", "16", "17", "18", "19"]
    assert (view.snapshots.deleted, view.snapshots.created, len(fold.snapshots())) == (20, 20, 5)


def test_the_server_is_counted() -> None:
    view = view_of(
        PLAN,
        ServerEvent(state="starting"),
        ServerEvent(state="ready", pid=5, address="a", server_log_offset=10),
        ServerEvent(state="died", exit_code=-9, detail="killed"),
        ServerEvent(state="ready", pid=6),
    )
    server = view.server
    assert (server.state, server.pid, server.address, server.restarts, server.deaths) == ("ready", 6, "a", 1, 1)
    assert view.server_log_offset == 10


def test_unknown_operations_stay_open_until_resolved_in_this_run() -> None:
    events: list[Event] = [
        PLAN,
        Invoke(op="1", client="c0", action=CREATE, index=0, mutates=True),
        result(action=CREATE, outcome=Outcome.UNKNOWN),
        result(op="7", action="run-gc", outcome=Outcome.UNKNOWN),
        Resolved(op="1", run_id="another", outcome=Outcome.OK, snapshot="x", how=""),
    ]
    view = view_of(*events)
    assert [(row.op, row.action) for row in view.unknown] == [("1", CREATE)]
    fold = folded([*events, Resolved(op="1", run_id="r", outcome=Outcome.OK, snapshot="s", how="")])
    assert fold.view().unknown_open == 0
    row = fold.snapshot("s")
    assert row is not None
    assert (row.state, row.owner) == ("live", "c0")


def test_a_gap_makes_the_verdict_inconclusive() -> None:
    fold = RunFold(VirtualClock())
    stream = records([PLAN, Steer(command="remark"), RunEnded(verdict=Verdict.PASS, exit_code=0)])
    fold.apply(stream[0])
    fold.apply(stream[2])
    view = fold.view()
    assert (view.gaps, view.verdict) == (1, Verdict.INCONCLUSIVE)


def test_steering_storage_pause_and_end() -> None:
    events: list[Event] = [
        PLAN,
        ClientJoined(client="c0", index=0),
        StorageStats(when="before", directories={"/a": 1}),
        Steer(command="pause", by="me"),
    ]
    view = view_of(*events)
    assert (view.paused, view.storage_before, view.steering[0].steer.by) == (True, {"/a": 1}, "me")
    view = view_of(*events, RunEnded(verdict=Verdict.PASS, exit_code=0))
    assert view.end is not None
    assert (view.paused, view.verdict, view.clients[0].state, view.end.at_ns) == (False, Verdict.PASS, "gone", 5 * SECOND)


def test_rates_are_those_of_the_last_seconds() -> None:
    fold = RunFold(VirtualClock())
    for record in records([PLAN, *(result(op=str(number), bytes=1000) for number in range(40))]):
        fold.apply(record)
    rates = fold.view(force=True).rates
    assert rates.actions_per_minute == pytest.approx(60)
    assert rates.bytes_per_second == pytest.approx(1000)
    fold.apply_frame(Frame(at_ns=1000 * SECOND))
    assert fold.view(force=True).rates.actions_per_minute == 0


def test_a_lookup_sees_what_was_just_applied() -> None:
    fold = folded([PLAN, result(action=CREATE, snapshot="s", root="ab")])
    row = fold.snapshot("s")
    assert row is not None
    assert (row.root, row.op) == ("ab", "1")
    assert fold.snapshot("none") is None


def test_a_history_can_be_made_twice() -> None:
    """The generator itself must repeat, or the tests above would not."""
    assert History(5).run(100).events == History(5).run(100).events
