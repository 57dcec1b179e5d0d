"""What one record of a journal changes in the ledger. No files, no locks: used by the memory and by the database alike.

    create   Invoke -> in flight -> OK: live | FAILED: forgotten | UNKNOWN: open until Resolved (OK: live, FAILED: forgotten)
    delete   Invoke -> deleting  -> OK: deleted | FAILED: live | UNKNOWN: unknown until Resolved (OK: deleted, FAILED: live)

A run whose process is gone leaves what was in flight UNKNOWN. A finding whose damage is ``lost`` takes a live snapshot out of the live
ones for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from seatrial.config.model import ActionName
from seatrial.history.events import Finding, Invoke, Record, Resolved, Result, Trees
from seatrial.history.ledger_records import SnapshotRow
from seatrial.history.reconcile import LOST, OperationKey, UnknownOperation
from seatrial.history.view import SnapshotState
from seatrial.verdicts import Outcome

_CREATE, _DELETE = ActionName.SNAPSHOT.value, ActionName.DELETE_SNAPSHOT.value
_replace = msgspec.structs.replace


class Made(msgspec.Struct, frozen=True):
    """A snapshot exists."""

    row: SnapshotRow


class Moved(msgspec.Struct, frozen=True):
    """A snapshot enters ``state``, unless it is in none of ``allowed``."""

    snapshot: str
    state: SnapshotState
    allowed: frozenset[SnapshotState]
    at_ns: int


class Good(msgspec.Struct, frozen=True):
    """A snapshot was restored and found equal."""

    snapshot: str
    at_ns: int


class Opened(msgspec.Struct, frozen=True):
    """An operation is under way (``ended_ns`` 0) or has become UNKNOWN."""

    operation: UnknownOperation


class Closed(msgspec.Struct, frozen=True):
    """An operation has a certain outcome."""

    key: OperationKey


class Nodes(msgspec.Struct, frozen=True):
    """Fingerprint nodes to keep."""

    nodes: Mapping[str, bytes]


class Referred(msgspec.Struct, frozen=True):
    """The root node ``root`` has ``by`` more operations or snapshots that need it."""

    root: str
    by: int


Change = Made | Moved | Good | Opened | Closed | Nodes | Referred

_FROM_LIVE: frozenset[SnapshotState] = frozenset({"live"})
_FROM_DELETING: frozenset[SnapshotState] = frozenset({"deleting"})
_FROM_OPEN: frozenset[SnapshotState] = frozenset({"deleting", "unknown"})
_FROM_ANY: frozenset[SnapshotState] = frozenset({"live", "deleting", "unknown", "lost"})


class Changes:
    """Keeps the open operations of all runs and says what each record changes. Threading: one owner."""

    def __init__(self, operations: Iterable[UnknownOperation] = ()) -> None:
        self.operations: dict[OperationKey, UnknownOperation] = {operation.key: operation for operation in operations}
        """In flight (``ended_ns`` 0) or UNKNOWN."""
        self._steps: dict[type, Callable[[str, Any, int], list[Change]]] = {
            Invoke: self._invoke,
            Trees: self._trees,
            Result: self._result,
            Resolved: self._resolved,
            Finding: self._finding,
        }

    def step(self, run_id: str, record: Record) -> list[Change]:
        """The changes of one record, in order."""
        step = self._steps.get(type(record.event))
        return step(run_id, record.event, record.at_ns) if step else []

    def run_is_over(self, run_id: str, at_ns: int) -> list[Change]:
        """Nobody of this run acts any more: what was in flight is UNKNOWN now."""
        changes: list[Change] = []
        for operation in list(self.operations.values()):
            if operation.run_id == run_id and not operation.ended_ns:
                changes.append(self._open(_replace(operation, ended_ns=at_ns)))
                if operation.kind == "delete":
                    changes.append(Moved(operation.snapshot, "unknown", _FROM_DELETING, at_ns))
        return changes

    def _invoke(self, run_id: str, event: Invoke, at_ns: int) -> list[Change]:
        if event.action == _CREATE:
            return [self._open(UnknownOperation(run_id=run_id, op=event.op, client=event.client, kind="create", invoked_ns=at_ns))]
        if event.action == _DELETE and event.snapshot:
            operation = UnknownOperation(
                run_id=run_id, op=event.op, client=event.client, kind="delete", snapshot=event.snapshot, invoked_ns=at_ns
            )
            return [self._open(operation), Moved(event.snapshot, "deleting", _FROM_LIVE, at_ns)]
        return []

    def _trees(self, run_id: str, event: Trees, at_ns: int) -> list[Change]:
        changes: list[Change] = [Nodes(event.nodes)] if event.nodes else []
        operation = self.operations.get((run_id, event.op))
        if operation is not None and operation.root != event.root:
            changes += _moved_reference(operation.root, event.root)
            changes.append(self._open(_replace(operation, root=event.root)))
        return changes

    def _result(self, run_id: str, event: Result, at_ns: int) -> list[Change]:
        if event.action == _CREATE:
            return self._create_returned(run_id, event, at_ns)
        if event.action == _DELETE:
            return self._delete_returned(run_id, event, at_ns)
        return [Good(event.snapshot, at_ns)] if event.equal and event.snapshot else []

    def _create_returned(self, run_id: str, event: Result, at_ns: int) -> list[Change]:
        operation = self.operations.get((run_id, event.op))
        if operation is None:
            if event.noop or event.outcome is Outcome.FAILED:
                return []
            operation = UnknownOperation(run_id=run_id, op=event.op, client=event.client, kind="create", invoked_ns=at_ns)
        if event.outcome is Outcome.UNKNOWN:
            return [self._open(_replace(operation, ended_ns=at_ns, snapshot=event.snapshot))]
        if event.outcome is Outcome.OK and event.snapshot and not event.noop:
            return self._make(operation, event.snapshot, event.root or operation.root, at_ns)
        return self._drop(operation)

    def _delete_returned(self, run_id: str, event: Result, at_ns: int) -> list[Change]:
        operation = self.operations.get((run_id, event.op))
        if operation is None:
            return []  # a no-op, which has no invoke
        if event.outcome is Outcome.UNKNOWN:
            return [self._open(_replace(operation, ended_ns=at_ns)), Moved(operation.snapshot, "unknown", _FROM_DELETING, at_ns)]
        if event.outcome is Outcome.OK and not event.noop:
            return [self._close(operation), Moved(operation.snapshot, "deleted", _FROM_ANY, at_ns)]
        return [self._close(operation), Moved(operation.snapshot, "live", _FROM_DELETING, at_ns)]

    def _resolved(self, run_id: str, event: Resolved, at_ns: int) -> list[Change]:
        """Two listings may resolve the same operation; the second finds it closed."""
        operation = self.operations.get((event.run_id, event.op))
        if operation is None or event.outcome is Outcome.UNKNOWN:
            return []
        happened = event.outcome is Outcome.OK
        if operation.kind == "create":
            return self._make(operation, event.snapshot, operation.root, at_ns) if happened and event.snapshot else self._drop(operation)
        return [self._close(operation), Moved(operation.snapshot, "deleted" if happened else "live", _FROM_OPEN, at_ns)]

    def _finding(self, run_id: str, event: Finding, at_ns: int) -> list[Change]:
        return [Moved(event.snapshot, "lost", _FROM_LIVE, at_ns)] if event.damage == LOST and event.snapshot else []

    def _make(self, operation: UnknownOperation, snapshot: str, root: str, at_ns: int) -> list[Change]:
        row = SnapshotRow(
            id=snapshot,
            run_id=operation.run_id,
            op=operation.op,
            owner=operation.client,
            root=root,
            state="live",
            created_start_ns=operation.invoked_ns,
            created_end_ns=at_ns,
        )
        return [self._close(operation), *_moved_reference(operation.root, root), Made(row)]

    def _drop(self, operation: UnknownOperation) -> list[Change]:
        return [self._close(operation), *_moved_reference(operation.root, "")]

    def _open(self, operation: UnknownOperation) -> Opened:
        self.operations[operation.key] = operation
        return Opened(operation)

    def _close(self, operation: UnknownOperation) -> Closed:
        self.operations.pop(operation.key, None)
        return Closed(operation.key)


def _moved_reference(old: str, new: str) -> list[Change]:
    """First the new one, so that what both hold is never without any."""
    changes: list[Change] = []
    if old != new:
        changes += [Referred(new, 1)] if new else []
        changes += [Referred(old, -1)] if old else []
    return changes
