"""What the server is told: one JSON document on its standard input, so that nothing of it stands on a command line."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seatrial.config.model import KIB, MIB, ConsistencyName, Nodes

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""SHA-256 of a password, lower-case hex. Passwords are 256-bit tokens, so a fast digest is as good as a slow one."""
USER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$"
UserName = Annotated[str, Meta(pattern=USER_NAME)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a peer may use up. Times of a peer are counted by ``peers.CoarseClock``: they stand still while the server does."""

    connections: Positive = 2048
    """Open at a time; the next ones are answered 503 and closed."""
    unproven: Positive = 1536
    """Of these without a good password so far; when full, the one that has waited longest makes room."""
    unproven_s: Seconds = 2.0
    """How long a connection is safe from making room: plenty for a handshake and a first request of an honest client."""
    header_bytes: Positive = 16 * KIB
    """Looked at whenever a header is not complete yet: one read of 16 KiB more may pass."""
    header_s: Seconds = 10.0
    """From the accept, or from a request's first byte, to the end of its header; handshake included."""
    idle_s: Seconds = 600.0
    """Between two requests. Long: clients keep their connection while they wait at the gate."""
    body_silence_s: Seconds = 10.0
    """How far a body may fall behind ``body_rate_bytes_s``; the longest silence in it. Both directions."""
    body_rate_bytes_s: Positive = 4 * KIB
    body_s: Seconds = 900.0
    """Time spent waiting for one body, all in all."""
    data_bytes: Positive = 256 * MIB
    """Of one pack; restic's largest are 128 MiB and a little."""
    other_bytes: Positive = 64 * MIB
    """Of one index, snapshot, lock, key or config."""
    control_bytes: Positive = 4 * KIB
    stranger_bytes: Positive = MIB
    """Read of a body whose sender gave no good password, so that the refusal still reaches an honest one."""
    failures: Positive = 3
    """Wrong passwords on one connection before it is closed."""
    failure_delay_s: Annotated[float, Meta(ge=0)] = 0.2
    """A refusal's delay; the thread sleeps, so that guessing costs the guesser time and us none."""
    linger_s: Seconds = 2.0
    """After the last answer on a connection whose peer still sends."""
    drain_s: Seconds = 5.0
    """For running requests at SIGTERM."""
    tick_s: Seconds = 0.25
    """How often deadlines are looked at."""
    slow_s: Seconds = 1.0
    """Requests longer than this are logged."""
    access_log_bytes: Positive = 64 * MIB
    """Of ``access.log``; one older file of the same size is kept."""


class Admin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one user who may do all."""

    user: UserName
    password_sha256: Digest


NodeOrder = Literal["up", "down", "drained", "split"]
"""How a node is to be. up: started again where it is down, and joined to the others where it is split from them; down: ended, with all that
it holds; drained: ended, after it has handed over what it holds; split: cut off from the others and from the server, running."""


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nodes on which blobs lie."""

    nodes: Nodes
    replication: Nodes
    write_consistency: ConsistencyName
    read_consistency: ConsistencyName
    node_memory_bytes: Annotated[int, Meta(ge=0)]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. Paths are absolute."""

    repository: str
    """Directory of the one repository that is served."""
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")] = "repository"
    """Its name in the URL: ``https://host:port/<name>/``."""
    state_directory: str
    """Certificate, key and users; made with mode 0700."""
    access_log: str
    ready_file: str
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    bind_retry_s: Annotated[float, Meta(ge=0)] = 0.0
    """How long a port in use is tried again: for a restart on the same port."""
    fsync: bool = True
    quota_bytes: Annotated[int, Meta(ge=0)] = 0
    append_only: bool = False
    """Clients delete nothing but locks."""
    cluster: ClusterConfig | None = None
    """None for files below ``repository``."""
    admin: Admin
    limits: Limits = msgspec.field(default_factory=Limits)
