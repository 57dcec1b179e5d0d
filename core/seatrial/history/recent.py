"""What has been appended and is not in the database yet: rows and nodes that readers must see at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

import msgspec

from seatrial.history.changes import Change, Good, Made, Moved, Nodes
from seatrial.history.ledger_records import SnapshotRow
from seatrial.history.view import SnapshotState

MOST_CHANGES = 50_000
MOST_NODE_BYTES = 128 << 20
_replace = msgspec.structs.replace


class RecentRow(msgspec.Struct, frozen=True):
    """What has happened to one snapshot lately. Laid over a row of the database that already has some of it, it gives the same."""

    seq: int
    """Of the last change."""
    row: SnapshotRow | None
    """Where it was made lately."""
    moves: tuple[Moved, ...] = ()
    good_ns: int = 0

    def state(self, before: SnapshotState | None) -> SnapshotState | None:
        """The state after all that."""
        state = self.row.state if self.row else before
        for move in self.moves:
            if state in move.allowed:
                state = move.state
        return state

    def on(self, row: SnapshotRow) -> SnapshotRow:
        """``row`` after all that."""
        state, deleted_ns = row.state, row.deleted_ns
        for move in self.moves:
            if state in move.allowed:
                state, deleted_ns = move.state, move.at_ns if move.state == "deleted" else 0
        return _replace(row, state=state, deleted_ns=deleted_ns, last_good_ns=max(row.last_good_ns, self.good_ns))


class Recent:
    """Threading: any thread; one condition guards everything. ``add`` is called in ``seq`` order, ``applied`` by the writer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rows: dict[str, RecentRow] = {}
        self._nodes: dict[str, bytes] = {}
        self._order: deque[tuple[int, str, Iterable[str]]] = deque()
        """(seq, snapshot, nodes) of each change, to be forgotten once applied."""
        self._node_bytes = 0
        self._applied = 0

    @property
    def full(self) -> bool:
        """The database is too far behind."""
        return len(self._order) > MOST_CHANGES or self._node_bytes > MOST_NODE_BYTES

    def add(self, seq: int, changes: Iterable[Change]) -> None:
        """Remember what one record has changed."""
        with self._changed:
            for change in changes:
                if isinstance(change, Made):
                    self._put(RecentRow(seq, change.row), change.row.id)
                elif isinstance(change, Moved):
                    old = self._rows.get(change.snapshot) or RecentRow(seq, None)
                    self._put(_replace(old, seq=seq, moves=(*old.moves, change)), change.snapshot)
                elif isinstance(change, Good):
                    old = self._rows.get(change.snapshot) or RecentRow(seq, None)
                    self._put(_replace(old, seq=seq, good_ns=change.at_ns), change.snapshot)
                elif isinstance(change, Nodes):
                    fresh = {node: data for node, data in change.nodes.items() if node not in self._nodes}
                    self._nodes.update(fresh)
                    self._node_bytes += sum(map(len, fresh.values()))
                    self._order.append((seq, "", tuple(fresh)))

    def _put(self, recent: RecentRow, snapshot: str) -> None:
        self._rows[snapshot] = recent
        self._order.append((recent.seq, snapshot, ()))

    def applied(self, seq: int) -> None:
        """The database has everything up to ``seq``."""
        with self._changed:
            self._applied = seq
            order = self._order
            while order and order[0][0] <= seq:
                _, snapshot, nodes = order.popleft()
                for node in nodes:
                    self._node_bytes -= len(self._nodes.pop(node))
                recent = self._rows.get(snapshot)
                if recent is not None and recent.seq <= seq:
                    del self._rows[snapshot]
            self._changed.notify_all()

    def of(self, snapshot: str) -> RecentRow | None:
        """What has happened to a snapshot lately; None for nothing."""
        with self._changed:
            return self._rows.get(snapshot)

    def node(self, node: str) -> bytes | None:
        """A node that was told lately."""
        with self._changed:
            return self._nodes.get(node)

    def wait_applied(self, seq: int, timeout_s: float) -> bool:
        """Wait until the database has everything up to ``seq``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._applied >= seq, timeout_s)

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until the database is no longer too far behind."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.full, timeout_s)
