"""A transport between nodes of one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.errors import BackendNotFoundError, NoTransportError
from seatrial.cluster.items import Entry, Item, Tombstone
from seatrial.cluster.merkle import MerkleTree
from seatrial.cluster.node import GossipMember
from seatrial.cluster.patterns import build_key_matcher
from seatrial.cluster.transport import Transport

if TYPE_CHECKING:
    from seatrial.cluster.distmemory import DistMemory


class _Nodes(dict[str, "DistMemory"]):
    """Nodes by id; who is not there cannot be reached."""

    def __missing__(self, node_id: str) -> DistMemory:
        raise BackendNotFoundError


class InProcessTransport(Transport):
    """Calls the registered nodes directly. Threading: any thread; ``_nodes`` is replaced whole under ``_lock`` and read without it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes = _Nodes()

    def register(self, node: DistMemory | None) -> None:
        """Make a node reachable by its current id; None is ignored."""
        if node is not None:
            with self._lock:
                self._nodes = _Nodes(self._nodes | {node.local_node_id: node})

    def unregister(self, node_id: str) -> None:
        """Cut the traffic to a node; it can still call others."""
        with self._lock:
            self._nodes = _Nodes({held: node for held, node in self._nodes.items() if held != node_id})

    def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
        # A coordinator writes version and times into what it was given; a replica only copies from it.
        return self._nodes[node_id].receive_set(item.clone() if replicate else item, replicate)

    def forward_get(self, node_id: str, key: str) -> Item | None:
        return self._nodes[node_id].local_entry(key)[0]

    def forward_entry(self, node_id: str, key: str) -> Entry:
        return self._nodes[node_id].local_entry(key)

    def forward_remove(self, node_id: str, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        self._nodes[node_id].receive_remove(key, replicate, version=version, origin=origin)

    def health(self, node_id: str, timeout: float | None = None) -> None:
        self._nodes[node_id]  # who is registered is well

    def indirect_health(self, relay_id: str, target_id: str, timeout: float | None = None) -> None:
        transport = self._nodes[relay_id].transport
        if transport is None:
            raise NoTransportError
        transport.health(target_id, timeout)

    def gossip(self, target_id: str, members: Sequence[GossipMember]) -> None:
        self._nodes[target_id].accept_gossip(members)

    def fetch_merkle(self, node_id: str, scope: str = "") -> MerkleTree:
        return self._nodes[node_id].build_merkle_tree(scope)

    def list_keys(self, node_id: str, pattern: str = "") -> list[str]:
        matches = build_key_matcher(pattern)
        return [key for key in self._nodes[node_id].local_keys() if matches(key)]

    def list_tombstones(self, node_id: str) -> dict[str, Tombstone]:
        return self._nodes[node_id].local_tombstones()
