"""Journal and fold in events per second; the ledger at a thousand and at a million snapshots."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from statistics import median

from seatrial.config.model import ActionName
from seatrial.history.events import Invoke, Result
from seatrial.history.fold import RunFold
from seatrial.history.journal import Journal, read_journal
from seatrial.history.ledger import Ledger
from seatrial.history.projection import Projection
from seatrial.verdicts import Outcome
from tests.bench.harness import Row, at_least, at_most, median_s, seconds

EVENTS = 40_000
THREADS = 4
REPEATS = 5
FEW, MANY = 1_000, 1_000_000
OPERATIONS = 500
_CREATE, _DELETE = ActionName.SNAPSHOT.value, ActionName.DELETE_SNAPSHOT.value


def run() -> list[Row]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as place:
        return [*_journal(Path(place)), *_ledger(Path(place))]


def _journal(place: Path) -> list[Row]:
    count = iter(range(10**6))

    def fresh() -> Path:
        directory = place / f"journal-{next(count)}"
        directory.mkdir()
        return directory

    alone = [_append(fresh(), RunFold()) for _ in range(REPEATS)]
    directory = fresh()
    _append(directory, None)
    records = list(read_journal(directory))
    if len(records) != EVENTS:
        raise AssertionError(f"{len(records)} of {EVENTS} events were read back")

    def fold() -> None:
        folding = RunFold()
        for record in records:
            folding.apply(record)
        if folding.view(force=True).seq != EVENTS:
            raise AssertionError("not all events were folded")

    note = f"{EVENTS:,} events"
    return [
        Row(
            name=f"journal append and fold, {THREADS} threads",
            measured=EVENTS / median(alone),
            unit="events/s",
            aim=at_least(50_000),
            note=f"{note}, each in the kernel before its append returns",
        ),
        Row(name="journal read", measured=EVENTS / median_s(lambda: list(read_journal(directory)), REPEATS), unit="events/s", note=note),
        Row(name="fold", measured=EVENTS / median_s(fold, REPEATS), unit="events/s", note=note),
    ]


def _append(directory: Path, fold: RunFold | None) -> float:
    """Seconds for ``EVENTS`` appends of several threads."""
    journal = Journal(directory)
    if fold is not None:
        journal.subscribe(fold.apply)

    def work(client: str) -> None:
        for number in range(EVENTS // THREADS // 2):
            _create(journal, f"{client}-{number}", client, number)

    threads = [threading.Thread(target=work, args=(f"client-{number}",)) for number in range(THREADS)]

    def go() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    took_s = seconds(go)
    journal.close()
    if fold is not None and fold.view(force=True).seq != EVENTS:
        raise AssertionError("not all events were folded")
    return took_s


def _create(journal: Journal, op: str, client: str, number: int) -> str:
    snapshot = _id(op)
    journal.append(Invoke(op=op, client=client, action=_CREATE, index=number, mutates=True))
    journal.append(
        Result(
            op=op,
            client=client,
            action=_CREATE,
            outcome=Outcome.OK,
            snapshot=snapshot,
            root=snapshot[:32],
            files=3,
            bytes=1000,
            service_s=0.01 * (number % 17),
            queue_s=0.001,
        )
    )
    return snapshot


def _id(op: str) -> str:
    return blake2b(op.encode(), digest_size=32).hexdigest()


class _Prefix:
    """A ledger with so many snapshots, open, with a journal attached."""

    def __init__(self, place: Path, snapshots: int) -> None:
        self.metadata, directory = place / "metadata", place / "run"
        self.metadata.mkdir(parents=True)
        directory.mkdir()
        _fill(self.metadata / "ledger.sqlite", snapshots)
        self.open_s = seconds(self._open)
        self.journal = Journal(directory)
        self.ledger.attach("run", self.journal)
        self.number = 0

    def _open(self) -> None:
        self.ledger = Ledger(self.metadata, lambda _: ())

    def work(self) -> None:
        """Restore, delete and create, ``OPERATIONS`` times, all in the database at the end."""
        ledger, journal = self.ledger, self.journal
        before = ledger.live_count
        for _ in range(OPERATIONS):
            self.number += 1
            draw = int(_id(f"draw-{self.number}")[:15], 16)
            with ledger.pinned(draw) as row:
                journal.append(Result(op=f"r{self.number}", client="c", action="restore", outcome=Outcome.OK, snapshot=row.id, equal=True))
            doomed = ledger.take_for_delete(draw).id
            journal.append(Invoke(op=f"d{self.number}", client="c", action=_DELETE, index=0, mutates=True, snapshot=doomed))
            journal.append(Result(op=f"d{self.number}", client="c", action=_DELETE, outcome=Outcome.OK, snapshot=doomed))
            if ledger.state(_create(journal, f"n{self.number}", "c", self.number)) != "live":
                raise AssertionError("a snapshot that was just made is not live")
        if not ledger.flush() or ledger.live_count != before:
            raise AssertionError("the ledger lost count")

    def close(self) -> None:
        self.journal.close()
        self.ledger.close()


def _fill(path: Path, snapshots: int) -> None:
    """Rows as if earlier runs had made them: through journals a million would take a minute."""
    Projection(path, lambda _: ()).close()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN")
    # In the order of their ids, as the index grows fastest; it is the same tree whatever the order.
    ids = sorted(_id(f"old-{number}") for number in range(snapshots))
    rows = ((snapshot, "old", snapshot[:8], "c", snapshot[:32], "live", 1, 2, 0, 0) for snapshot in ids)
    database.executemany("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.execute("COMMIT")
    database.close()


def _ledger(place: Path) -> list[Row]:
    few, many = _Prefix(place / "few", FEW), _Prefix(place / "many", MANY)
    try:
        few_s, many_s, ratio = _alternate(few.work, many.work)
    finally:
        few.close()
        many.close()
    micros = [f"{took_s / OPERATIONS * 1e6:,.0f}" for took_s in (few_s, many_s)]
    note = (
        f"draw, restore, delete, create, flush: {micros[0]} and {micros[1]} us per round; opening {few.open_s:.2f} and {many.open_s:.2f} s"
    )
    return [Row(name=f"ledger at {MANY:,} against {FEW:,} snapshots", measured=ratio, aim=at_most(2.0), note=note)]


def _alternate(few: Callable[[], None], many: Callable[[], None]) -> tuple[float, float, float]:
    """Median seconds of both and the median of the ratios, pair by pair; one pair before fills the caches."""
    pairs = [(seconds(few), seconds(many)) for _ in range(REPEATS + 1)][1:]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)
