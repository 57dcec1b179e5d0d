"""What a node answers to its peers, whatever way they reach it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.items import Entry, Item, Tombstone
from seatrial.cluster.merkle import MerkleTree
from seatrial.cluster.node import GossipMember, Node


class PeerCalls(Protocol):
    """The part of ``DistMemory`` that transports call on behalf of peers. Threading: any thread."""

    def receive_set(self, item: Item, replicate: bool) -> ApplyResult:
        """A peer's set; QuorumFailedError where this node was to coordinate it."""

    def receive_remove(self, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        """A peer's remove."""

    def local_entry(self, key: str) -> Entry:
        """What is held here."""

    def shard_keys(self, index: int) -> list[str] | None:
        """Keys of one shard; None past the last."""

    def local_tombstones(self) -> dict[str, Tombstone]:
        """The tombstones held here."""

    def build_merkle_tree(self, scope: str = "") -> MerkleTree:
        """The tree of the local keys."""

    def accept_gossip(self, members: Iterable[Node | GossipMember]) -> None:
        """What a peer believes."""

    def drain(self) -> None:
        """Take no more writes of the node's own."""
