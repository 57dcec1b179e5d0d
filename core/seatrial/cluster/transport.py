"""How a node reaches its peers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.items import Entry, Item, Tombstone
from seatrial.cluster.merkle import MerkleTree
from seatrial.cluster.node import GossipMember


class Transport(ABC):
    """Calls to peers by node id. Every method may raise TransportError; an unknown peer is a BackendNotFoundError.

    Threading: any thread; nobody calls with a lock held.
    """

    @abstractmethod
    def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
        """Have a peer store ``item``: with ``replicate`` also on the other owners. None where the peer does not say what became of it.

        A version of 0 with ``replicate`` has the peer coordinate the write; QuorumFailedError comes back.
        """

    @abstractmethod
    def forward_get(self, node_id: str, key: str) -> Item | None:
        """A copy of what the peer itself holds."""

    @abstractmethod
    def forward_remove(self, node_id: str, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        """Have a peer delete: with ``replicate`` as coordinator, else by the given tombstone."""

    @abstractmethod
    def health(self, node_id: str, timeout: float | None = None) -> None:
        """Returns where the peer is well; ``timeout`` in seconds."""

    @abstractmethod
    def indirect_health(self, relay_id: str, target_id: str, timeout: float | None = None) -> None:
        """Returns where ``relay_id`` finds ``target_id`` well."""

    @abstractmethod
    def gossip(self, target_id: str, members: Sequence[GossipMember]) -> None:
        """Tell a peer what this node believes of all members."""

    @abstractmethod
    def fetch_merkle(self, node_id: str, scope: str = "") -> MerkleTree:
        """The peer's tree; with ``scope`` (the caller's own id) of the keys that both own, which the tree then echoes."""

    @abstractmethod
    def list_keys(self, node_id: str, pattern: str = "") -> list[str]:
        """Keys of the items that the peer itself holds."""

    def forward_entry(self, node_id: str, key: str) -> Entry:
        """``forward_get``, with the tombstone where the peer can tell it."""
        return self.forward_get(node_id, key), None

    def list_tombstones(self, node_id: str) -> dict[str, Tombstone]:
        """The peer's tombstones; none where it cannot tell them."""
        return {}
