"""The reducer that turns records and frames into a ``RunView``. The same journal gives the same view, whoever folds it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName
from seatrial.history.events import (
    ClientJoined,
    ClientLeft,
    ClusterEvent,
    Fault,
    Finding,
    FormerRuns,
    Invoke,
    NodeEvent,
    NotRun,
    Phase,
    PlanEvent,
    Record,
    Resolved,
    Result,
    RunEnded,
    ServerEvent,
    Steer,
    StorageStats,
)
from seatrial.history.frames import Frame
from seatrial.history.reconcile import LOST
from seatrial.history.snapshot_book import SnapshotBook
from seatrial.history.tallies import ActionTally, ClientTally, RateTally, Times
from seatrial.history.view import (
    ActionRow,
    ClientRow,
    ClusterRow,
    EndView,
    FailureRow,
    FaultRow,
    FindingGroup,
    OpenOperation,
    PhaseView,
    RunHeader,
    RunView,
    ServerView,
    SnapshotView,
    SteerRow,
)
from seatrial.verdicts import Outcome, Verdict

RATE_WINDOW_S = 10
MIN_VIEW_INTERVAL_S = 0.1
KEPT = 1000
"""Faults, events of nodes, steering commands, open operations, groups of findings."""
WAITING = 512
"""The most records that wait for somebody to look."""
KEPT_FAILURES = 200
FURTHER_GROUPS = "(further groups)"
"""Takes the findings of all groups after the first ``KEPT``."""

_CREATE, _DELETE, _RESTORE = ActionName.SNAPSHOT.value, ActionName.DELETE_SNAPSHOT.value, ActionName.RESTORE.value
_RESTORES = frozenset({_RESTORE, ActionName.RESTORE_INTO_DATA.value})
_replace = msgspec.structs.replace


class RunFold:
    """A run as far as it has been told.

    Threading: any thread. One lock guards everything but the records that wait; it is held for one batch of them or one freezing,
    never across a call to anyone else. ``apply`` comes from one thread at a time (the journal calls it under its own lock). It only
    puts the record where whoever looks next folds it: folding on the path of each append would cost the appending threads twice.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Record] = deque()
        self._view = RunView()
        self._frozen_at_s = float("-inf")
        self._dirty = False
        self._seq = self._at_ns = self._gaps = 0
        self._header = RunHeader()
        self._verdict = Verdict.PASS
        self._paused = False
        self._phases: list[PhaseView] = []
        self._clients: dict[str, ClientTally] = {}
        self._dirty_clients: dict[str, ClientTally] = {}
        self._actions: dict[str, ActionTally] = {}
        self._former_runs = 0
        self._cumulative: dict[str, ActionTally] = {}
        self._snapshots = SnapshotBook(self._owned)
        self._server = ServerView()
        self._readied = 0
        self._groups: dict[str, FindingGroup] = {}
        self._findings_total = 0
        self._not_run: list[NotRun] = []
        self._faults: deque[FaultRow] = deque(maxlen=KEPT)
        self._cluster: deque[ClusterRow] = deque(maxlen=KEPT)
        self._steering: deque[SteerRow] = deque(maxlen=KEPT)
        self._failures: deque[FailureRow] = deque(maxlen=KEPT_FAILURES)
        self._storage: dict[str, dict[str, int]] = {"before": {}, "after": {}}
        self._in_flight: dict[str, Invoke] = {}
        self._unknown: dict[str, OpenOperation] = {}
        self._server_log_offset = 0
        self._rates = RateTally(RATE_WINDOW_S)
        self._frame: Frame | None = None
        self._end: EndView | None = None
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            PlanEvent: self._plan,
            FormerRuns: self._former,
            ClientJoined: self._joined,
            ClientLeft: self._left,
            Phase: self._phase,
            Invoke: self._invoke,
            Result: self._result,
            Resolved: self._resolved,
            ServerEvent: self._server_event,
            NodeEvent: self._cluster_event,
            ClusterEvent: self._cluster_event,
            Fault: self._fault,
            Finding: self._finding,
            NotRun: self._not_run_event,
            StorageStats: self._storage_stats,
            Steer: self._steer,
            RunEnded: self._ended,
        }

    def __getstate__(self) -> dict[str, Any]:
        """For a copy that folds on from here, with the system's clock. No other thread may use this one meanwhile."""
        with self._lock:
            self._fold_waiting()
        return {name: value for name, value in self.__dict__.items() if name not in {"_lock", "_clock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._clock = threading.Lock(), SYSTEM_CLOCK

    def apply(self, record: Record) -> None:
        """Fold one record of the journal; records come in ``seq`` order. Never raises; a gap is counted."""
        self._waiting.append(record)
        if len(self._waiting) >= WAITING:
            with self._lock:
                self._fold_waiting()

    def apply_frame(self, frame: Frame) -> None:
        """Fold one frame of telemetry. One that is older than the last is left out."""
        with self._lock:
            self._fold_waiting()
            if self._frame is not None and frame.at_ns < self._frame.at_ns:
                return
            self._frame, self._dirty = frame, True
            self._at_ns = max(self._at_ns, frame.at_ns)
            self._paused = frame.paused
            for client, told in frame.clients.items():
                tally = self._client(client)
                if tally.told(told, frame.at_ns):
                    self._dirty_clients[client] = tally
            for cache in frame.caches:
                owner = self._clients.get(cache.owner)
                if owner is not None and owner.cache != cache:
                    owner.cache, owner.row = cache, None
                    self._dirty_clients[cache.owner] = owner

    def view(self, *, force: bool = False) -> RunView:
        """The run now: at most 10 new views a second unless ``force``, otherwise the last one again; also when nothing came."""
        with self._lock:
            self._fold_waiting()
            now_s = self._clock.monotonic_s()
            if self._dirty and (force or now_s - self._frozen_at_s >= MIN_VIEW_INTERVAL_S):
                self._view, self._frozen_at_s, self._dirty = self._freeze(), now_s, False
            return self._view

    def snapshot(self, snapshot_id: str) -> SnapshotView | None:
        """One snapshot, None for one that the run never named (or deleted ``snapshot_book.KEPT_DELETED`` deletions ago)."""
        with self._lock:
            self._fold_waiting()
            tally = self._snapshots.find(snapshot_id)
            return tally.freeze() if tally else None

    def snapshots(self, *, owner: str = "", limit: int = 1000) -> list[SnapshotView]:
        """The newest first, of one client or of all."""
        with self._lock:
            self._fold_waiting()
            return self._snapshots.newest(owner, limit)

    def _fold_waiting(self) -> None:
        waiting = self._waiting
        while waiting:
            record = waiting.popleft()
            if record.seq != self._seq + 1:
                self._gaps += 1
            self._seq, self._at_ns, self._dirty = record.seq, record.at_ns, True
            handler = self._handlers.get(type(record.event))
            if handler is not None:
                handler(record.event, record.at_ns)

    def _former(self, event: FormerRuns, at_ns: int) -> None:
        self._former_runs = event.runs
        self._cumulative = {totals.action: ActionTally.of(totals) for totals in event.actions}

    def _plan(self, event: PlanEvent, at_ns: int) -> None:
        clients, expect = event.settings.get("clients"), event.settings.get("expect")
        self._header = RunHeader(
            run_id=event.run_id,
            preset=event.preset,
            description=str(event.settings.get("description", "")),
            expect="fail" if expect == "fail" else "pass",
            seed=event.seed,
            target=event.target,
            target_version=event.target_version,
            repo_path_prefix=event.repo_path_prefix,
            command=tuple(event.command),
            clients=clients if isinstance(clients, int) else 0,
            started_ns=at_ns,
            seatrial_version=event.seatrial_version,
            python_version=event.python_version,
            platform=event.platform,
        )

    def _client(self, client: str) -> ClientTally:
        tally = self._clients.get(client)
        if tally is None:
            tally = self._clients[client] = self._dirty_clients[client] = ClientTally(client)
        return tally

    def _joined(self, event: ClientJoined, at_ns: int) -> None:
        tally = self._dirty_clients[event.client] = self._client(event.client)
        tally.index = event.index
        tally.data_directory, tally.cache_directory = event.data_directory, event.cache_directory
        tally.enter("idle", at_ns)

    def _left(self, event: ClientLeft, at_ns: int) -> None:
        tally = self._dirty_clients[event.client] = self._client(event.client)
        tally.enter("gone", at_ns)

    def _phase(self, event: Phase, at_ns: int) -> None:
        self._server_log_offset = event.server_log_offset or self._server_log_offset
        if event.state == "begin":
            self._phases.append(
                PhaseView(name=event.name, state="begin", begun_ns=at_ns, planned_s=event.planned_s, total=event.total, detail=event.detail)
            )
            return
        for position in range(len(self._phases) - 1, -1, -1):
            phase = self._phases[position]
            if phase.name == event.name:
                self._phases[position] = _replace(phase, state="end", ended_ns=at_ns, detail=event.detail or phase.detail)
                return
        self._phases.append(PhaseView(name=event.name, state="end", ended_ns=at_ns, detail=event.detail))

    def _invoke(self, event: Invoke, at_ns: int) -> None:
        tally = self._dirty_clients[event.client] = self._client(event.client)
        tally.invoked(event, at_ns)
        self._in_flight[event.op] = event
        if event.snapshot and event.action == _DELETE:
            self._snapshots.move(self._snapshots.of(event.snapshot), "deleting")

    def _result(self, event: Result, at_ns: int) -> None:
        invoke = self._in_flight.pop(event.op, None)
        client = self._dirty_clients[event.client] = self._client(event.client)
        times = Times(event)
        client.returned(event, times, at_ns)
        tally = self._actions.get(event.action)
        if tally is None:
            tally = self._actions[event.action] = ActionTally(event.action, "")
        tally.add(event, times)
        if self._former_runs:
            self._cumulative.setdefault(event.action, ActionTally(event.action, "")).add(event, times)
        if not event.noop:
            self._rates.add(at_ns, event.bytes)
            if event.outcome is not Outcome.OK:
                self._failures.append(FailureRow(at_ns=at_ns, result=event))
            self._progress(event)
        if event.action == _CREATE:
            self._create_returned(event, at_ns)
        elif event.action == _DELETE:
            self._delete_returned(event, invoke.snapshot if invoke else event.snapshot, at_ns)
        elif event.action in _RESTORES and event.equal is not None:
            self._snapshots.restored(event.snapshot, at_ns, equal=event.equal)

    def _progress(self, event: Result) -> None:
        if self._phases and self._phases[-1].state == "begin":
            phase = self._phases[-1]
            if phase.name != "verify" or (event.action == _RESTORE and event.equal is not None):
                self._phases[-1] = _replace(phase, progress=phase.progress + 1)

    def _create_returned(self, event: Result, at_ns: int) -> None:
        if event.outcome is Outcome.OK and event.snapshot and not event.noop:
            self._snapshots.made(event.snapshot, event.client, event.op, event.root, at_ns)
        elif event.outcome is Outcome.UNKNOWN:
            self._open(event, "", at_ns)

    def _delete_returned(self, event: Result, snapshot: str, at_ns: int) -> None:
        if event.outcome is Outcome.UNKNOWN:
            self._open(event, snapshot, at_ns)
        if not snapshot:
            return
        tally = self._snapshots.of(snapshot)
        if event.outcome is Outcome.UNKNOWN:
            self._snapshots.move(tally, "unknown")
        elif event.outcome is Outcome.OK and not event.noop:
            self._snapshots.deleted(tally, at_ns)
        elif tally.state == "deleting":
            self._snapshots.move(tally, "live")

    def _open(self, event: Result, snapshot: str, at_ns: int) -> None:
        self._unknown[event.op] = OpenOperation(op=event.op, client=event.client, action=event.action, snapshot=snapshot, since_ns=at_ns)

    def _resolved(self, event: Resolved, at_ns: int) -> None:
        """Operations of earlier runs are the ledger's matter: this run's view never held them."""
        operation = self._unknown.pop(event.op, None) if event.run_id == self._header.run_id else None
        if operation is None:
            return
        if operation.action == _CREATE:
            if event.outcome is Outcome.OK and event.snapshot:
                self._snapshots.made(event.snapshot, operation.client, event.op, "", at_ns)
        elif operation.snapshot:
            tally = self._snapshots.of(operation.snapshot)
            if event.outcome is Outcome.OK:
                self._snapshots.deleted(tally, at_ns)
            elif tally.state == "unknown":
                self._snapshots.move(tally, "live")

    def _owned(self, owner: str, change: int) -> None:
        client = self._dirty_clients[owner] = self._client(owner)
        client.snapshots_live += change
        client.row = None

    def _server_event(self, event: ServerEvent, at_ns: int) -> None:
        server = self._server
        self._server_log_offset = event.server_log_offset or self._server_log_offset
        self._readied += event.state == "ready"
        self._server = ServerView(
            state=event.state,
            pid=event.pid or server.pid,
            address=event.address or server.address,
            since_ns=at_ns,
            restarts=max(0, self._readied - 1),
            deaths=server.deaths + (event.state == "died"),
            exit_code=event.exit_code,
            detail=event.detail,
        )

    def _cluster_event(self, event: NodeEvent | ClusterEvent, at_ns: int) -> None:
        self._cluster.append(ClusterRow(at_ns=at_ns, event=event))

    def _fault(self, event: Fault, at_ns: int) -> None:
        self._faults.append(FaultRow(at_ns=at_ns, fault=event))

    def _finding(self, event: Finding, at_ns: int) -> None:
        self._server_log_offset = event.server_log_offset or self._server_log_offset
        self._findings_total += 1
        self._verdict = max(self._verdict, event.verdict)
        name = event.group if event.group in self._groups or len(self._groups) < KEPT else FURTHER_GROUPS
        group = self._groups.get(name)
        self._groups[name] = (
            FindingGroup(group=name, check=event.check, verdict=event.verdict, count=1, first_ns=at_ns, last_ns=at_ns, first=event)
            if group is None
            else _replace(group, verdict=max(group.verdict, event.verdict), count=group.count + 1, last_ns=at_ns)
        )
        for client in {event.client, event.owner} - {""}:
            tally = self._dirty_clients[client] = self._client(client)
            tally.findings += 1
            tally.row = None
        if event.damage == LOST and event.snapshot:
            self._snapshots.move(self._snapshots.of(event.snapshot), "lost")

    def _not_run_event(self, event: NotRun, at_ns: int) -> None:
        self._not_run.append(event)

    def _storage_stats(self, event: StorageStats, at_ns: int) -> None:
        self._storage[event.when] = dict(event.directories)

    def _steer(self, event: Steer, at_ns: int) -> None:
        self._steering.append(SteerRow(at_ns=at_ns, steer=event))
        if event.command in {"pause", "resume"}:
            self._paused = event.command == "pause"

    def _ended(self, event: RunEnded, at_ns: int) -> None:
        self._end = EndView(at_ns=at_ns, event=event)
        self._paused = False
        for client, tally in self._clients.items():
            if tally.state != "gone":
                tally.enter("gone", at_ns)
                self._dirty_clients[client] = tally

    def _freeze(self) -> RunView:
        clients, client_actions = self._freeze_clients()
        verdict = self._end.event.verdict if self._end else self._verdict
        phases = tuple(self._phases)
        return RunView(
            version=self._view.version + 1,
            seq=self._seq,
            at_ns=self._at_ns,
            header=self._header,
            verdict=max(verdict, Verdict.INCONCLUSIVE) if self._gaps else verdict,
            paused=self._paused,
            phase=phases[-1] if phases else None,
            phases=phases,
            clients=clients,
            actions=tuple(tally.freeze() for tally in self._actions.values()),
            former_runs=self._former_runs,
            cumulative=tuple(tally.freeze() for _, tally in sorted(self._cumulative.items())),
            client_actions=client_actions,
            snapshots=self._snapshots.counts(),
            server=self._server,
            findings=tuple(self._groups.values()),
            findings_total=self._findings_total,
            not_run=tuple(self._not_run),
            faults=tuple(self._faults),
            cluster=tuple(self._cluster),
            steering=tuple(self._steering),
            failures=tuple(self._failures),
            storage_before=self._storage["before"],
            storage_after=self._storage["after"],
            unknown_open=len(self._unknown),
            unknown=tuple(self._unknown.values())[:KEPT],
            in_flight=len(self._in_flight),
            server_log_offset=self._server_log_offset,
            server_log_bytes=self._frame.server_log_bytes if self._frame else 0,
            rates=self._rates.freeze(self._at_ns),
            gaps=self._gaps,
            frame=self._frame,
            end=self._end,
        )

    def _freeze_clients(self) -> tuple[tuple[ClientRow, ...], Mapping[str, tuple[ActionRow, ...]]]:
        """Only what changed is made anew: with a thousand clients the rest is most of it."""
        if not self._dirty_clients:
            return self._view.clients, self._view.client_actions
        client_actions = dict(self._view.client_actions)
        for client, tally in self._dirty_clients.items():
            client_actions[client] = tally.freeze_actions()
        self._dirty_clients = {}
        ordered = sorted(self._clients.values(), key=lambda tally: (tally.index < 0, tally.index, tally.id))
        return tuple(tally.freeze() for tally in ordered), client_actions
