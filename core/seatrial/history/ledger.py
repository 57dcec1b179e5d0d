"""The ledger: every snapshot known under a prefix, its state and its fingerprint.

The journals are the truth, ``ledger.sqlite`` a projection of them that can be deleted at any time. What an append has changed is
seen at once: states in ``live.py``, rows and nodes in ``recent.py``, both fed by the journal on the appending thread. A writer thread
follows the journal's files and brings the database up to them, in batches; opening a ledger does the same for the runs that were
killed. SQLite never arbitrates.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.clock import SYSTEM_CLOCK, Clock, stamp
from seatrial.errors import HarnessError, SeatrialError, UsageError
from seatrial.history.catalogue import FILE_NAME, add_to_catalogue, read_catalogue
from seatrial.history.changes import Changes
from seatrial.history.events import Record
from seatrial.history.journal import Journal
from seatrial.history.ledger_records import Children, Cumulative, LedgerProblem, SnapshotRow
from seatrial.history.live import Listing, LiveSet
from seatrial.history.locks import hold, let_go
from seatrial.history.projection import Projection, Run
from seatrial.history.reader import JournalFollower, JournalGap
from seatrial.history.recent import Recent
from seatrial.history.reconcile import Known, Reconciliation, UnknownOperation, reconcile
from seatrial.history.segments import segment_numbers
from seatrial.history.view import SnapshotState

__all__ = ["Children", "Cumulative", "Ledger", "LedgerProblem", "Listing", "SnapshotRow"]

BATCH = 500
"""Records of one transaction while others may want to read."""
POLL_S = 0.2
RETRY_S = 1.0
LAG_LIMIT_S = 30.0
"""How long an append waits for a database that is too far behind before it gives up."""
GARBAGE_PER_OPEN = 50_000
_DATABASE, _LOCK = "ledger.sqlite", "ledger.lock"


class Ledger:
    """All snapshots under one prefix.

    Threading: any thread. ``_lock`` guards the open operations and makes each record one step for all that is in memory: without it, a
    listing judged between two of them would see a create that is neither in flight nor live. ``LiveSet`` and ``Recent`` guard
    themselves. The database is written by the constructor, then by the writer thread only. One process at a time has a prefix's
    ledger (a file lock).
    """

    def __init__(self, directory: Path, children: Children, clock: Clock = SYSTEM_CLOCK) -> None:
        """Open ``<prefix>/robustness-metadata``, make it where there is none, and catch up on the journals of all registered runs.

        ``children`` gives the ids that a fingerprint node names. Raises ``UsageError`` (in use, of another version, no permission) and
        ``HarnessError`` (the disk fails). What cannot be caught up on is in ``problems``.
        """
        self._directory, self._children, self._clock = directory, children, clock
        self.problems: list[LedgerProblem] = []
        self._lock = threading.Lock()
        self._run_id = ""
        self._journal: Journal | None = None
        self._writer: threading.Thread | None = None
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._failure = ""
        self._closed = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock_fd = _lock(directory / _LOCK)
        except PermissionError as error:
            raise UsageError("no permission", where=str(directory), remedy="choose another --repo-path-prefix") from error
        try:
            self._projection = self._open()
            self._live = LiveSet(self._projection.states_but_deleted())
            self._changes = Changes(self._projection.operations())
            self._recent = Recent()
            self._runs = {run.id for run in self._projection.runs()}
        except (sqlite3.Error, OSError) as error:
            let_go(self._lock_fd)
            raise HarnessError(
                f"the ledger cannot be opened: {error}",
                where=str(directory),
                remedy="its files must be yours to read and to write, and the disk not full; or choose another --repo-path-prefix",
            ) from error
        except BaseException:
            let_go(self._lock_fd)
            raise

    # -- opening

    def _open(self) -> Projection:
        """A database that is damaged is put aside and made again out of the journals."""
        path = self._directory / _DATABASE
        try:
            return self._caught_up(path)
        except sqlite3.OperationalError:
            raise  # the disk, not the content
        except sqlite3.DatabaseError:
            aside = f"damaged-{stamp(self._clock.now_ns())}"
            for suffix in ("", "-wal", "-shm"):
                damaged = path.with_name(path.name + suffix)
                if damaged.exists():
                    damaged.rename(path.with_name(f"{aside}-{path.name}{suffix}"))
            self.problems.clear()
            return self._caught_up(path)

    def _caught_up(self, path: Path) -> Projection:
        projection = Projection(path, self._children)
        try:
            listed = read_catalogue(self._directory)
            for run_id, run_directory in listed.items():
                projection.register(run_id, run_directory)
            for run in projection.runs():
                if not run.closed:
                    self._catch_up(projection, run, given_up=run.id not in listed)
            projection.collect_garbage(GARBAGE_PER_OPEN)
        except BaseException:
            projection.close()
            raise
        return projection

    def _catch_up(self, projection: Projection, run: Run, *, given_up: bool) -> None:
        """Apply what a run has written since; its process is gone, since we hold the lock."""
        problem = "" if given_up else self._apply_journal(projection, run)
        if problem:
            self.problems.append(
                LedgerProblem(
                    run_id=run.id,
                    where=str(run.directory),
                    what=f"run {run.id} has written under this prefix, and not all of it can be read: {problem}",
                    remedy=f"put its directory back whole, or give the run up by deleting its line in {self._directory / FILE_NAME}",
                )
            )
        projection.run_is_over(run.id, self._clock.now_ns(), closed=not problem)

    def _apply_journal(self, projection: Projection, run: Run) -> str:
        """What is wrong with the journal; empty when all of it is applied."""
        if not segment_numbers(run.directory):
            return "" if run.directory.is_dir() and not run.applied_seq else "its journal is not there"
        gaps: list[JournalGap] = []

        def remember(gap: JournalGap) -> None:
            if not gaps:
                gaps.append(gap)

        try:
            with JournalFollower(run.directory, remember) as follower:
                while records := follower.poll():
                    projection.apply(run.id, [record for record in records if record.seq > run.applied_seq])
        except (SeatrialError, OSError) as error:
            return str(error)
        return str(gaps[0]) if gaps else ""

    # -- one run at a time writes

    def attach(self, run_id: str, journal: Journal) -> None:
        """Register the run and follow its journal; once, before anything is appended to it."""
        if journal.last_seq or self._journal is not None:
            raise HarnessError("a ledger follows one journal, from its first event", where=str(self._directory))
        self._projection.register(run_id, journal.directory)
        add_to_catalogue(self._directory, run_id, journal.directory)
        self._run_id, self._journal = run_id, journal
        self._runs.add(run_id)
        journal.subscribe(self._observe)
        writer = threading.Thread(target=self._write, name="ledger-writer")
        writer.start()
        self._writer = writer  # one that could not be started is not waited for

    def _observe(self, record: Record) -> None:
        """On the appending thread: all that must be seen at once."""
        with self._lock:
            changes = self._changes.step(self._run_id, record)
            if changes:
                self._recent.add(record.seq, changes)
                self._live.apply(changes)
        if self._recent.full:
            self._wake.set()
            if not self._recent.wait_for_room(LAG_LIMIT_S):
                raise HarnessError(
                    f"the ledger is too far behind its journal: {self._failure or 'the disk is too slow'}",
                    where=str(self._directory),
                    remedy="make room on this disk; the next run catches up on the journal",
                )

    def _write(self) -> None:
        """The writer thread: bring the database up to the journal until told to stop, then once more."""
        follower, applied = self._follow(0)
        while True:
            stopping = self._stopping.is_set()
            try:
                while records := follower.poll(BATCH):
                    fresh = [record for record in records if record.seq > applied]
                    if not fresh:
                        continue
                    self._projection.apply(self._run_id, fresh)
                    applied = fresh[-1].seq
                    self._failure = ""
                    self._recent.applied(applied)
            except (sqlite3.Error, SeatrialError, OSError) as error:
                self._failure = str(error)
                follower.close()
                follower, applied = self._follow(applied)
                self._recover()
                if stopping:
                    break
                self._stopping.wait(RETRY_S)
                continue
            if stopping:
                break
            self._wake.wait(POLL_S)
            self._wake.clear()
        follower.close()

    def _follow(self, applied: int) -> tuple[JournalFollower, int]:
        if self._journal is None:
            raise HarnessError("no journal is attached")
        return JournalFollower(self._journal.directory), applied

    def _recover(self) -> None:
        """After a batch that failed, memory may be ahead of the database."""
        try:
            self._projection.reload()
        except sqlite3.Error as error:
            self._failure = str(error)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything appended so far is in the database; False when it is not there in time."""
        if self._journal is None:
            return True
        self._wake.set()
        return self._recent.wait_applied(self._journal.last_seq, timeout_s)

    def close(self) -> None:
        """Bring the database up to the journal, stop the writer, give back the prefix. Idempotent.

        Where the database cannot be written the journal still holds everything: the next opening catches up.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._writer is not None:
                self._stopping.set()
                self._wake.set()
                self._writer.join()
                self._end_run()
        finally:
            self._projection.close()
            let_go(self._lock_fd)

    def _end_run(self) -> None:
        if self._journal is None or self._failure or not self._recent.wait_applied(self._journal.last_seq, 0):
            return
        try:
            self._projection.run_is_over(self._run_id, self._clock.now_ns(), closed=True)
        except sqlite3.Error as error:
            self._failure = str(error)

    # -- drawing

    def pick(self, draw: int) -> str | None:
        """``draw mod len(sorted live)``; None when nothing is live."""
        return self._live.pick(draw)

    @contextmanager
    def pinned(self, draw: int, snapshot_id: str = "") -> Iterator[SnapshotRow]:
        """Draw a live snapshot, or take the one named, and keep it from being deleted meanwhile. ``NoOp`` without a live one."""
        chosen = self._live.pin(draw, snapshot_id)
        try:
            yield self._row(chosen)
        finally:
            self._live.unpin(chosen)

    def take_for_delete(self, draw: int, snapshot_id: str = "") -> SnapshotRow:
        """Take a live snapshot out of the live ones: the drawn one, or the next that is not pinned, or the one named.

        ``NoOp`` when there is none to take: never the last live one, never one that is being restored or that somebody else took.
        The invoke of the delete must follow, or ``put_back``; the delete's result decides what becomes of it.
        """
        chosen = self._live.take(draw, snapshot_id)
        try:
            return self._row(chosen)
        except BaseException:
            self._live.put_back(chosen)
            raise

    def put_back(self, snapshot_id: str) -> None:
        """Undo ``take_for_delete`` where no invoke was written; nothing for any other snapshot."""
        self._live.put_back(snapshot_id)

    def _row(self, snapshot_id: str) -> SnapshotRow:
        row = self.snapshot(snapshot_id)
        if row is None:
            raise HarnessError(
                "a live snapshot has no row in the ledger", where=snapshot_id, remedy="delete ledger.sqlite: it is made again"
            )
        return row

    # -- looking

    @property
    def live_count(self) -> int:
        """How many can be drawn."""
        return len(self._live)

    def live(self) -> list[str]:
        """All ids that can be drawn, sorted."""
        return self._live.ids()

    def state(self, snapshot_id: str) -> SnapshotState | None:
        """None for an id that was never ours."""
        state = self._live.state(snapshot_id)
        if state is None:
            row = self.snapshot(snapshot_id)
            state = row.state if row else None
        return state

    def snapshot(self, snapshot_id: str) -> SnapshotRow | None:
        """One snapshot; None for an id that was never ours."""
        recent = self._recent.of(snapshot_id)  # before the database: what leaves it has arrived there
        row = recent.row if recent and recent.row else self._projection.snapshot(snapshot_id)
        return recent.on(row) if recent and row else row

    def node(self, node_id: str) -> bytes | None:
        """One fingerprint node; None for an unknown one."""
        node = self._recent.node(node_id)
        return self._projection.node(node_id) if node is None else node

    def missing_nodes(self, node_ids: Iterable[str]) -> set[str]:
        """Those that are not stored yet: what ``Trees`` has to carry. The others stay stored as long as this ledger is open."""
        unknown = {node for node in node_ids if self._recent.node(node) is None}
        return unknown - self._projection.known_nodes(unknown) if unknown else unknown

    def unknown_operations(self) -> list[UnknownOperation]:
        """Creates and deletes, of all runs, that may have happened; those in flight are not among them."""
        return [operation for operation in self._operations() if operation.ended_ns]

    def cumulative(self) -> Cumulative:
        """Statistics over all runs as far as they are in the database; ``flush`` first for all."""
        return self._projection.cumulative()

    def _operations(self) -> list[UnknownOperation]:
        with self._lock:
            return list(self._changes.operations.values())

    # -- listings

    def begin_listing(self) -> Listing:
        """Before the first request of a listing; ``reconcile`` or ``abandon`` ends it."""
        return self._live.begin_listing()

    def abandon(self, listing: Listing) -> None:
        """The listing failed: it says nothing."""
        self._live.end_listing(listing)

    def reconcile(
        self, listing: Listing, listed: Iterable[tuple[str, str]], *, complete: bool = True, settled: bool = False
    ) -> Reconciliation:
        """Hold (id, tag value) rows against the ledger; ``history/reconcile.py`` says what ``complete`` and ``settled`` promise.

        Changes nothing: append the resolutions and the findings.
        """
        rows = list(listed)
        # In this order, and while changes are still collected: what changes between two of the looks is then in ``changed``.
        operations = self._operations()
        states = self._states_of(snapshot for snapshot, _ in rows)
        live = set(self._live.end_listing(listing))
        known = Known(
            live=live,
            states=states,
            unknown=[operation for operation in operations if operation.ended_ns],
            in_flight={operation.key for operation in operations if not operation.ended_ns},
            runs=self._runs,
            changed=listing.changed,
        )
        return reconcile(rows, known, complete=complete, settled=settled)

    def _states_of(self, snapshot_ids: Iterable[str]) -> dict[str, SnapshotState]:
        """Of those that are not live: a listing is long, and nearly all of it is."""
        others = set(snapshot_ids).difference(self._live.ids())
        # What is recent before the database: what leaves the one between the two looks is in the other by then.
        recents = {snapshot: self._recent.of(snapshot) for snapshot in others}
        states = self._projection.states(others)
        for snapshot, recent in recents.items():
            state = self._live.state(snapshot) or (recent.state(states.get(snapshot)) if recent else None)
            if state is not None:
                states[snapshot] = state
        return states


def _lock(path: Path) -> int:
    fd = hold(path)
    if fd is None:
        raise UsageError(
            "another process works under this prefix", where=str(path.parent), remedy="wait for it, or choose another --repo-path-prefix"
        )
    return fd
