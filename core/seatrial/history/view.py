"""What a person sees of a run, frozen: ``RunView`` and its rows. ``history/fold.py`` makes them out of records and frames.

A row that did not change between two views is the same object in both, so that a screen may compare with ``is``. Times are wall
clock nanoseconds in UTC (``_ns``, 0 where it has not happened), durations are seconds (``_s``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from seatrial.history.events import ClusterEvent, Fault, Finding, NodeEvent, NotRun, Result, RunEnded, Steer
from seatrial.history.frames import CacheFrame, ClientState, Frame
from seatrial.verdicts import Outcome, Verdict

SnapshotState = Literal["live", "deleting", "deleted", "unknown", "lost"]
"""unknown: a delete of it may have happened. lost: a check has proved that the target no longer has it."""

ServerState = Literal["", "starting", "ready", "stopping", "stopped", "died"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Root of all that a view holds."""


class RunHeader(Row, frozen=True, kw_only=True):
    """What is known from the plan, and stays."""

    run_id: str = ""
    preset: str = ""
    description: str = ""
    expect: str = "pass"
    seed: int = 0
    target: str = ""
    target_version: str = ""
    repo_path_prefix: str = ""
    command: tuple[str, ...] = ()
    """Runs the same plan again."""
    clients: int = 0
    """As many as the preset asks for."""
    started_ns: int = 0
    seatrial_version: str = ""
    python_version: str = ""
    platform: str = ""


class PhaseView(Row, frozen=True, kw_only=True):
    """One phase of the trial."""

    name: str
    state: Literal["begin", "end"]
    begun_ns: int = 0
    ended_ns: int = 0
    planned_s: float = 0.0
    """0 where nobody knows."""
    total: int = 0
    """Units of work; 0 where nobody knows."""
    progress: int = 0
    """Actions that returned and were no no-op; in ``verify``: restores judged."""
    detail: str = ""


class Latency(Row, frozen=True, kw_only=True):
    """Percentiles in seconds, each within ``histogram.RELATIVE_ERROR`` of a value that was measured; maximum and total are exact."""

    count: int = 0
    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0
    total_s: float = 0.0


class ActionRow(Row, frozen=True, kw_only=True):
    """Statistics of one action, of all clients (``client`` empty) or of one."""

    action: str
    client: str = ""
    count: int = 0
    """Results; ``ok + failed + unknown + noop``."""
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    noop: int = 0
    errors: Mapping[str, int] = {}
    """Count by cause."""
    service: Latency = Latency()
    """Without no-ops."""
    queue: Latency = Latency()
    """Wait at the gate, of all."""
    bytes: int = 0
    files: int = 0


class ClientRow(Row, frozen=True, kw_only=True):
    """One client, now."""

    id: str
    name: str
    """The pet name: the id without its UUID."""
    index: int = -1
    """-1 for a client that never joined."""
    state: ClientState = "joining"
    action: str = ""
    """What it does; empty when idle."""
    op: str = ""
    since_ns: int = 0
    """Since when it has been in this state."""
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    last_action: str = ""
    last_outcome: Outcome | None = None
    last_noop: bool = False
    last_cause: str = ""
    last_ns: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    noop: int = 0
    service_s_p95: float = 0.0
    snapshots_live: int = 0
    bytes: int = 0
    findings: int = 0
    """Findings that it saw or whose snapshot it made."""
    data_directory: str = ""
    cache_directory: str = ""
    cache: CacheFrame | None = None


class SnapshotView(Row, frozen=True, kw_only=True):
    """One snapshot that the run made or touched."""

    id: str
    owner: str = ""
    """The client that made it; empty for a snapshot of an earlier run."""
    op: str = ""
    state: SnapshotState = "live"
    root: str = ""
    created_ns: int = 0
    last_good_ns: int = 0
    """When it was last restored and found equal; 0 for never."""
    deleted_ns: int = 0


class SnapshotCounts(Row, frozen=True, kw_only=True):
    """Snapshots by state, of those that the run made or touched."""

    live: int = 0
    deleting: int = 0
    deleted: int = 0
    unknown: int = 0
    lost: int = 0
    created: int = 0
    """Made by this run, whatever became of them."""
    restored: int = 0
    """Restores that were compared."""


class FindingGroup(Row, frozen=True, kw_only=True):
    """One defect, however often it was seen."""

    group: str
    check: str
    verdict: Verdict
    """The worst of its findings."""
    count: int
    first_ns: int
    last_ns: int
    first: Finding


class ServerView(Row, frozen=True, kw_only=True):
    """The server's process, from the journal."""

    state: ServerState = ""
    pid: int = 0
    address: str = ""
    since_ns: int = 0
    restarts: int = 0
    """Times it became ready again."""
    deaths: int = 0
    exit_code: int | None = None
    detail: str = ""


class FaultRow(Row, frozen=True, kw_only=True):
    """One fault event."""

    at_ns: int
    fault: Fault


class ClusterRow(Row, frozen=True, kw_only=True):
    """One event of the cluster on which the server keeps its blobs."""

    at_ns: int
    event: NodeEvent | ClusterEvent


class SteerRow(Row, frozen=True, kw_only=True):
    """One command from outside."""

    at_ns: int
    steer: Steer


class OpenOperation(Row, frozen=True, kw_only=True):
    """An operation that may have happened: its result was UNKNOWN and nothing has been observed since."""

    op: str
    client: str
    action: str
    snapshot: str = ""
    since_ns: int = 0


class FailureRow(Row, frozen=True, kw_only=True):
    """One result that was not OK."""

    at_ns: int
    result: Result


class Rates(Row, frozen=True, kw_only=True):
    """Over the last ``fold.RATE_WINDOW_S`` seconds before ``RunView.at_ns``."""

    actions_per_minute: float = 0.0
    bytes_per_second: float = 0.0


class EndView(Row, frozen=True, kw_only=True):
    """How it ended."""

    at_ns: int
    event: RunEnded


class RunView(Row, frozen=True, kw_only=True):
    """A run at one moment. Holds no thread, file or lock; safe to hand to any thread."""

    version: int = 0
    """Grows with every new view of one fold."""
    seq: int = 0
    """Of the last record folded."""
    at_ns: int = 0
    """Of the last record or frame folded; "now" as far as the run is concerned."""
    header: RunHeader = RunHeader()
    verdict: Verdict = Verdict.PASS
    """So far; the run's own once it has ended."""
    paused: bool = False
    phase: PhaseView | None = None
    """The one that began last."""
    phases: tuple[PhaseView, ...] = ()
    clients: tuple[ClientRow, ...] = ()
    """By index."""
    actions: tuple[ActionRow, ...] = ()
    """Per action, in the order in which they first occurred."""
    former_runs: int = 0
    """Earlier runs under the same prefix."""
    cumulative: tuple[ActionRow, ...] = ()
    """Per action over this run and the earlier ones, by name; empty where there were none."""
    client_actions: Mapping[str, tuple[ActionRow, ...]] = {}
    """By client id."""
    snapshots: SnapshotCounts = SnapshotCounts()
    """A single one: ``RunFold.snapshot(id)``."""
    server: ServerView = ServerView()
    findings: tuple[FindingGroup, ...] = ()
    """In the order in which they were first seen."""
    findings_total: int = 0
    not_run: tuple[NotRun, ...] = ()
    """What the preset asks for and this server cannot do."""
    faults: tuple[FaultRow, ...] = ()
    """The last ``fold.KEPT``."""
    cluster: tuple[ClusterRow, ...] = ()
    """The last ``fold.KEPT``; empty where the server has no nodes. How they stand now is in ``frame``."""
    steering: tuple[SteerRow, ...] = ()
    """The last ``fold.KEPT``."""
    failures: tuple[FailureRow, ...] = ()
    """The last ``fold.KEPT_FAILURES`` results that were FAILED or UNKNOWN."""
    storage_before: Mapping[str, int] = {}
    storage_after: Mapping[str, int] = {}
    unknown_open: int = 0
    """UNKNOWN operations of this run not yet resolved."""
    unknown: tuple[OpenOperation, ...] = ()
    """The oldest ``fold.KEPT`` of them."""
    in_flight: int = 0
    """Invoked and not returned; in the journal of a killed run these are UNKNOWN too."""
    server_log_offset: int = 0
    """Of the last event that carried one."""
    server_log_bytes: int = 0
    rates: Rates = Rates()
    gaps: int = 0
    """Holes or repetitions in ``seq``: the verdict is then INCONCLUSIVE at best."""
    frame: Frame | None = None
    """The latest telemetry: processes, directories, caches, what the server tells."""
    end: EndView | None = None
