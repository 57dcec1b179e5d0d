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


class ServerFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server says of itself, where the target tells."""

    requests: dict[str, int] = {}
    """Count by kind since its start."""
    latency_ms_p95: dict[str, float] = {}
    stored_bytes: int = 0
    quota_bytes: int = 0
    connections: int = 0
    restarts: int = 0


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
