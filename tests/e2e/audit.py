"""What the journals of a prefix say must be there, found without the ledger: an oracle for whoever has killed runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.checker.nodes import child_ids
from seatrial.config.model import ActionName
from seatrial.harness.prefix import Prefix
from seatrial.history.events import Event, Finding, Invoke, Phase, Resolved, Result
from seatrial.history.ledger import Ledger
from seatrial.history.reader import read_journal
from seatrial.history.segments import segment_numbers
from seatrial.verdicts import Outcome

CREATE, DELETE, RESTORE = ActionName.SNAPSHOT.value, ActionName.DELETE_SNAPSHOT.value, ActionName.RESTORE.value


@dataclass(slots=True)
class Told:
    """What the runs of one prefix were told by the server. Owner: the test."""

    acknowledged: set[str] = field(default_factory=set)
    """Creates that returned OK."""
    deleted: set[str] = field(default_factory=set)
    """Whose delete was begun, and is not known to have failed."""
    unknown: set[str] = field(default_factory=set)
    """Operations (run/op) that changed something and never had a certain outcome."""

    @classmethod
    def by(cls, runs: Iterable[Path]) -> Told:
        """Read all journals, each from its first line."""
        told = cls()
        for run in runs:
            if segment_numbers(run):
                for record in read_journal(run):
                    told._take(run.name, record.event)
        return told

    @property
    def must_live(self) -> set[str]:
        """Acknowledged, and never taken back."""
        return self.acknowledged - self.deleted

    def _take(self, run_id: str, event: Event) -> None:
        if isinstance(event, Invoke) and event.action in (CREATE, DELETE):
            self.unknown.add(f"{run_id}/{event.op}")
            if event.action == DELETE:
                self.deleted.add(event.snapshot)
        elif isinstance(event, Result) and event.action in (CREATE, DELETE) and event.outcome is not Outcome.UNKNOWN:
            self._settle(f"{run_id}/{event.op}", event.action == DELETE, event.snapshot, event.outcome, noop=event.noop)
        elif isinstance(event, Resolved):
            self._settle(f"{event.run_id}/{event.op}", event.snapshot in self.deleted, event.snapshot, event.outcome, noop=False)

    def _settle(self, operation: str, was_delete: bool, snapshot: str, outcome: Outcome, *, noop: bool) -> None:
        self.unknown.discard(operation)
        if was_delete and outcome is Outcome.FAILED:
            self.deleted.discard(snapshot)
        elif not was_delete and outcome is Outcome.OK and snapshot and not noop:
            self.acknowledged.add(snapshot)


def what_is_wrong(runs: list[Path], prefix: Path) -> list[str]:
    """Of the last of ``runs``, which has verified: what it has not done of all that a run after a kill must do. Empty when all is well."""
    events = [record.event for record in read_journal(runs[-1])]
    restored, roots = _verified(events)
    told = Told.by(runs)
    place = Prefix(path=prefix)
    wrong = [f"a finding: {event.check}/{event.damage} {event.message}" for event in events if isinstance(event, Finding)]
    wrong += [f"still UNKNOWN: {operation}" for operation in sorted(told.unknown)]
    ledger = Ledger(place.metadata, child_ids)
    try:
        live = set(ledger.live())
        wrong += [f"open in the ledger: {operation.run_id}/{operation.op}" for operation in ledger.unknown_operations()]
        wrong += [f"a journal was not read: {problem.what}" for problem in ledger.problems]
        for snapshot in sorted(told.must_live):
            row = ledger.snapshot(snapshot)
            if snapshot not in live or row is None:
                wrong.append(f"acknowledged, but not live: {snapshot}")
            elif snapshot not in restored and row.root not in roots:
                wrong.append(f"acknowledged, but not verified: {snapshot}")
    finally:
        ledger.close()
    stored = {path.name for path in (place.data / "snapshots").iterdir()}
    wrong += [f"stored, but not live: {snapshot}" for snapshot in sorted(stored - live)]
    wrong += [f"live, but not stored: {snapshot}" for snapshot in sorted(live - stored)]
    wrong += [f"left in the repository: {path}" for path in place.data.rglob(".upload-*")]
    wrong += [f"a lock was left: {path.name}" for path in (place.data / "locks").iterdir()]
    return wrong


def _verified(events: Iterable[Event]) -> tuple[set[str], set[str]]:
    """Snapshots that the verify phase restored and found equal, and their roots."""
    restored: set[str] = set()
    roots: set[str] = set()
    verifying = False
    for event in events:
        if isinstance(event, Phase) and event.name == "verify":
            verifying = event.state == "begin"
        elif verifying and isinstance(event, Result) and event.action == RESTORE and event.equal:
            restored.add(event.snapshot)
            roots.add(event.root)
    return restored, roots
