"""The ledger: seen at once, projected later, made again out of the journals."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.clock import VirtualClock
from seatrial.errors import HarnessError, NoOp, UsageError
from seatrial.history import recent as recent_module
from seatrial.history.catalogue import FILE_NAME, add_to_catalogue, read_catalogue
from seatrial.history.events import Event, Finding, Invoke, Resolved, Result, Trees
from seatrial.history.journal import Journal
from seatrial.history.ledger import Ledger
from seatrial.history.projection import Projection, _Batch
from seatrial.history.reader import read_journal
from seatrial.history.segments import plain_path
from seatrial.verdicts import Outcome, Verdict
from tests.unit.history.histories import CREATE, DELETE, RESTORE, History, children, write_journal


class Prefix:
    """A prefix and the runs that wrote under it."""

    def __init__(self, place: Path) -> None:
        self.place, self.metadata = place, place / "metadata"
        self.database = self.metadata / "ledger.sqlite"
        self.clock = VirtualClock()

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(self.metadata, children, self.clock)
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def run(self, run_id: str) -> Iterator[tuple[Ledger, Journal]]:
        """A run under way."""
        directory = self.place / run_id
        directory.mkdir()
        with self.ledger() as ledger:
            journal = Journal(directory, self.clock, ballast_bytes=0, segment_bytes=20_000)
            ledger.attach(run_id, journal)
            try:
                yield ledger, journal
            finally:
                journal.close()

    def killed_run(self, run_id: str, events: list[Event]) -> Path:
        """A run that registered, wrote, and was killed before anything came into the database."""
        write_journal(self.place / run_id, events)
        self.metadata.mkdir(exist_ok=True)
        add_to_catalogue(self.metadata, run_id, self.place / run_id)
        return self.place / run_id

    def content(self) -> dict[str, list[Any]]:
        """All that the database says once garbage is collected: when that happens is nobody's business."""
        with self.ledger():
            pass
        database = sqlite3.connect(self.database)
        try:
            tables = {
                "snapshot": "SELECT * FROM snapshot ORDER BY id",
                "operation": "SELECT * FROM operation ORDER BY run, op",
                "statistics": "SELECT * FROM statistics ORDER BY action",
                "node": "SELECT * FROM node WHERE refs > 0 ORDER BY id",
                "run": "SELECT id, applied_seq, closed FROM run ORDER BY id",
            }
            return {name: database.execute(query).fetchall() for name, query in tables.items()}
        finally:
            database.close()


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    return Prefix(tmp_path)


def create(journal: Journal, op: str, snapshot: str, *, root: str = "", nodes: dict[str, bytes] | None = None) -> None:
    journal.append(Invoke(op=op, client="c", action=CREATE, index=0, mutates=True))
    if root:
        journal.append(Trees(op=op, root=root, nodes=nodes or {}))
    journal.append(Result(op=op, client="c", action=CREATE, outcome=Outcome.OK, snapshot=snapshot, root=root))


def delete(journal: Journal, op: str, snapshot: str, outcome: Outcome = Outcome.OK) -> None:
    journal.append(Invoke(op=op, client="c", action=DELETE, index=0, mutates=True, snapshot=snapshot))
    journal.append(Result(op=op, client="c", action=DELETE, outcome=outcome, snapshot=snapshot))


def check(ledger: Ledger, *histories: History) -> None:
    """The ledger says what the model says."""
    states = {snapshot: state for history in histories for snapshot, state in history.states.items()}
    assert ledger.live() == sorted(snapshot for snapshot, state in states.items() if state == "live")
    assert {snapshot: ledger.state(snapshot) for snapshot in states} == states
    for history in histories:
        for snapshot, root in history.roots.items():
            row = ledger.snapshot(snapshot)
            assert row is not None
            assert (row.root, row.run_id, row.state) == (root, history.run_id, states[snapshot])
            assert bool(row.last_good_ns) == (snapshot in history.good)
            if root and row.state in {"live", "unknown", "lost"}:
                node = ledger.node(root)
                assert node is not None
                assert all(ledger.node(child) is not None for child in children(node))


def is_over(history: History) -> History:
    """What is true once the run's process is gone."""
    for op, (action, snapshot) in history.flying.items():
        if action == CREATE:
            history.open_creates.add(op)
        elif history.states[snapshot] == "deleting":
            history.states[snapshot] = "unknown"
            history.open_deletes[op] = snapshot
    history.flying.clear()
    return history


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


def without_end_times(content: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """When a run was seen to be over differs between the two ways, and says nothing."""
    return {**content, "operation": [row[:2] for row in content["operation"]]}


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


def test_a_run_whose_directory_is_gone_is_a_named_problem_until_it_is_given_up(prefix: Prefix) -> None:
    directory = prefix.killed_run("gone", History(1, "gone").run(30).events)
    moved = directory.rename(prefix.place / "moved")
    for _ in range(2):
        with prefix.ledger() as ledger:
            (problem,) = ledger.problems
            assert (problem.run_id, problem.where) == ("gone", str(directory))
            assert FILE_NAME in problem.remedy
    moved.rename(directory)
    with prefix.ledger() as ledger:
        assert ledger.problems == []
        assert ledger.cumulative().actions != ()
    shutil.rmtree(directory)
    with prefix.ledger() as ledger:
        assert ledger.problems == []  # all of it is applied


def test_a_run_is_given_up_by_deleting_its_line(prefix: Prefix) -> None:
    directory = prefix.killed_run("gone", History(1, "gone").run(30).events)
    shutil.rmtree(directory)
    with prefix.ledger() as ledger:
        assert len(ledger.problems) == 1
    (prefix.metadata / FILE_NAME).write_text("")
    with prefix.ledger() as ledger:
        assert ledger.problems == []


@pytest.mark.parametrize("damage", ["gap", "middle", "version"])
def test_a_journal_that_cannot_be_read_whole_is_a_named_problem(prefix: Prefix, damage: str) -> None:
    directory = prefix.killed_run("bad", History(1, "bad").run(5).events)
    path = plain_path(directory, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    if damage == "gap":
        del lines[2]
    elif damage == "middle":
        lines[2] = b"{\n"
    else:
        lines[0] = lines[0].replace(b'"kind":"plan"', b'"kind":"plan","format":9')
    path.write_bytes(b"".join(lines))
    with prefix.ledger() as ledger:
        (problem,) = ledger.problems
        assert {"gap": "missing", "middle": "decoded", "version": "format 9"}[damage] in problem.what


def test_a_run_that_never_wrote_is_no_problem(prefix: Prefix) -> None:
    (prefix.place / "empty").mkdir(parents=True)
    prefix.metadata.mkdir()
    add_to_catalogue(prefix.metadata, "empty", prefix.place / "empty")
    with prefix.ledger() as ledger:
        assert ledger.problems == []


@pytest.mark.parametrize("content", [b"this is no database at all", b""])
def test_a_damaged_database_is_put_aside_and_made_again(prefix: Prefix, content: bytes) -> None:
    history = History(3, "r").run(60)
    with prefix.run("r") as (_, journal):
        for event in history.events:
            journal.append(event)
    before = prefix.content()
    prefix.database.write_bytes(content)
    with prefix.ledger() as ledger:
        check(ledger, is_over(history))
    assert without_end_times(prefix.content()) == without_end_times(before)
    assert bool(list(prefix.metadata.glob("damaged-*"))) == bool(content)


def test_a_database_of_another_version_is_refused_with_its_remedy(prefix: Prefix) -> None:
    with prefix.ledger():
        pass
    database = sqlite3.connect(prefix.database)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UsageError, match="version 99") as raised, prefix.ledger():
        pass
    assert "made again" in raised.value.remedy
    with pytest.raises(UsageError, match="version 99"), prefix.ledger():
        pass  # and the lock was given back


def test_one_process_at_a_time(prefix: Prefix) -> None:
    with prefix.ledger(), pytest.raises(UsageError, match="another process"), prefix.ledger():
        pass
    with prefix.ledger():
        pass


def test_a_ledger_follows_one_journal_from_its_first_event(prefix: Prefix) -> None:
    directory = prefix.place / "late"
    with prefix.run("r") as (ledger, journal), pytest.raises(HarnessError, match="first event"):
        ledger.attach("r", journal)
    directory.mkdir()
    late = Journal(directory, ballast_bytes=0)
    create(late, "1", "s")
    with prefix.ledger() as ledger, pytest.raises(HarnessError, match="first event"):
        ledger.attach("late", late)
    late.close()


def test_a_torn_line_of_the_catalogue_costs_nobody_else(tmp_path: Path) -> None:
    add_to_catalogue(tmp_path, "a", tmp_path / "a")
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + b'{"run_id":"tor')
    assert list(read_catalogue(tmp_path)) == ["a"]
    add_to_catalogue(tmp_path, "b", tmp_path / "b")
    assert read_catalogue(tmp_path) == {"a": tmp_path / "a", "b": tmp_path / "b"}
    path.write_bytes(b"nonsense\n")
    with pytest.raises(UsageError, match=r"runs\.jsonl:1"):
        read_catalogue(tmp_path)


def test_a_database_that_cannot_be_written_loses_nothing_and_says_so_when_it_is_too_far_behind(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_module, "MOST_CHANGES", 20)
    monkeypatch.setattr("seatrial.history.ledger.LAG_LIMIT_S", 0.3)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Projection, "apply", fail)
        with prefix.run("r") as (ledger, journal):
            with pytest.raises(HarnessError, match=r"too far behind.*disk is full"):
                for number in range(100):
                    create(journal, f"{number}", f"s{number:02d}")
            written = journal.last_seq
            assert ledger.flush(0.0) is False
            assert ledger.live_count > 10
    with prefix.ledger() as ledger:
        assert ledger.live_count == written // 2
        assert ledger.problems == []


def test_a_writer_that_failed_once_goes_on_where_it_was(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.history.ledger.RETRY_S", 0.01)
    real, failures = Projection._finish, [0]

    def fail_at_the_end(self: Projection, batch: _Batch, actions: Iterable[str]) -> None:
        if failures[0] < 3:
            failures[0] += 1
            raise sqlite3.OperationalError("disk I/O error")
        real(self, batch, actions)

    history = History(11, "r").run(100)
    monkeypatch.setattr(Projection, "_finish", fail_at_the_end)
    with prefix.run("r") as (ledger, journal):
        for event in history.events:
            journal.append(event)
        assert ledger.flush()
        check(ledger, history)
    assert failures == [3]
    incremental = prefix.content()
    prefix.database.unlink()
    with prefix.ledger():
        pass
    assert without_end_times(prefix.content()) == without_end_times(incremental)


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
