"""The facts of a run. Everything a person sees is a fold over these.

An event says what happened; the ``Record`` around it, which the journal makes, says when, where and in which order. Field names end
in their unit. New fields need a default: an old journal must stay readable.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from seatrial.history.histogram import HistogramData
from seatrial.verdicts import Outcome, Verdict

JOURNAL_FORMAT = 1
"""Raised when an old reader would misjudge a new journal."""


class Base(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Root of all events; the tag is the word on disk."""


class PlanEvent(Base, frozen=True, kw_only=True, tag="plan"):
    """The first event of every journal: all that is needed to run the same plan again."""

    format: int = JOURNAL_FORMAT
    run_id: str
    preset: str
    seed: int
    target: str
    target_version: str = ""
    repo_path_prefix: str
    settings: dict[str, Any]
    """The resolved ``Preset`` as builtins, after the seed has drawn what it draws."""
    command: list[str] = []
    """The command that runs this plan again, as an argument vector. No secrets."""
    seatrial_version: str = ""
    python_version: str = ""
    platform: str = ""


class ClientJoined(Base, frozen=True, kw_only=True, tag="client-joined"):
    """A client exists from here on."""

    client: str
    index: int
    data_directory: str = ""
    cache_directory: str = ""
    program: str = ""
    """Name and version of what acts as this client, where the target tells."""


class ClientLeft(Base, frozen=True, kw_only=True, tag="client-left"):
    """A client has been removed and cleaned up."""

    client: str


class ActionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One action over all runs under the prefix."""

    action: str
    count: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    noop: int = 0
    bytes: int = 0
    service: HistogramData = HistogramData()
    """Without no-ops."""
    queue: HistogramData = HistogramData()


class FormerRuns(Base, frozen=True, kw_only=True, tag="former-runs"):
    """Statistics of all earlier runs under the prefix. Together with this run's own they are the cumulative ones."""

    runs: int
    actions: list[ActionTotals]


class Phase(Base, frozen=True, kw_only=True, tag="phase"):
    """A phase of the trial begins or ends."""

    name: Literal["setup", "chaos", "heal", "quiesce", "verify", "report"]
    state: Literal["begin", "end"]
    planned_s: float = 0.0
    """How long it may take or is meant to take; 0 where nobody knows."""
    total: int = 0
    """Units of work ahead (verify: live snapshots); 0 where nobody knows."""
    detail: str = ""
    server_log_offset: int = 0


class Invoke(Base, frozen=True, kw_only=True, tag="invoke"):
    """An action is about to begin. For a mutating action this is on disk before its first byte leaves."""

    op: str
    """``<run>/<n>`` without the run: unique within the run; the target stores ``seatrial-op=<run>/<op>``."""
    client: str
    action: str
    index: int
    """Action index of this client, from 0."""
    mutates: bool
    options: dict[str, Any] = {}
    snapshot: str = ""
    """The snapshot it acts on, once chosen; empty for creates and for actions without one."""
    queue_s: float = 0.0
    """How long it waited at the gate."""


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an operation did not return well."""

    cause: str
    message: str
    remedy: str = ""


class Result(Base, frozen=True, kw_only=True, tag="result"):
    """An action has returned."""

    op: str
    client: str
    action: str
    outcome: Outcome
    noop: bool = False
    error: ErrorInfo | None = None
    options_used: dict[str, Any] = {}
    snapshot: str = ""
    """Made, restored or deleted."""
    root: str = ""
    """Hex root of the fingerprint made (create) or found (restore)."""
    equal: bool | None = None
    """Restores: whether what came back is what went in. ``verify-repository``: whether the target calls itself whole."""
    listed: list[str] | None = None
    """For ``list-snapshots``: the ids seen, sorted."""
    freed_bytes: int = 0
    """For ``run-gc``."""
    files: int = 0
    bytes: int = 0
    """Read, written or restored by the action."""
    service_s: float = 0.0
    queue_s: float = 0.0


class Trees(Base, frozen=True, kw_only=True, tag="trees"):
    """What a create is about to store, written before its first byte leaves: so that a create that is never heard of again can
    still be verified once it is found. ``nodes`` are the fingerprint nodes not seen before under this prefix, by hex id."""

    op: str
    root: str
    nodes: dict[str, bytes]


class Resolved(Base, frozen=True, kw_only=True, tag="resolved"):
    """An UNKNOWN operation has been observed: OK means it happened, FAILED that it never will."""

    op: str
    run_id: str
    snapshot: str = ""
    outcome: Outcome
    how: str


class Recovered(Base, frozen=True, kw_only=True, tag="recovered"):
    """A client whose disk was full has emptied its data directory and restored a live snapshot into it."""

    client: str
    snapshot: str = ""
    """Restored; empty where none was live."""


class ServerEvent(Base, frozen=True, kw_only=True, tag="server"):
    """The server's process, as seen from outside."""

    state: Literal["starting", "ready", "stopping", "stopped", "died"]
    pid: int = 0
    address: str = ""
    exit_code: int | None = None
    detail: str = ""
    server_log_offset: int = 0


class NodeEvent(Base, frozen=True, kw_only=True, tag="node"):
    """A node of the cluster on which the server keeps its blobs has come to another state."""

    node: str
    state: Literal["up", "recovering", "draining", "split", "down"]
    """As ``frames.NodeStateName``."""
    detail: str = ""


class ClusterEvent(Base, frozen=True, kw_only=True, tag="cluster"):
    """The ring, once; then what the nodes did since the last event of this kind, where they did anything."""

    ring: str = ""
    hints_queued: int = 0
    """Writes that a node missed and others keep for it."""
    hints_replayed: int = 0
    hints_waiting: int = 0
    """Now."""
    repairs: int = 0
    """Copies that a read has put right."""
    pulled: int = 0
    """Keys that anti-entropy has brought."""
    quorum_failures: int = 0
    """Writes that too few owners acknowledged."""


class Fault(Base, frozen=True, kw_only=True, tag="fault"):
    """A disturbance injected on purpose."""

    fault: str
    state: Literal["planted", "begin", "end"]
    detail: str = ""


class Finding(Base, frozen=True, kw_only=True, tag="finding"):
    """A check has something to say. Findings of one ``group`` are one defect seen several times."""

    id: str
    group: str
    check: str
    verdict: Verdict
    message: str
    remedy: str = ""
    client: str = ""
    """The client that saw it."""
    owner: str = ""
    """The client that made the snapshot."""
    op: str = ""
    snapshot: str = ""
    path: str = ""
    damage: str = ""
    """missing, extra, stale, foreign, shifted, zeroed, truncated, flipped, mode, link, kind, size, unreadable, ..."""
    expected: str = ""
    actual: str = ""
    detail: list[str] = []
    """Lines for a person: the difference, hex around it."""
    last_good_ns: int = 0
    evidence: str = ""
    """Directory under the run directory."""
    server_log_offset: int = 0


class NotRun(Base, frozen=True, kw_only=True, tag="not-run"):
    """What the preset asks for and did not take place: an action that cannot be asked of this server, a fault whose turn never came."""

    action: str
    why: str
    planned: bool = False
    """It is a step that every client was to take, not one that chance may draw."""


class StorageStats(Base, frozen=True, kw_only=True, tag="storage"):
    """Bytes of regular files under each directory worth logging; -1 where it cannot be read."""

    when: Literal["before", "after"]
    directories: dict[str, int]


class Steer(Base, frozen=True, kw_only=True, tag="steer"):
    """Somebody drove the run from outside."""

    command: str
    """pause, resume, stop, gc, remark, ..."""
    argument: str = ""
    by: str = ""


class RunEnded(Base, frozen=True, kw_only=True, tag="end"):
    """The last event of a run that ended by its own will."""

    verdict: Verdict
    exit_code: int
    reason: str = ""
    aborted: bool = False


Event = (
    PlanEvent
    | FormerRuns
    | ClientJoined
    | ClientLeft
    | Phase
    | Invoke
    | Result
    | Trees
    | Resolved
    | Recovered
    | ServerEvent
    | NodeEvent
    | ClusterEvent
    | Fault
    | Finding
    | NotRun
    | StorageStats
    | Steer
    | RunEnded
)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a journal."""

    seq: int
    """From 1, without gaps, over all segments of the run."""
    at_ns: int
    """Wall time in UTC."""
    host: str = ""
    """Where it happened; empty for the host of the engine."""
    event: Event
