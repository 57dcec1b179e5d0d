"""The snapshots that can be drawn now: in memory, up to date with every appended record, flat in cost from a thousand to a million.

Races, and what decides them, all under one lock:

- Two deletes of one snapshot: ``take`` gives it to the first; the second finds it gone.
- A delete overtakes a restore: a restored snapshot is *pinned* from the draw to the end of the comparison, and ``take`` passes over pinned
  ones. So no restore ever fails because of a delete of ours, and a restore that fails tells of the target.
- A restore overtakes a delete: what is taken is no longer live, so it cannot be drawn.
- The last live snapshot is never taken: every later restore would be a no-op.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from sortedcontainers import SortedList  # type: ignore[import-untyped]  # it ships no types

from seatrial.errors import NoOp
from seatrial.history.changes import Change, Closed, Made, Moved, Opened
from seatrial.history.reconcile import OperationKey
from seatrial.history.view import SnapshotState


class Listing:
    """A listing under way: collects what changes meanwhile, of which the listing then proves nothing but presence."""

    __slots__ = ("changed",)

    def __init__(self) -> None:
        self.changed: set[str | OperationKey] = set()


class LiveSet:
    """Ids by state, without the deleted ones. Threading: any thread; one lock guards everything and is held for one operation."""

    def __init__(self, states: Iterable[tuple[str, SnapshotState]]) -> None:
        self._lock = threading.Lock()
        ordered = list(states)
        self._live = SortedList(snapshot for snapshot, state in ordered if state == "live")
        self._states: dict[str, SnapshotState] = {snapshot: state for snapshot, state in ordered if state != "live"}
        self._taken: set[str] = set()
        """Taken for a delete whose invoke is not written yet."""
        self._pins: dict[str, int] = {}
        self._listings: set[Listing] = set()

    def __len__(self) -> int:
        return len(self._live)

    def ids(self) -> list[str]:
        """All live ids, sorted."""
        with self._lock:
            return list(self._live)

    def pick(self, draw: int) -> str | None:
        """``draw mod len(sorted live)``; None when nothing is live."""
        with self._lock:
            chosen: str | None = self._live[draw % len(self._live)] if self._live else None
            return chosen

    def pin(self, draw: int, snapshot_id: str = "") -> str:
        """Draw a live snapshot, or take the one named, and keep it from being taken until ``unpin``. ``NoOp`` without one."""
        with self._lock:
            if snapshot_id and snapshot_id not in self._live:
                raise NoOp("the snapshot is not live", where=snapshot_id)
            if not self._live:
                raise NoOp("no snapshot is live")
            chosen: str = snapshot_id or self._live[draw % len(self._live)]
            self._pins[chosen] = self._pins.get(chosen, 0) + 1
            return chosen

    def unpin(self, snapshot_id: str) -> None:
        """The restore is over."""
        with self._lock:
            left = self._pins.get(snapshot_id, 0) - 1
            if left > 0:
                self._pins[snapshot_id] = left
            else:
                self._pins.pop(snapshot_id, None)

    def take(self, draw: int, snapshot_id: str = "") -> str:
        """Take a live snapshot out, the drawn one or the next one that is not pinned. ``NoOp`` when there is none to take."""
        with self._lock:
            if len(self._live) < 2:
                raise NoOp("the last live snapshot is never deleted" if self._live else "no snapshot is live")
            chosen = self._takeable(snapshot_id) if snapshot_id else self._draw_unpinned(draw)
            self._live.remove(chosen)
            self._taken.add(chosen)
            return chosen

    def _takeable(self, snapshot_id: str) -> str:
        if snapshot_id not in self._live:
            raise NoOp("the snapshot is not live", where=snapshot_id)
        if snapshot_id in self._pins:
            raise NoOp("the snapshot is being restored", where=snapshot_id)
        return snapshot_id

    def _draw_unpinned(self, draw: int) -> str:
        """At most as many steps as there are pins, and those are bounded by the gate."""
        count = len(self._live)
        for step in range(min(count, len(self._pins) + 1)):
            chosen: str = self._live[(draw + step) % count]
            if chosen not in self._pins:
                return chosen
        raise NoOp("every live snapshot is being restored")

    def put_back(self, snapshot_id: str) -> None:
        """Undo ``take`` where the delete was never begun; nothing for any other id."""
        with self._lock:
            if snapshot_id in self._taken:
                self._taken.discard(snapshot_id)
                self._live.add(snapshot_id)

    def state(self, snapshot_id: str) -> SnapshotState | None:
        """None for deleted and unheard-of ones."""
        with self._lock:
            return self._state(snapshot_id)

    def _state(self, snapshot_id: str) -> SnapshotState | None:
        if snapshot_id in self._taken or snapshot_id in self._live:
            return "live"
        return self._states.get(snapshot_id)

    def begin_listing(self) -> Listing:
        """Collect changes from now on."""
        listing = Listing()
        with self._lock:
            self._listings.add(listing)
        return listing

    def end_listing(self, listing: Listing) -> list[str]:
        """Collect no more; the live ids of this moment, unsorted, for ``listing.changed`` to be held against.

        What is only taken for a delete is among them: without the invoke, not a byte of that delete has been sent.
        """
        with self._lock:
            self._listings.discard(listing)
            return [*self._live, *self._taken]

    def apply(self, changes: Iterable[Change]) -> None:
        """Follow what a record has changed."""
        with self._lock:
            for change in changes:
                if isinstance(change, Made):
                    self._enter(change.row.id, "live")
                elif isinstance(change, Moved):
                    state = self._state(change.snapshot)
                    if state in change.allowed:
                        self._enter(change.snapshot, change.state)
                elif isinstance(change, Opened):
                    if change.operation.ended_ns:
                        self._changed(change.operation.key)
                elif isinstance(change, Closed):
                    self._changed(change.key)

    def _enter(self, snapshot_id: str, state: SnapshotState) -> None:
        self._taken.discard(snapshot_id)
        self._states.pop(snapshot_id, None)
        was_live = snapshot_id in self._live
        if state == "live":
            if not was_live:
                self._live.add(snapshot_id)
        else:
            if was_live:
                self._live.remove(snapshot_id)
            if state != "deleted":
                self._states[snapshot_id] = state
        self._changed(snapshot_id)

    def _changed(self, what: str | OperationKey) -> None:
        for listing in self._listings:
            listing.changed.add(what)
