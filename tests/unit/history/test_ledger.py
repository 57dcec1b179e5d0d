"""The ledger: seen at once, projected later, made again out of the journals."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.errors import NoOp
from seatrial.history.catalogue import add_to_catalogue
from seatrial.history.events import Finding, Invoke, Resolved, Result, Trees
from seatrial.history.projection import Projection
from seatrial.history.reader import read_journal
from seatrial.verdicts import Outcome, Verdict
from tests.unit.history.histories import CREATE, RESTORE, History, children
from tests.unit.history.prefixes import Prefix, check, create, delete, is_over, without_end_times


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    return Prefix(tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), steps=st.integers(0, 120), flushes=st.sets(st.integers(0, 150), max_size=4))
def test_a_rebuild_equals_the_incremental_projection_and_both_equal_the_model(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, flushes: set[int]
) -> None:
    prefix = Prefix(tmp_path_factory.mktemp("prefix"))
    first, second = History(seed, "run-1").run(steps), History(seed + 1, "run-2").run(steps)
    for history in (first, second):
        with prefix.run(history.run_id) as (ledger, journal):
            for number, event in enumerate(history.events):
                journal.append(event)
                if number in flushes:
                    assert ledger.flush()
            check(ledger, *([first] if history is first else [first, second]))  # partly from memory
            assert ledger.flush()
            check(ledger, *([first] if history is first else [first, second]))  # all from the database
        is_over(history)
    incremental = prefix.content()
    prefix.database.unlink()
    with prefix.ledger() as ledger:
        check(ledger, first, second)
        assert ledger.problems == []
        unknown = {(row.run_id, row.op, row.kind) for row in ledger.unknown_operations()}
        assert unknown == {(history.run_id, op, "create") for history in (first, second) for op in history.open_creates} | {
            (history.run_id, op, "delete") for history in (first, second) for op in history.open_deletes
        }
    assert without_end_times(prefix.content()) == without_end_times(incremental)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.floats(0, 1))
def test_the_next_run_catches_up_on_a_run_that_was_killed_anywhere(tmp_path_factory: pytest.TempPathFactory, seed: int, cut: float) -> None:
    prefix = Prefix(tmp_path_factory.mktemp("prefix"))
    whole = History(seed).run(100)
    kept = len(whole.events[: max(1, int(cut * len(whole.events)))])
    directory = prefix.killed_run("run-1", whole.events[:kept])
    with prefix.ledger() as ledger:
        assert ledger.problems == []
        at_once = ledger.live()
        unknown = ledger.unknown_operations()
    # The same out of a database that had applied half of it.
    other = Prefix(tmp_path_factory.mktemp("prefix"))
    other.metadata.mkdir()
    shutil.copytree(directory, other.place / "run-1")
    add_to_catalogue(other.metadata, "run-1", other.place / "run-1")
    projection = Projection(other.database, children)
    projection.register("run-1", other.place / "run-1")
    projection.apply("run-1", list(read_journal(directory))[: kept // 2])
    projection.close()
    with other.ledger() as ledger:
        assert (ledger.live(), [row.key for row in ledger.unknown_operations()]) == (at_once, [row.key for row in unknown])
    assert without_end_times(other.content()) == without_end_times(prefix.content())


def test_what_was_just_appended_is_seen_at_once(prefix: Prefix) -> None:
    with prefix.run("r") as (ledger, journal):
        assert (ledger.pick(5), ledger.live_count) == (None, 0)
        for number in range(50):
            create(journal, f"{number}", f"s{number:02d}", root=f"n{number}", nodes={f"n{number}": b"leaf"})
            assert ledger.pick(number) == f"s{number:02d}"
            row = ledger.snapshot(f"s{number:02d}")
            assert row is not None
            assert (row.owner, row.root, row.run_id) == ("c", f"n{number}", "r")
            assert row.created_end_ns >= row.created_start_ns > 0
            assert ledger.node(f"n{number}") == b"leaf"
            assert ledger.missing_nodes([f"n{number}", "other"]) == {"other"}


def test_a_delete_takes_its_snapshot_and_its_result_decides(prefix: Prefix) -> None:
    with prefix.run("r") as (ledger, journal):
        for number in range(4):
            create(journal, f"{number}", f"s{number}")
        states = []
        for op, outcome in (("d0", Outcome.OK), ("d1", Outcome.FAILED), ("d2", Outcome.UNKNOWN)):
            row = ledger.take_for_delete(0)
            assert row.id not in ledger.live()
            delete(journal, op, row.id, outcome)
            states.append((row.id, ledger.state(row.id)))
        assert states == [("s0", "deleted"), ("s1", "live"), ("s1", "unknown")]
        assert [(row.op, row.kind, row.snapshot) for row in ledger.unknown_operations()] == [("d2", "delete", "s1")]
        journal.append(Resolved(op="d2", run_id="r", snapshot="s1", outcome=Outcome.FAILED, how="listed"))
        assert ledger.live() == ["s1", "s2", "s3"]
        assert ledger.unknown_operations() == []
        deleted = ledger.snapshot("s0")
        assert deleted is not None
        assert deleted.deleted_ns > 0


def test_a_restore_keeps_its_snapshot_from_being_deleted(prefix: Prefix) -> None:
    with prefix.run("r") as (ledger, journal):
        for number in range(2):
            create(journal, f"{number}", f"s{number}")
        with ledger.pinned(0) as row:
            assert row.id == "s0"
            with pytest.raises(NoOp):
                ledger.take_for_delete(0, "s0")
            assert ledger.take_for_delete(0).id == "s1"
        with pytest.raises(NoOp), ledger.pinned(0, "s1"):
            pass
        ledger.put_back("s1")
        assert ledger.take_for_delete(0, "s0").id == "s0"


def test_a_finding_that_it_is_lost_takes_a_snapshot_out_for_good(prefix: Prefix) -> None:
    with prefix.run("r") as (ledger, journal):
        create(journal, "1", "s")
        create(journal, "2", "t")
        journal.append(Finding(id="f", group="g", check="list", verdict=Verdict.FAIL, message="m", damage="lost", snapshot="s"))
        assert (ledger.live(), ledger.state("s")) == (["t"], "lost")
    with prefix.ledger() as ledger:
        assert (ledger.live(), ledger.state("s"), ledger.state("never")) == (["t"], "lost", None)


def test_a_create_found_later_is_live_with_its_fingerprint(prefix: Prefix) -> None:
    prefix.killed_run(
        "r",
        [
            Invoke(op="1", client="c", action=CREATE, index=0, mutates=True),
            Trees(op="1", root="n1", nodes={"n1": b"leaf"}),
        ],
    )
    with prefix.run("next") as (ledger, journal):
        (operation,) = ledger.unknown_operations()
        assert (operation.run_id, operation.op, operation.root) == ("r", "1", "n1")
        found = ledger.reconcile(ledger.begin_listing(), [("s", "r/1")], settled=True)
        for resolution in found.resolutions:
            journal.append(resolution)
        row = ledger.snapshot("s")
        assert row is not None
        assert (row.state, row.root, row.owner, row.run_id, ledger.node(row.root)) == ("live", "n1", "c", "r", b"leaf")


def test_a_create_that_fails_while_a_listing_sees_it_is_not_called_late_by_that_listing(prefix: Prefix) -> None:
    """A target may show what it is about to take back; a listing that begins afterwards must not see it any more."""
    with prefix.run("r") as (ledger, journal):
        journal.append(Invoke(op="1", client="c", action=CREATE, index=0, mutates=True))
        listing = ledger.begin_listing()
        journal.append(Result(op="1", client="c", action=CREATE, outcome=Outcome.FAILED))
        assert ledger.reconcile(listing, [("s", "r/1")]).late == []
        assert [row.id for row in ledger.reconcile(ledger.begin_listing(), [("s", "r/1")]).late] == ["s"]


def test_garbage_is_collected_at_the_next_opening_in_bounded_work(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    with prefix.run("r") as (ledger, journal):
        create(journal, "0", "keep", root="nk", nodes={"nk": b"nshared", "nshared": b"leaf"})
        for number in range(10):
            nodes = {f"nr{number}": f"nshared nc{number}".encode(), f"nc{number}": b"leaf", "nshared": b"leaf"}
            create(journal, f"{number + 1}", f"s{number}", root=f"nr{number}", nodes=nodes)
            delete(journal, f"d{number}", f"s{number}")
        assert ledger.flush()
        assert ledger.node("nr3") is not None  # a checker may have been promised that it is stored
    monkeypatch.setattr("seatrial.history.ledger.GARBAGE_PER_OPEN", 12)
    with prefix.ledger() as ledger:
        left = [node for number in range(10) for node in (f"nr{number}", f"nc{number}") if ledger.node(node) is not None]
        assert len(left) == 8
    with prefix.ledger() as ledger:
        assert ledger.missing_nodes(f"n{kind}{number}" for kind in "rc" for number in range(10)) == {
            f"n{kind}{number}" for kind in "rc" for number in range(10)
        }
        assert (ledger.node("nk"), ledger.node("nshared")) == (b"nshared", b"leaf")


def test_statistics_are_cumulative_over_runs(prefix: Prefix) -> None:
    for run_id in ("a", "b", "c"):
        with prefix.run(run_id) as (ledger, journal):
            for number in range(10):
                result = Result(op=f"{number}", client="c", action=RESTORE, outcome=Outcome.OK, service_s=0.5, bytes=7, noop=number == 0)
                journal.append(result)
            assert ledger.flush()
    with prefix.ledger() as ledger:
        cumulative = ledger.cumulative()
    (action,) = cumulative.actions
    assert (cumulative.runs, action.count, action.ok, action.noop, action.bytes) == (3, 30, 27, 3, 210)
    assert (action.service.count, action.queue.count, action.service.max_s) == (27, 30, 0.5)


def test_threads_that_create_restore_and_delete_agree_with_the_ledger(prefix: Prefix) -> None:
    with prefix.run("r") as (ledger, journal):
        restoring: dict[str, int] = {}
        guard, broken = threading.Lock(), []

        def work(thread: int) -> None:
            for number in range(60):
                create(journal, f"{thread}-{number}", f"s{thread}-{number}")
                with suppress(NoOp), ledger.pinned(number * 7) as row:
                    with guard:
                        restoring[row.id] = restoring.get(row.id, 0) + 1
                    if ledger.state(row.id) != "live":
                        broken.append(row.id)
                    with guard:
                        restoring[row.id] -= 1
                if number % 2:
                    with suppress(NoOp):
                        taken = ledger.take_for_delete(number * 13)
                        with guard:
                            if restoring.get(taken.id):
                                broken.append(taken.id)
                        delete(journal, f"d{thread}-{number}", taken.id)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert broken == []
        deleted = [snapshot for t in range(4) for n in range(60) if ledger.state(snapshot := f"s{t}-{n}") == "deleted"]
        assert ledger.live_count == 240 - len(deleted)
        assert len(deleted) > 60
        live = ledger.live()
    with prefix.ledger() as ledger:
        assert ledger.live() == live
