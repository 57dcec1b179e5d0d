"""Telemetry: latest values, one frame a second, may be dropped. Nothing here decides a verdict."""

from __future__ import annotations

from typing import Literal

import msgspec

ClientState = Literal["joining", "idle", "queued", "running", "paused", "leaving", "gone"]


class ClientFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one client does at this moment."""

    state: ClientState
    action: str = ""
    op: str = ""
    since_s: float = 0.0
    """How long it has been in this state."""
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""


class ProcessFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process under psutil."""

    pid: int
    name: str = ""
    cpu_percent: float = 0.0
    """Of one core."""
    rss_bytes: int = 0
    open_files: int = 0
    threads: int = 0


class DirectoryFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One directory worth logging."""

    path: str
    label: str = ""
    """data, metadata, base, cache, ..."""
    size_bytes: int = -1
    """-1 where it cannot be read."""
    files: int = 0
    measured_at_ns: int = 0


class CacheFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One cache: a client's or the server's."""

    owner: str
    """Client id, or ``server``."""
    path: str
    size_bytes: int = 0
    files: int = 0
    limit_bytes: int = 0
    """0 for none."""
    subdirectories: dict[str, int] = {}
    """Bytes by name, as the target reports them."""


NodeStateName = Literal["up", "recovering", "draining", "split", "down"]
"""recovering: it runs, and may lack what the others have; draining: it takes no more writes of its own and hands over what it has;
split: it runs, cut off from the others and from the server."""


class NodeFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a server that keeps its blobs on a cluster."""

    name: str
    state: NodeStateName
    seen: str = ""
    """What the other nodes believe: alive, suspect or dead."""
    keys: int = 0
    size_bytes: int = 0
    """Of the values that it holds now."""
    owned_bytes: int = 0
    """Of the values that it is to hold, held against the limit."""
    ring_places: int = 0
    hints_waiting: int = 0
    """Writes that it missed, kept for it by others."""
    starts: int = 1


class NodeChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node has come to another state."""

    number: int
    """From 1, over all nodes, since the server's start."""
    at_ns: int
    node: str
    state: NodeStateName
    detail: str = ""


class ClusterFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The nodes on which a server keeps its blobs, and what all of them have done since its start."""

    nodes: list[NodeFrame]
    replication: int
    write_consistency: str
    read_consistency: str
    node_memory_bytes: int
    ring_places: int = 0
    hints_queued: int = 0
    hints_replayed: int = 0
    repairs: int = 0
    """Copies that a read has put right."""
    pulled: int = 0
    """Keys that anti-entropy has brought."""
    quorum_failures: int = 0
    """Writes that too few owners acknowledged."""
    changes: list[NodeChange] = []
    """The last ones."""


class ServerFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server says of itself, where the target tells."""

    requests: dict[str, int] = {}
    """Count by kind since its start."""
    latency_ms_p95: dict[str, float] = {}
    stored_bytes: int = 0
    quota_bytes: int = 0
    connections: int = 0
    restarts: int = 0
    cluster: ClusterFrame | None = None
    """Where its blobs lie on nodes."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of telemetry."""

    at_ns: int
    paused: bool = False
    in_flight: int = 0
    waiting: int = 0
    clients: dict[str, ClientFrame] = {}
    processes: dict[str, ProcessFrame] = {}
    """By role: ``engine``, ``server``, ..."""
    directories: list[DirectoryFrame] = []
    caches: list[CacheFrame] = []
    server: ServerFrame | None = None
    server_log_bytes: int = 0
    dropped: int = 0
    """Frames dropped so far."""
