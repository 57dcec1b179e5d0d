"""The snapshots that a run has named, counted by state; owned by one ``RunFold`` and never seen outside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from seatrial.history.tallies import SnapshotTally
from seatrial.history.view import SnapshotCounts, SnapshotState, SnapshotView

KEPT_DELETED = 10_000
"""Deleted snapshots that can still be looked up; their count goes on."""


class SnapshotBook:
    """States and owners. ``on_owned(client, change)`` is told when a client has one live snapshot more or less."""

    def __init__(self, on_owned: Callable[[str, int], None]) -> None:
        self._on_owned = on_owned
        self._tallies: dict[str, SnapshotTally] = {}
        self._deleted: deque[str] = deque()
        self._counts: dict[str, int] = {"live": 0, "deleting": 0, "deleted": 0, "unknown": 0, "lost": 0}
        self._created = self._restored = 0

    def __getstate__(self) -> dict[str, Any]:
        """The snapshots in one piece: copied one by one, tens of thousands of them hold up the interpreter."""
        packed = msgspec.msgpack.encode([tally.freeze() for tally in self._tallies.values()])
        return {**self.__dict__, "_tallies": packed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        rows = msgspec.msgpack.decode(state["_tallies"], type=list[SnapshotView])
        self.__dict__.update(state, _tallies={row.id: SnapshotTally.of(row) for row in rows})

    def find(self, snapshot: str) -> SnapshotTally | None:
        """None for one that was never named, or deleted ``KEPT_DELETED`` deletions ago."""
        return self._tallies.get(snapshot)

    def of(self, snapshot: str) -> SnapshotTally:
        """The snapshot; live, as far as is known, when it is named for the first time."""
        tally = self._tallies.get(snapshot)
        if tally is None:
            tally = self._tallies[snapshot] = SnapshotTally(snapshot)
            self._counts["live"] += 1
        return tally

    def made(self, snapshot: str, owner: str, op: str, root: str, at_ns: int) -> None:
        """A create is known to have happened."""
        tally = self.of(snapshot)
        tally.op, tally.root, tally.created_ns = op, root, at_ns
        self._created += 1
        if tally.owner != owner:
            tally.owner = owner
            self._owned(tally, 1 if tally.state == "live" else 0)
        self.move(tally, "live")

    def restored(self, snapshot: str, at_ns: int, *, equal: bool) -> None:
        """A restore of it was compared."""
        self._restored += 1
        if equal and snapshot:
            self.of(snapshot).last_good_ns = at_ns

    def deleted(self, tally: SnapshotTally, at_ns: int) -> None:
        """A delete is known to have happened."""
        tally.deleted_ns = at_ns
        self.move(tally, "deleted")

    def move(self, tally: SnapshotTally, state: SnapshotState) -> None:
        """Into another state."""
        if tally.state == state:
            return
        self._counts[tally.state] -= 1
        self._counts[state] += 1
        self._owned(tally, (state == "live") - (tally.state == "live"))
        tally.state = state
        if state == "deleted":
            self._deleted.append(tally.id)
            if len(self._deleted) > KEPT_DELETED:
                self._forget(self._deleted.popleft())

    def counts(self) -> SnapshotCounts:
        return SnapshotCounts(**self._counts, created=self._created, restored=self._restored)

    def newest(self, owner: str, limit: int) -> list[SnapshotView]:
        """The newest first, of one client or (empty) of all."""
        rows: list[SnapshotView] = []
        for tally in reversed(self._tallies.values()):
            if len(rows) >= limit:
                break
            if not owner or tally.owner == owner:
                rows.append(tally.freeze())
        return rows

    def _forget(self, snapshot: str) -> None:
        """The count of deleted ones stays: it tells what happened, not what can be looked up."""
        tally = self._tallies.get(snapshot)
        if tally is not None and tally.state == "deleted":
            del self._tallies[snapshot]

    def _owned(self, tally: SnapshotTally, change: int) -> None:
        if change and tally.owner:
            self._on_owned(tally.owner, change)
