"""What a node can be told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.cluster.chaos import Chaos
from seatrial.cluster.consistency import Consistency
from seatrial.cluster.errors import InsecureAuthConfigError
from seatrial.cluster.membership import Membership
from seatrial.cluster.node import Node
from seatrial.cluster.spans import Span
from seatrial.cluster.transport import Transport

if TYPE_CHECKING:
    from seatrial.cluster.tls import TLSConfig

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPLimits:
    """Bounds of the HTTP transport: sizes in bytes, times in seconds. Zero and below mean the default.

    ``compression_threshold`` is the size of a set body above which it travels as gzip, 0 for never. ``concurrency`` is how many
    connections the listener serves at once.
    """

    body_limit: int = 16 * MIB
    response_limit: int = 16 * MIB
    read_timeout: float = 5.0
    write_timeout: float = 5.0
    idle_timeout: float = 60.0
    concurrency: int = 262_144
    client_timeout: float = 5.0
    tls: TLSConfig | None = None
    compression_threshold: int = 0

    def normalised(self) -> HTTPLimits:
        """With the defaults filled in."""
        plain = HTTPLimits()
        names = ("body_limit", "response_limit", "read_timeout", "write_timeout", "idle_timeout", "concurrency", "client_timeout")
        return replace(self, **{name: getattr(plain, name) for name in names if getattr(self, name) <= 0})


class InboundRequest(Protocol):
    """What ``server_verify`` is given."""

    @property
    def path(self) -> str:
        """The path without the query."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""


@dataclass(frozen=True, slots=True)
class HTTPAuth:
    """Who may ask, and how this node asks. ``server_verify`` raises to refuse and replaces the token; ``client_sign`` adds headers."""

    token: str = ""
    server_verify: Callable[[InboundRequest], object] | None = None
    client_sign: Callable[[MutableMapping[str, str], str, str], object] | None = None
    allow_anonymous_inbound: bool = False

    def validate(self) -> None:
        """Raises InsecureAuthConfigError where requests would be signed and anybody's accepted."""
        if self.client_sign and not (self.token or self.server_verify or self.allow_anonymous_inbound):
            raise InsecureAuthConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DistOptions:
    """A node's options; durations in seconds, sizes in bytes, and 0 turns off what the name says unless told otherwise below.

    ``address`` is what peers are told, ``bind_address`` where to listen if elsewhere. With an injected ``membership`` its ring decides
    replication and virtual nodes. ``clock`` and ``seed`` are for tests: time, and the choices of peers to probe and to gossip with.
    """

    node_id: str = ""
    address: str = ""
    bind_address: str = ""
    seeds: Sequence[str] = ()
    membership: Membership | None = None
    local_node: Node | None = None
    transport: Transport | None = None
    replication: int = 1
    virtual_nodes: int = 0
    shard_count: int = 8
    capacity: int = 0
    read_consistency: Consistency = Consistency.ONE
    write_consistency: Consistency = Consistency.QUORUM
    parallel_reads: bool = False
    hint_ttl: float = 0.0
    hint_replay_interval: float = 0.0
    hint_max_per_node: int = 0
    hint_max_total: int = 0
    hint_max_bytes: int = 0
    heartbeat_interval: float = 0.0
    heartbeat_suspect_after: float = 0.0
    heartbeat_dead_after: float = 0.0
    heartbeat_sample: int = 0
    indirect_probe_k: int = 0
    indirect_probe_timeout: float = 0.0
    gossip_interval: float = 0.0
    merkle_chunk_size: int = 0
    merkle_auto_sync_interval: float = 0.0
    merkle_auto_sync_peers: int = 0
    merkle_max_backoff_factor: int = 0
    merkle_infer_deletes: bool = False
    list_keys_cap: int = 0
    tombstone_ttl: float = 0.0
    tombstone_sweep_interval: float = 0.0
    rebalance_interval: float = 0.0
    rebalance_batch_size: int = 128
    rebalance_max_concurrent: int = 2
    replica_diff_max_per_tick: int = 0
    removal_grace: float = 0.0
    read_repair_batch_interval: float = 0.0
    read_repair_batch_size: int = 0
    http_limits: HTTPLimits = field(default_factory=HTTPLimits)
    http_auth: HTTPAuth = field(default_factory=HTTPAuth)
    chaos: Chaos | None = None
    enforce_expiration: bool = True
    logger: logging.Logger | None = None
    on_span: Callable[[Span], None] | None = None
    clock: Clock = SYSTEM_CLOCK
    seed: int | None = None

    def normalised(self) -> DistOptions:
        """With what is out of range replaced as each option says."""
        batching = self.read_repair_batch_interval > 0 and self.read_repair_batch_size > 0
        return replace(
            self,
            seeds=tuple(filter(None, self.seeds)),
            replication=max(self.replication, 1),
            shard_count=self.shard_count if self.shard_count > 0 else 8,
            hint_max_per_node=max(self.hint_max_per_node, 0),
            indirect_probe_k=max(self.indirect_probe_k, 0),
            merkle_chunk_size=self.merkle_chunk_size if self.merkle_chunk_size > 0 else 128,
            merkle_max_backoff_factor=max(self.merkle_max_backoff_factor, 0),
            list_keys_cap=max(self.list_keys_cap, 0),
            rebalance_batch_size=self.rebalance_batch_size if self.rebalance_batch_size > 0 else 128,
            rebalance_max_concurrent=self.rebalance_max_concurrent if self.rebalance_max_concurrent > 0 else 2,
            read_repair_batch_interval=self.read_repair_batch_interval if batching else 0.0,
            read_repair_batch_size=self.read_repair_batch_size if batching else 0,
            http_limits=self.http_limits.normalised(),
        )

    @classmethod
    def from_mapping(cls, cfg: Mapping[str, Any]) -> DistOptions:
        """Options from a configuration mapping; an unknown key is a TypeError. Consistencies are numbers or names."""
        unknown = set(cfg) - set(_CONFIG_NAMES)
        if unknown:
            raise TypeError(f"unknown cluster options: {', '.join(sorted(unknown))} (there are: {', '.join(_CONFIG_NAMES)})")
        values = {_CONFIG_NAMES[name]: value for name, value in cfg.items()}
        values["address"] = values.get("address") or values.get("bind_address", "")
        for name in ("read_consistency", "write_consistency"):
            if name in values:
                level = values[name]
                values[name] = Consistency[level.upper()] if isinstance(level, str) else Consistency(level)
        return cls(**values)


_CONFIG_NAMES = {
    "node_id": "node_id",
    "bind_addr": "bind_address",
    "advertise_addr": "address",
    "seeds": "seeds",
    "replication": "replication",
    "virtual_nodes": "virtual_nodes",
    "read_consistency": "read_consistency",
    "write_consistency": "write_consistency",
    "hint_ttl": "hint_ttl",
    "hint_replay": "hint_replay_interval",
    "hint_max_per_node": "hint_max_per_node",
}
