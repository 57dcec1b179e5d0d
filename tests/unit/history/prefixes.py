"""A prefix with runs under it, and the events that make and delete snapshots."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seatrial.clock import VirtualClock
from seatrial.history.catalogue import add_to_catalogue
from seatrial.history.events import Event, Invoke, Result, Trees
from seatrial.history.journal import Journal
from seatrial.history.ledger import Ledger
from seatrial.verdicts import Outcome
from tests.unit.history.histories import CREATE, DELETE, History, children, write_journal


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


def without_end_times(content: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """When a run was seen to be over differs between the two ways, and says nothing."""
    return {**content, "operation": [row[:2] for row in content["operation"]]}
