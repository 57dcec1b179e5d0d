"""Every live snapshot restored by another client that begins with an empty cache, each once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from seatrial.config.model import ActionName
from seatrial.context import Context, new_client_contexts, unwrap_context
from seatrial.engine.engine import Engine
from seatrial.engine.workers import run_clients
from seatrial.errors import CancelledError, DeadlineExceededError, NoSpaceError, OperationError, RobustnessError
from seatrial.harness.liveness import Halfway, Liveness, with_snapshot
from seatrial.history.ledger import SnapshotRow
from seatrial.resources import core_count

PER_CORE = 2
"""Clients that verify, per core: one reads while the other waits for the server."""


def one_per_root(rows: Iterable[SnapshotRow], programs: Mapping[str, str] = MappingProxyType({})) -> list[SnapshotRow]:
    """Of snapshots with equal fingerprints only the newest: what it says of the content holds for all of them. Oldest first.

    ``programs`` says what acted as each client: one of each is kept, because two programs store the same in two ways. That each of the
    others is still listed, and whole as far as the target's own verification goes, is checked apart from this.
    """
    newest: dict[tuple[str, str], SnapshotRow] = {}
    for row in rows:
        key = (row.root or row.id, programs.get(row.owner, ""))
        known = newest.get(key)
        if known is None or row.created_end_ns > known.created_end_ns:
            newest[key] = row
    return sorted(newest.values(), key=lambda row: (row.created_end_ns, row.id))


class Sweep:
    """Restores rows by the clients of the run, none of them its own, and by as many new ones as are missing.

    Each begins with empty caches, so that what it reads it reads in this phase. The first restore of a client of the run is the second half
    of its liveness: where it fails for the client's sake, the row is another's. Where clients are of several programs, what one program
    made is restored by another. Threading: ``deal`` and ``run`` by one thread, one after the other; ``_lock`` guards ``rows``.
    """

    def __init__(self, engine: Engine, liveness: Liveness, rows: Iterable[SnapshotRow]) -> None:
        self._engine, self._liveness = engine, liveness
        known = engine.clients.programs()
        self._programs = known if len(set(known.values())) > 1 else {}
        self._lock = threading.Lock()
        self.rows = one_per_root(rows, self._programs)[::-1]
        """Still to do and dealt to nobody, last first."""
        self.total = len(self.rows)
        self.dealt: dict[str, tuple[Halfway, SnapshotRow]] = {}
        """By client: what it is to restore first."""

    def deal(self, clients: Sequence[Halfway]) -> list[Halfway]:
        """One row for each of them; returns those for whom there is none."""
        for each in clients:
            row = self._next(each.client, self._programs.get(each.client, "")) or self._swapped(each.client)
            if row is not None:
                self.dealt[each.client] = each, row
        return [each for each in clients if each.client not in self.dealt]

    def run(self, ctx: Context) -> None:
        """Until all are done, or ``ctx`` is over."""
        clients = [each.ctx.within(ctx.remaining_s(each.left_s)) for each, _ in self.dealt.values()]
        self._together(ctx, clients, min(len(self.rows), max(0, PER_CORE * core_count() - len(clients))))
        if self.rows and not ctx.expired and not ctx.cancel.cancelled:
            # A target gives its programs to its clients in turn: as many as there are programs are one of each.
            self._together(ctx, [], max(min(len(self.rows), PER_CORE * core_count()), len(set(self._programs.values()))))

    def _together(self, ctx: Context, clients: Sequence[Context], helpers: int) -> None:
        new = new_client_contexts(ctx, helpers)
        try:
            run_clients([*clients, *new], lambda each: self._work(each, ctx))
        finally:
            for each in new:
                self._engine.leave(each)

    def _work(self, ctx: Context, budget: Context) -> None:
        client = unwrap_context(ctx).id
        try:
            program = self._engine.join(ctx).program
        except CancelledError:
            return  # too late to do anything
        self._engine.scene.snapshotter.drop_caches(ctx)
        if client in self.dealt:
            halfway, first = self.dealt[client]
            if not self._liveness.restores(halfway, first.id, budget):
                self._put_back(first)
                return
        while (row := self._next(client, program)) is not None:
            try:
                self._engine.exec_action(ctx, ActionName.RESTORE, with_snapshot(self._engine.preset.options, row.id), times=1)
            except (CancelledError, NoSpaceError) as error:
                if isinstance(error, DeadlineExceededError) and not ctx.expired:
                    continue  # longer than an action may take, which is a finding: put back, it would hold up the next one as long
                self._put_back(row)
                return
            except (OperationError, RobustnessError):
                continue  # the finding is in the journal, the next row has its turn

    def _may(self, client: str, program: str, row: SnapshotRow) -> bool:
        return row.owner != client and (not self._programs or self._programs.get(row.owner) != program)

    def _next(self, client: str, program: str) -> SnapshotRow | None:
        """The next row that this client may restore."""
        with self._lock:
            for place in range(len(self.rows) - 1, -1, -1):
                if self._may(client, program, self.rows[place]):
                    return self.rows.pop(place)
        return None

    def _swapped(self, client: str) -> SnapshotRow | None:
        """Of a client that may restore what is left to this one only, what it was dealt: it gets the other instead."""
        program = self._programs.get(client, "")
        for other, (halfway, row) in self.dealt.items() if self.rows else ():
            if self._may(client, program, row) and self._may(other, self._programs.get(other, ""), self.rows[-1]):
                self.dealt[other] = halfway, self.rows.pop()
                return row
        return None

    def _put_back(self, row: SnapshotRow) -> None:
        with self._lock:
            self.rows.append(row)
