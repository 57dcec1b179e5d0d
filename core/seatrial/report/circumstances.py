"""What maintainers ask back about a finding, answered from the journal: was GC running, what else was going on, what else is hit,
when was it last good.

``Circumstances`` of one finding group are gathered while the records pass by once, in order; everything kept is bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Literal

import msgspec

from seatrial.config.model import ActionName
from seatrial.history.events import Finding, Invoke, Record, Result, ServerEvent
from seatrial.history.view import SnapshotView
from seatrial.verdicts import Outcome

KEPT_GC_RUNS = 1000
KEPT_SERVER_MOMENTS = 1000
KEPT_CREATES = 100_000
KEPT_SNAPSHOTS = 1000
"""Of one group."""
KEPT_GROUPS = 1000


class GcRun(msgspec.Struct, frozen=True, kw_only=True):
    """One garbage collection."""

    op: str
    client: str
    began_ns: int
    ended_ns: int = 0
    """0 while it runs."""
    outcome: Outcome | None = None
    freed_bytes: int = 0

    def touches(self, from_ns: int, to_ns: int) -> bool:
        """Whether any of it lies within the span, both ends included."""
        return self.began_ns <= to_ns and (not self.ended_ns or self.ended_ns >= from_ns)


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that had begun and not returned."""

    op: str
    client: str
    action: str
    snapshot: str
    began_ns: int


class ServerMoment(msgspec.Struct, frozen=True, kw_only=True):
    """The server came or went."""

    state: Literal["ready", "stopped", "died"]
    at_ns: int
    exit_code: int | None = None


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """Around the first finding of a group."""

    first_bad_ns: int
    last_good_ns: int = 0
    """Last restored and found equal; 0 for never."""
    created_ns: int = 0
    """Acknowledged; 0 for a snapshot that an earlier run made."""
    gc_running: tuple[GcRun, ...] = ()
    """At the moment of the finding."""
    gc_since_good: tuple[GcRun, ...] = ()
    """Any part of them between last good (else created, else the start of the run) and first bad."""
    gc_in_create: tuple[GcRun, ...] = ()
    """While the snapshot was being made."""
    gc_runs: int = 0
    """Begun so far in this run."""
    in_flight: tuple[InFlight, ...] = ()
    """Other operations at the moment of the finding."""
    server: tuple[ServerMoment, ...] = ()
    """What became of the server between last good (else created, else the start of the run) and first bad; not its first start."""
    snapshots: tuple[str, ...] = ()
    """All that this group hits, sorted."""


class CircumstanceCollector:
    """Watches records go by. Threading: one thread.

    ``snapshot`` tells what the fold knows of a snapshot at this moment; apply a record to the fold before it comes here.
    """

    def __init__(self, snapshot: Callable[[str], SnapshotView | None]) -> None:
        self._snapshot = snapshot
        self._open: dict[str, InFlight] = {}
        self._gc: deque[GcRun] = deque(maxlen=KEPT_GC_RUNS)
        self._gc_begun = 0
        self._server: deque[ServerMoment] = deque(maxlen=KEPT_SERVER_MOMENTS)
        self._server_began = False
        self._creates: OrderedDict[str, int] = OrderedDict()
        self._first: dict[str, Circumstances] = {}
        self._hit: dict[str, set[str]] = {}

    def apply(self, record: Record) -> None:
        """Take one record, in ``seq`` order."""
        match record.event:
            case Invoke() as event:
                self._begin(event, record.at_ns)
            case Result() as event:
                self._end(event, record.at_ns)
            case ServerEvent() as event:
                self._served(event, record.at_ns)
            case Finding() as event:
                self._found(event, record.at_ns)

    def by_group(self) -> dict[str, Circumstances]:
        """What was gathered, by the group of the findings."""
        return {group: msgspec.structs.replace(first, snapshots=tuple(sorted(self._hit[group]))) for group, first in self._first.items()}

    def _begin(self, event: Invoke, at_ns: int) -> None:
        self._open[event.op] = InFlight(op=event.op, client=event.client, action=event.action, snapshot=event.snapshot, began_ns=at_ns)
        self._gc_begun += event.action == ActionName.GC.value

    def _end(self, event: Result, at_ns: int) -> None:
        begun = self._open.pop(event.op, None)
        if begun is None:
            return
        if event.action == ActionName.GC.value:
            self._gc.append(
                GcRun(
                    op=event.op,
                    client=event.client,
                    began_ns=begun.began_ns,
                    ended_ns=at_ns,
                    outcome=event.outcome,
                    freed_bytes=event.freed_bytes,
                )
            )
        elif event.action == ActionName.SNAPSHOT.value and event.snapshot:
            self._creates[event.snapshot] = begun.began_ns
            if len(self._creates) > KEPT_CREATES:
                self._creates.popitem(last=False)

    def _served(self, event: ServerEvent, at_ns: int) -> None:
        match event.state:
            case "ready" | "stopped" | "died" as state:
                if self._server_began:
                    self._server.append(ServerMoment(state=state, at_ns=at_ns, exit_code=event.exit_code))
                self._server_began = True

    def _running_gc(self) -> list[GcRun]:
        return [
            GcRun(op=each.op, client=each.client, began_ns=each.began_ns)
            for each in self._open.values()
            if each.action == ActionName.GC.value
        ]

    def _found(self, event: Finding, at_ns: int) -> None:
        if event.group not in self._first:
            if len(self._first) >= KEPT_GROUPS:
                return
            self._first[event.group] = self._around(event, at_ns)
            self._hit[event.group] = set()
        hit = self._hit[event.group]
        if event.snapshot and len(hit) < KEPT_SNAPSHOTS:
            hit.add(event.snapshot)

    def _around(self, event: Finding, at_ns: int) -> Circumstances:
        known = self._snapshot(event.snapshot) if event.snapshot else None
        created_ns = known.created_ns if known else 0
        last_good_ns = event.last_good_ns or (known.last_good_ns if known else 0)
        collections = [*self._gc, *self._running_gc()]
        create_began_ns = self._creates.get(event.snapshot, 0)
        return Circumstances(
            first_bad_ns=at_ns,
            last_good_ns=last_good_ns,
            created_ns=created_ns,
            gc_running=tuple(self._running_gc()),
            gc_since_good=tuple(run for run in collections if run.touches(last_good_ns or created_ns, at_ns)),
            gc_in_create=tuple(run for run in collections if create_began_ns and run.touches(create_began_ns, created_ns)),
            gc_runs=self._gc_begun,
            server=tuple(each for each in self._server if each.at_ns >= (last_good_ns or created_ns)),
            in_flight=tuple(each for each in self._open.values() if each.op != event.op),
        )
