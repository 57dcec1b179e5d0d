"""Listings that overlap creates and deletes: a truthful target is never accused, and a lying one always is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.clock import VirtualClock
from seatrial.errors import NoOp
from seatrial.history.events import Finding, Invoke, Record, Result
from seatrial.history.journal import Journal
from seatrial.history.ledger import Ledger, Listing
from seatrial.history.ledger_records import SnapshotRow
from seatrial.history.reconcile import Reconciliation
from seatrial.seeds import stream
from seatrial.verdicts import Outcome, Verdict
from tests.unit.history.histories import CREATE, DELETE

Task = Iterator[None]


@dataclass
class World:
    """A repository, and clients that act on it one step at a time, in an order drawn by the seed."""

    ledger: Ledger
    journal: Journal
    seed: int
    repository: dict[str, str] = field(default_factory=dict)
    """Tag by id: what the target truly has."""
    found: list[Reconciliation] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.random = stream(self.seed, "world")

    def result(self, op: str, action: str, outcome: Outcome, snapshot: str) -> None:
        self.journal.append(Result(op=op, client="c", action=action, outcome=outcome, snapshot=snapshot))

    def create(self) -> Task:
        self.number += 1
        op, snapshot = f"{self.number}", f"s{self.number:03d}"
        self.journal.append(Invoke(op=op, client="c", action=CREATE, index=0, mutates=True))
        yield
        outcome = self.random.choice([Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN])
        late = outcome is Outcome.UNKNOWN and self.random.random() < 0.5
        happens = outcome is Outcome.OK or (outcome is Outcome.UNKNOWN and self.random.random() < 0.6)
        if happens and not late:
            self.repository[snapshot] = f"r/{op}"
        yield
        self.result(op, CREATE, outcome, snapshot if outcome is Outcome.OK else "")
        if happens and late:
            for _ in range(self.random.randrange(6)):
                yield
            self.repository[snapshot] = f"r/{op}"

    def delete(self) -> Task:
        try:
            row: SnapshotRow = self.ledger.take_for_delete(self.random.randrange(1000))
        except NoOp:
            return
        self.number += 1
        op = f"{self.number}"
        yield
        self.journal.append(Invoke(op=op, client="c", action=DELETE, index=0, mutates=True, snapshot=row.id))
        yield
        outcome = self.random.choice([Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN])
        late = outcome is Outcome.UNKNOWN and self.random.random() < 0.5
        happens = outcome is Outcome.OK or (outcome is Outcome.UNKNOWN and self.random.random() < 0.6)
        if happens and not late:
            self.repository.pop(row.id, None)
        yield
        self.result(op, DELETE, outcome, row.id)
        if happens and late:
            for _ in range(self.random.randrange(6)):
                yield
            self.repository.pop(row.id, None)

    def listing(self, *, settled: bool = False) -> Task:
        """Reads the ids one by one, each at its own moment: no snapshot isolation is promised by any target."""
        listing = self.ledger.begin_listing()
        if self.random.random() < 0.1:
            self.ledger.abandon(listing)
            return
        yield
        rows: list[tuple[str, str]] = []
        names = [f"s{number:03d}" for number in range(200)]
        for start in range(0, 200, 40):
            rows += [(name, self.repository[name]) for name in names[start : start + 40] if name in self.repository]
            yield
        found = self.ledger.reconcile(listing, rows, settled=settled)
        self.found.append(found)
        yield
        for resolution in found.resolutions:
            self.journal.append(resolution)
            yield

    def go(self, tasks: list[Task]) -> None:
        """Run until all are done."""
        while tasks:
            task = self.random.choice(tasks)
            with suppress(StopIteration):
                next(task)
                continue
            tasks.remove(task)

    def chaos(self, rounds: int) -> None:
        makers = [self.create, self.create, self.create, self.delete, self.listing]
        for _ in range(rounds):
            self.go([self.random.choice(makers)() for _ in range(self.random.randrange(1, 9))])

    def settle(self) -> Reconciliation:
        listing = self.ledger.begin_listing()
        found = self.ledger.reconcile(listing, sorted(self.repository.items()), settled=True)
        for resolution in found.resolutions:
            self.journal.append(resolution)
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from made(tmp_path, 0)


def made(place: Path, seed: int) -> Iterator[World]:
    (place / "run").mkdir()
    clock = VirtualClock()
    ledger = Ledger(place / "metadata", lambda _: (), clock)
    journal = Journal(place / "run", clock, ballast_bytes=0)
    ledger.attach("r", journal)
    try:
        yield World(ledger, journal, seed)
    finally:
        journal.close()
        ledger.close()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), rounds=st.integers(1, 12))
def test_a_truthful_target_is_never_accused_and_everything_unknown_gets_settled(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rounds: int
) -> None:
    for world in made(tmp_path_factory.mktemp("world"), seed):
        world.chaos(rounds)
        last = world.settle()
        for found in [*world.found, last]:
            assert (found.lost, found.phantoms, found.late, found.foreign, found.reappeared) == ([], [], [], [], [])
        assert world.ledger.unknown_operations() == []
        assert world.ledger.live() == sorted(world.repository)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rounds=st.integers(2, 8))
def test_what_a_lying_target_loses_or_brings_back_is_named_by_the_next_listing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rounds: int
) -> None:
    for world in made(tmp_path_factory.mktemp("world"), seed):
        world.chaos(rounds)
        world.go([world.create() for _ in range(4)])
        world.settle()
        known = sorted(world.repository)
        lost = world.random.sample(known, k=min(2, len(known)))
        for snapshot in lost:
            del world.repository[snapshot]
        deleted = [name for name in (f"s{number:03d}" for number in range(200)) if world.ledger.state(name) == "deleted"]
        back = deleted[:1]
        world.repository.update(dict.fromkeys(back, "r/1"))
        world.repository["alien"] = ""
        world.repository["late"] = "r/999"
        found = world.settle()
        assert (found.lost, found.phantoms) == (sorted(lost), back)
        assert ([row.id for row in found.foreign], [row.id for row in found.late]) == (["alien"], ["late"])


def test_a_snapshot_that_is_lost_while_others_come_and_go_is_named_by_a_listing_among_them(world: World) -> None:
    for number in range(20):
        world.go([world.create()])
        world.number += number % 2
    world.settle()
    victim = world.ledger.live()[0]
    del world.repository[victim]
    with world.ledger.pinned(0, victim):  # so that no delete takes it first
        for _ in range(10):
            world.go([world.create(), world.create(), world.delete(), world.listing()])
    lost = {snapshot for found in world.found for snapshot in found.lost}
    assert lost == {victim}


def test_a_snapshot_taken_for_a_delete_at_the_last_moment_of_a_listing_is_no_stranger(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        world.go([world.create()])
    world.settle()
    victim, missing = world.ledger.live()[:2]
    end_listing = world.ledger._live.end_listing

    def take_first(listing: Listing) -> list[str]:
        for snapshot in (victim, missing):
            world.ledger.take_for_delete(0, snapshot)
        return end_listing(listing)

    monkeypatch.setattr(world.ledger._live, "end_listing", take_first)
    del world.repository[missing]
    listing = world.ledger.begin_listing()
    assert world.ledger.reconcile(listing, sorted(world.repository.items())) == Reconciliation(lost=[missing])


def test_a_deleted_snapshot_that_is_listed_is_named_while_the_database_takes_it_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        world.go([world.create()])
    world.settle()
    ledger, projection, victim = world.ledger, world.ledger._projection, world.ledger.live()[0]
    assert ledger.flush()
    apply, may_apply = projection.apply, threading.Event()

    def apply_when_told(run_id: str, records: list[Record]) -> None:
        assert may_apply.wait(10)
        apply(run_id, records)

    def then_flush(look: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def looked(what: Any) -> Any:
            seen = look(what)
            if not may_apply.is_set():
                may_apply.set()
                assert ledger.flush()
            return seen

        return looked

    monkeypatch.setattr(projection, "apply", apply_when_told)
    world.number += 1
    op = f"{world.number}"
    world.journal.append(Invoke(op=op, client="c", action=DELETE, index=0, mutates=True, snapshot=victim))
    world.result(op, DELETE, Outcome.OK, victim)
    for owner, look in ((projection, "states"), (ledger._recent, "of")):
        monkeypatch.setattr(owner, look, then_flush(getattr(owner, look)))
    listing = ledger.begin_listing()
    assert ledger.reconcile(listing, sorted(world.repository.items())) == Reconciliation(phantoms=[victim])
    assert may_apply.is_set()


def test_a_snapshot_called_lost_is_not_called_so_again_but_told_when_it_is_back(world: World) -> None:
    world.go([world.create() for _ in range(6)])
    world.settle()
    victim = world.ledger.live()[0]
    tag = world.repository.pop(victim)
    assert world.settle().lost == [victim]
    world.journal.append(Finding(id="1", group="g", check="list", verdict=Verdict.FAIL, message="m", damage="lost", snapshot=victim))
    assert world.settle() == Reconciliation()
    world.repository[victim] = tag
    assert world.settle().reappeared == [victim]
    assert world.ledger.state(victim) == "lost"
