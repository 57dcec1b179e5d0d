"""Blob stores on clusters, for tests."""

from __future__ import annotations

import io
from typing import Any

from seatrial.clock import SYSTEM_CLOCK
from seatrial.targets.embedded.server.clusternodes import ClusterNodes
from seatrial.targets.embedded.server.clusterstore import ClusterStore
from seatrial.targets.embedded.server.config import ClusterConfig, NodeOrder
from seatrial.targets.embedded.server.log import ServerLog
from tests.support.waiting import eventually


def cluster_store(*, quota_bytes: int = 0, kind: type[ClusterStore] = ClusterStore, **config: Any) -> ClusterStore:
    """Made, and empty: five nodes, three copies, quorums, unless told otherwise."""
    chosen: dict[str, Any] = {
        "nodes": 5,
        "replication": 3,
        "write_consistency": "quorum",
        "read_consistency": "quorum",
        "node_memory_bytes": 1 << 30,
    }
    nodes = ClusterNodes(ClusterConfig(**chosen | config), ServerLog(io.BytesIO(), SYSTEM_CLOCK), SYSTEM_CLOCK)
    store = kind(nodes, quota_bytes=quota_bytes)
    store.create()
    return store


def take_away(store: ClusterStore, wanted: NodeOrder, *names: str) -> None:
    """Stop, drain or split nodes, and wait until they are."""
    for name in names:
        store.order(name, wanted)
    assert eventually(lambda: all(store.nodes.slot(name).state in ("down", "split") for name in names), 30)


def bring_back(store: ClusterStore, *names: str) -> None:
    """Start nodes, or join them again, and wait until they have been refilled."""
    for name in names:
        store.order(name, "up")
    assert eventually(lambda: all(store.nodes.slot(name).state == "up" for name in names), 30)
