"""A distributed in-memory key-value backend: a ring of nodes that replicate, hand off, repair, gossip and rebalance.

Volatile by design: values live in memory, and are lost where more owners stop than the write consistency allows for. Helpers for tests
stand in ``seatrial.cluster.testing``.
"""

from __future__ import annotations

from seatrial.cluster.backoff import AutoSyncBackoff
from seatrial.cluster.chaos import Chaos, ChaosTransport, wrap_chaos
from seatrial.cluster.consistency import ApplyResult, Consistency, required_acks
from seatrial.cluster.distmemory import DistMemory
from seatrial.cluster.errors import (
    BackendNotFoundError,
    BadPatternError,
    ChaosDropError,
    ClusterError,
    DrainingError,
    InsecureAuthConfigError,
    InvalidAddressError,
    InvalidExpirationError,
    InvalidKeyError,
    NilValueError,
    NotOwnerError,
    NoTransportError,
    QuorumFailedError,
    ResponseTooLargeError,
    TransportError,
    UnauthorizedError,
)
from seatrial.cluster.eventbus import Event, EventBus, Subscription
from seatrial.cluster.hashing import node_id_for, xxh64
from seatrial.cluster.hints import HintEntry, HintQueue, HintSource
from seatrial.cluster.http_client import HTTPTransport
from seatrial.cluster.inprocess import InProcessTransport
from seatrial.cluster.items import Item, Tombstone
from seatrial.cluster.keys import ListKeysResult
from seatrial.cluster.membership import Membership, StateObserver
from seatrial.cluster.merkle import MerkleTree, build_merkle
from seatrial.cluster.metrics import Counters, DistMetrics
from seatrial.cluster.node import GossipMember, Node, NodeID, NodeState, parse_seed_spec
from seatrial.cluster.options import DistOptions, HTTPAuth, HTTPLimits
from seatrial.cluster.patterns import build_key_matcher
from seatrial.cluster.repair import RepairQueue
from seatrial.cluster.ring import Ring
from seatrial.cluster.spans import Span
from seatrial.cluster.sync import SyncResult
from seatrial.cluster.testing import (
    DistCluster,
    allocate_port,
    find_owner_key,
    setup_in_process_cluster,
    setup_in_process_cluster_rf,
    stop_on_cleanup,
)
from seatrial.cluster.tls import TLSConfig
from seatrial.cluster.transport import Transport

__all__ = [
    "ApplyResult",
    "AutoSyncBackoff",
    "BackendNotFoundError",
    "BadPatternError",
    "Chaos",
    "ChaosDropError",
    "ChaosTransport",
    "ClusterError",
    "Consistency",
    "Counters",
    "DistCluster",
    "DistMemory",
    "DistMetrics",
    "DistOptions",
    "DrainingError",
    "Event",
    "EventBus",
    "GossipMember",
    "HTTPAuth",
    "HTTPLimits",
    "HTTPTransport",
    "HintEntry",
    "HintQueue",
    "HintSource",
    "InProcessTransport",
    "InsecureAuthConfigError",
    "InvalidAddressError",
    "InvalidExpirationError",
    "InvalidKeyError",
    "Item",
    "ListKeysResult",
    "Membership",
    "MerkleTree",
    "NilValueError",
    "NoTransportError",
    "Node",
    "NodeID",
    "NodeState",
    "NotOwnerError",
    "QuorumFailedError",
    "RepairQueue",
    "ResponseTooLargeError",
    "Ring",
    "Span",
    "StateObserver",
    "Subscription",
    "SyncResult",
    "TLSConfig",
    "Tombstone",
    "Transport",
    "TransportError",
    "UnauthorizedError",
    "allocate_port",
    "build_key_matcher",
    "build_merkle",
    "find_owner_key",
    "node_id_for",
    "parse_seed_spec",
    "required_acks",
    "setup_in_process_cluster",
    "setup_in_process_cluster_rf",
    "stop_on_cleanup",
    "wrap_chaos",
    "xxh64",
]
