"""The ledger's database: a projection of journals, applied batch by batch together with (run, seq). It decides nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from seatrial.errors import UsageError
from seatrial.history.changes import Change, Changes, Closed, Good, Made, Moved, Nodes, Opened, Referred
from seatrial.history.events import ActionTotals, Record, Result
from seatrial.history.ledger_records import Children, Cumulative, SnapshotRow, Totals
from seatrial.history.reconcile import OperationKey, UnknownOperation
from seatrial.history.view import SnapshotState

SCHEMA_VERSION = 1
_CACHE_KIB = 64 << 10
_VARIABLES = 500
"""Of one statement: far below SQLite's own limit."""
_SCHEMA = """
CREATE TABLE run (id TEXT PRIMARY KEY, directory TEXT NOT NULL, applied_seq INTEGER NOT NULL, closed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshot (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, op TEXT NOT NULL, owner TEXT NOT NULL, root TEXT NOT NULL, state TEXT NOT NULL,
    created_start_ns INTEGER NOT NULL, created_end_ns INTEGER NOT NULL, deleted_ns INTEGER NOT NULL, last_good_ns INTEGER NOT NULL
);
CREATE TABLE operation (run TEXT NOT NULL, op TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, op)) WITHOUT ROWID;
CREATE TABLE node (id TEXT PRIMARY KEY, data BLOB, refs INTEGER NOT NULL);
CREATE TABLE garbage (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE statistics (action TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "id, run, op, owner, root, state, created_start_ns, created_end_ns, deleted_ns, last_good_ns"
_decode_operation = msgspec.json.Decoder(UnknownOperation).decode
_decode_totals = msgspec.json.Decoder(ActionTotals).decode


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run that has written under the prefix."""

    id: str
    directory: Path
    applied_seq: int
    closed: bool
    """All of it is applied, and nobody will add to it."""


class Projection:
    """One SQLite connection.

    Threading: any thread; one lock guards the connection and is held for one query or one batch. One caller at a time applies.
    Everything raises ``sqlite3.Error``; a batch that does so has left nothing behind in the database, but is to be
    followed by ``reload`` before the next one.
    """

    def __init__(self, path: Path, children: Children) -> None:
        """Open or make the database. ``UsageError`` for one of another version."""
        self._path, self._children = path, children
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
            self.reload()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in {0, SCHEMA_VERSION}:
            raise UsageError(
                f"the ledger has version {version}; this seatrial reads {SCHEMA_VERSION}",
                where=str(self._path),
                remedy="use the version of seatrial that made it, or delete it: it is made again out of the journals",
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def reload(self) -> None:
        """Take what is kept in memory from the database again."""
        with self._lock:
            self._changes = Changes(_decode_operation(data) for (data,) in self._db.execute("SELECT data FROM operation"))
            rows = self._db.execute("SELECT action, data FROM statistics")
            self._totals = {action: Totals(_decode_totals(data)) for action, data in rows}

    def close(self) -> None:
        """Give the connection back; idempotent."""
        with self._lock:
            self._db.close()

    # -- runs

    def register(self, run_id: str, directory: Path) -> None:
        """Know a run; a known one stays as it is."""
        with self._lock:
            self._db.execute("INSERT OR IGNORE INTO run VALUES (?, ?, 0, 0)", (run_id, str(directory)))

    def runs(self) -> list[Run]:
        """All runs, by id."""
        with self._lock:
            rows = self._db.execute("SELECT id, directory, applied_seq, closed FROM run ORDER BY id").fetchall()
        return [Run(id=run, directory=Path(directory), applied_seq=seq, closed=bool(closed)) for run, directory, seq, closed in rows]

    # -- writing

    def apply(self, run_id: str, records: Sequence[Record]) -> None:
        """Apply the next records of a run in one transaction."""
        if not records:
            return
        batch = _Batch()
        touched: set[str] = set()
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for record in records:
                if isinstance(record.event, Result):
                    self._count(record.event)
                    touched.add(record.event.action)
                for change in self._changes.step(run_id, record):
                    self._write(change, batch)
            self._finish(batch, touched)
            self._db.execute("UPDATE run SET applied_seq = ? WHERE id = ?", (records[-1].seq, run_id))

    def run_is_over(self, run_id: str, at_ns: int, *, closed: bool) -> None:
        """Its process is gone: what was in flight is UNKNOWN. ``closed``: there is nothing left to apply either."""
        batch = _Batch()
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for change in self._changes.run_is_over(run_id, at_ns):
                self._write(change, batch)
            self._finish(batch, ())
            self._db.execute("UPDATE run SET closed = ? WHERE id = ?", (int(closed), run_id))

    def collect_garbage(self, limit: int) -> int:
        """Delete at most ``limit`` nodes that nothing refers to; the rest is for the next time. Returns how many were deleted.

        Not while creates are under way: what ``missing_nodes`` has promised to a checker must stay.
        """
        batch = _Batch()
        done = 0
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            while done < limit:
                found = self._db.execute("SELECT id FROM garbage LIMIT ?", (min(_VARIABLES, limit - done),)).fetchall()
                if not found:
                    break
                for (node,) in found:
                    self._db.execute("DELETE FROM garbage WHERE id = ?", (node,))
                    done += self._collect(node, batch)
        return done

    def _collect(self, node: str, batch: _Batch) -> int:
        gone = self._db.execute("DELETE FROM node WHERE id = ? AND refs <= 0 RETURNING data", (node,)).fetchall()
        for (data,) in gone:
            for child in self._children(data) if data is not None else ():
                self._refer(child, -1)
        return len(gone)

    def _count(self, result: Result) -> None:
        totals = self._totals.get(result.action)
        if totals is None:
            totals = self._totals[result.action] = Totals(ActionTotals(action=result.action))
        totals.add(result)

    def _write(self, change: Change, batch: _Batch) -> None:
        if isinstance(change, Opened):
            batch.operations[change.operation.key] = change.operation
        elif isinstance(change, Closed):
            batch.operations[change.key] = None
        elif isinstance(change, Made):
            self._make(change.row)
        elif isinstance(change, Moved):
            self._move(change)
        elif isinstance(change, Good):
            self._db.execute("UPDATE snapshot SET last_good_ns = max(last_good_ns, ?) WHERE id = ?", (change.at_ns, change.snapshot))
        elif isinstance(change, Nodes):
            for node, data in change.nodes.items():
                self._store(node, data)
        elif isinstance(change, Referred):
            self._refer(change.root, change.by)

    def _make(self, row: SnapshotRow) -> None:
        self._db.execute(
            "INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
            msgspec.structs.astuple(row),
        )

    def _move(self, change: Moved) -> None:
        marks = ", ".join("?" * len(change.allowed))
        deleted_ns = change.at_ns if change.state == "deleted" else 0
        rows = self._db.execute(
            f"UPDATE snapshot SET state = ?, deleted_ns = ? WHERE id = ? AND state IN ({marks}) RETURNING root",  # noqa: S608  (marks only)
            (change.state, deleted_ns, change.snapshot, *sorted(change.allowed)),
        ).fetchall()
        for (root,) in rows:
            if change.state == "deleted" and root:
                self._refer(root, -1)

    def _store(self, node: str, data: bytes) -> None:
        stored = self._db.execute(
            "INSERT INTO node VALUES (?, ?, 0) ON CONFLICT (id) DO UPDATE SET data = excluded.data WHERE node.data IS NULL", (node, data)
        )
        if stored.rowcount:
            for child in self._children(data):
                self._refer(child, 1)

    def _refer(self, node: str, by: int) -> None:
        rows = self._db.execute(
            "INSERT INTO node VALUES (?, NULL, ?) ON CONFLICT (id) DO UPDATE SET refs = refs + excluded.refs RETURNING refs", (node, by)
        ).fetchall()
        if rows[0][0] <= 0:
            self._db.execute("INSERT OR IGNORE INTO garbage VALUES (?)", (node,))

    def _finish(self, batch: _Batch, actions: Iterable[str]) -> None:
        """What several records of a batch have changed is written once."""
        for (run_id, op), operation in batch.operations.items():
            if operation is None:
                self._db.execute("DELETE FROM operation WHERE run = ? AND op = ?", (run_id, op))
            else:
                self._db.execute("INSERT OR REPLACE INTO operation VALUES (?, ?, ?)", (run_id, op, msgspec.json.encode(operation)))
        for action in actions:
            data = msgspec.json.encode(self._totals[action].freeze())
            self._db.execute("INSERT OR REPLACE INTO statistics VALUES (?, ?)", (action, data))

    # -- reading

    def snapshot(self, snapshot_id: str) -> SnapshotRow | None:
        """One row."""
        rows = self._query(f"SELECT {_COLUMNS} FROM snapshot WHERE id = ?", (snapshot_id,))  # noqa: S608  (a constant)
        return SnapshotRow(**dict(zip(SnapshotRow.__struct_fields__, rows[0], strict=True))) if rows else None

    def states_but_deleted(self) -> list[tuple[str, SnapshotState]]:
        """(id, state) of every snapshot that is not deleted."""
        return self._query("SELECT id, state FROM snapshot WHERE state <> 'deleted'", ())

    def states(self, snapshot_ids: Iterable[str]) -> dict[str, SnapshotState]:
        """The states of those that are known."""
        return dict(self._select_in("SELECT id, state FROM snapshot WHERE id IN", snapshot_ids))

    def operations(self) -> list[UnknownOperation]:
        """In flight or UNKNOWN, of all runs."""
        return [_decode_operation(data) for (data,) in self._query("SELECT data FROM operation ORDER BY run, op", ())]

    def node(self, node_id: str) -> bytes | None:
        """One node."""
        rows = self._query("SELECT data FROM node WHERE id = ?", (node_id,))
        return rows[0][0] if rows else None

    def known_nodes(self, node_ids: Iterable[str]) -> set[str]:
        """Those of them that are stored."""
        return {node for (node,) in self._select_in("SELECT id FROM node WHERE data IS NOT NULL AND id IN", node_ids)}

    def cumulative(self) -> Cumulative:
        """As far as it is applied."""
        ((runs,),) = self._query("SELECT count(*) FROM run", ())
        rows = self._query("SELECT data FROM statistics ORDER BY action", ())
        return Cumulative(runs=runs, actions=tuple(_decode_totals(data) for (data,) in rows))

    def _query(self, statement: str, parameters: Sequence[object]) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, parameters).fetchall()

    def _select_in(self, statement: str, values: Iterable[str]) -> list[Any]:
        """In portions, so that a long list neither meets SQLite's limit nor keeps the writer waiting."""
        ordered = list(values)
        rows: list[Any] = []
        for start in range(0, len(ordered), _VARIABLES):
            portion = ordered[start : start + _VARIABLES]
            rows += self._query(f"{statement} ({', '.join('?' * len(portion))})", portion)
        return rows


class _Batch:
    """What is written at the end of a transaction."""

    __slots__ = ("operations",)

    def __init__(self) -> None:
        self.operations: dict[OperationKey, UnknownOperation | None] = {}
