"""Random but possible histories of runs, and beside them a plain model of what is then true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.clock import VirtualClock
from seatrial.history.events import (
    ClientJoined,
    ErrorInfo,
    Event,
    Finding,
    Invoke,
    PlanEvent,
    Record,
    Resolved,
    Result,
    Trees,
)
from seatrial.history.journal import Journal
from seatrial.seeds import stream
from seatrial.verdicts import Outcome, Verdict

CREATE, DELETE, RESTORE, WRITE = "snapshot-root", "delete-random-snapID", "restore-random-snapID", "write-random-files"


def children(data: bytes) -> list[str]:
    """Of the nodes made here: their text is the list of their children."""
    return [child for child in data.decode().split(" ") if child.startswith("n")]


def records(events: Sequence[Event]) -> list[Record]:
    """As a journal would number them, a second apart."""
    return [Record(seq=seq, at_ns=seq * 1_000_000_000, event=event) for seq, event in enumerate(events, start=1)]


def write_journal(directory: Path, events: list[Event]) -> None:
    """Into a directory of its own."""
    directory.mkdir(parents=True)
    journal = Journal(directory, VirtualClock(), ballast_bytes=0, segment_bytes=20_000)
    for event in events:
        journal.append(event)
    journal.close()


@dataclass
class History:
    """One run of some clients; every draw comes from the seed."""

    seed: int
    run_id: str = "run-1"
    events: list[Event] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    """Of every snapshot."""
    open_creates: set[str] = field(default_factory=set)
    """Ops, UNKNOWN."""
    open_deletes: dict[str, str] = field(default_factory=dict)
    """Snapshot by op, UNKNOWN."""
    flying: dict[str, tuple[str, str]] = field(default_factory=dict)
    """(action, snapshot) by op."""
    good: set[str] = field(default_factory=set)
    roots: dict[str, str] = field(default_factory=dict)
    op_roots: dict[str, str] = field(default_factory=dict)
    results: int = 0

    def __post_init__(self) -> None:
        self.random = stream(self.seed, "history")
        self.number = 0
        self.events.append(
            PlanEvent(run_id=self.run_id, preset="smoke", seed=self.seed, target="embedded", repo_path_prefix="/p", settings={"clients": 3})
        )
        self.events.extend(ClientJoined(client=f"c{index}", index=index) for index in range(3))

    def run(self, steps: int) -> History:
        moves = [self.invoke_create] * 4 + [self.invoke_delete] * 2 + [self.restore, self.write, self.noop, self.resolve, self.lose]
        moves += [self.finish] * 6
        for _ in range(steps):
            self.random.choice(moves)()
        return self

    def among(self, *states: str) -> str:
        found = sorted(snapshot for snapshot, state in self.states.items() if state in states)
        return self.random.choice(found) if found else ""

    def next_op(self) -> str:
        self.number += 1
        return f"{self.number}"

    def client(self) -> str:
        return f"c{self.random.randrange(3)}"

    def invoke(self, action: str, snapshot: str = "") -> str:
        op = self.next_op()
        self.events.append(Invoke(op=op, client=self.client(), action=action, index=self.number, mutates=True, snapshot=snapshot))
        self.flying[op] = (action, snapshot)
        return op

    def result(self, op: str, action: str, outcome: Outcome = Outcome.OK, **fields: object) -> None:
        error = None if outcome is Outcome.OK else ErrorInfo(cause="unreachable", message="?")
        self.results += 1
        self.events.append(
            Result(
                op=op,
                client=self.client(),
                action=action,
                outcome=outcome,
                error=error,
                service_s=self.random.random(),
                queue_s=self.random.random() / 10,
                bytes=self.random.randrange(1000),
                **fields,  # type: ignore[arg-type]  # a double, or fields by name
            )
        )

    def invoke_create(self) -> None:
        op = self.invoke(CREATE)
        if self.random.random() < 0.9:
            same = self.random.randrange(8)
            root = f"nr{same}" if self.random.random() < 0.3 else f"nroot{op}-{self.run_id}"
            shared = f"n{same % 5}"  # content-addressed: one root, one content
            self.events.append(Trees(op=op, root=root, nodes={root: shared.encode(), shared: b"leaf"}))
            self.op_roots[op] = root

    def invoke_delete(self) -> None:
        snapshot = self.among("live")
        if snapshot and sum(state == "live" for state in self.states.values()) > 1:
            self.invoke(DELETE, snapshot)
            self.states[snapshot] = "deleting"

    def finish(self) -> None:
        if not self.flying:
            return
        op = self.random.choice(sorted(self.flying))
        action, snapshot = self.flying.pop(op)
        outcome = self.random.choice([Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN])
        if action == CREATE:
            made = f"s{self.run_id}-{op}" if outcome is Outcome.OK else ""
            self.result(op, action, outcome, snapshot=made, root=self.op_roots.get(op, "") if made else "")
            self.create_is(op, outcome, made)
        else:
            self.result(op, action, outcome, snapshot=snapshot)
            if self.states[snapshot] == "deleting":
                self.states[snapshot] = {Outcome.OK: "deleted", Outcome.FAILED: "live", Outcome.UNKNOWN: "unknown"}[outcome]
            if outcome is Outcome.UNKNOWN:
                self.open_deletes[op] = snapshot

    def create_is(self, op: str, outcome: Outcome, snapshot: str) -> None:
        if outcome is Outcome.OK:
            self.states[snapshot] = "live"
            self.roots[snapshot] = self.op_roots.get(op, "")
        elif outcome is Outcome.UNKNOWN:
            self.open_creates.add(op)

    def resolve(self) -> None:
        happened = self.random.random() < 0.5
        outcome = Outcome.OK if happened else Outcome.FAILED
        if self.open_creates and self.random.random() < 0.5:
            op = self.random.choice(sorted(self.open_creates))
            self.open_creates.discard(op)
            snapshot = f"s{self.run_id}-{op}" if happened else ""
            self.events.append(Resolved(op=op, run_id=self.run_id, snapshot=snapshot, outcome=outcome, how="seen"))
            self.create_is(op, outcome, snapshot)
        elif self.open_deletes:
            op = self.random.choice(sorted(self.open_deletes))
            snapshot = self.open_deletes.pop(op)
            self.events.append(Resolved(op=op, run_id=self.run_id, snapshot=snapshot, outcome=outcome, how="seen"))
            self.states[snapshot] = "deleted" if happened else "live"

    def restore(self) -> None:
        snapshot = self.among("live", "lost")
        if snapshot:
            op = self.invoke(RESTORE, snapshot)
            del self.flying[op]
            equal = self.states[snapshot] == "live"
            self.result(op, RESTORE, snapshot=snapshot, equal=equal)
            if equal:
                self.good.add(snapshot)

    def write(self) -> None:
        op = self.invoke(WRITE)
        del self.flying[op]
        self.result(op, WRITE)

    def noop(self) -> None:
        self.result(self.next_op(), self.random.choice([CREATE, DELETE, RESTORE]), noop=True)

    def lose(self) -> None:
        snapshot = self.among("live")
        if snapshot and self.random.random() < 0.3:
            self.events.append(
                Finding(
                    id="f",
                    group=f"lost {self.number % 3}",
                    check="list",
                    verdict=Verdict.FAIL,
                    message="m",
                    damage="lost",
                    snapshot=snapshot,
                )
            )
            self.states[snapshot] = "lost"
