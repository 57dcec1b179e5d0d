"""The consistent-hash ring: which nodes own a key, in which order."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from seatrial.cluster.hashing import xxh64
from seatrial.cluster.node import Node

DEFAULT_VIRTUAL_NODES = 64
_KEYS_REMEMBERED = 4_096
"""Keys whose owners a ring knows without hashing them again: bounds what it takes of memory."""


@lru_cache(maxsize=1024)
def _positions(node_id: str, virtual_nodes: int) -> tuple[tuple[int, str], ...]:
    # A node that stays keeps its places, so a rebuild hashes only newcomers; sorted runs also make the sort a merge.
    prefix = node_id.encode()
    return tuple(sorted((xxh64(prefix + bytes((index % 256,))), node_id) for index in range(virtual_nodes)))


class _Table:
    """One immutable state of the ring. ``owners`` of a key are worked out once while it is among the last asked for."""

    __slots__ = ("hashes", "ids", "owners")

    def __init__(self, places: list[tuple[int, str]], replication: int) -> None:
        self.hashes = [place[0] for place in places]
        self.ids = [place[1] for place in places]
        # Two caches: keys are many, places few, and what a node notes of a key's owners is then one tuple for all keys of a place.
        owners_at = lru_cache(maxsize=None)(partial(_owners_at, self.ids, min(replication, len(set(self.ids)))))
        self.owners = lru_cache(maxsize=_KEYS_REMEMBERED)(partial(_owners, self.hashes, owners_at))


def _owners(hashes: list[int], owners_at: Callable[[int], tuple[str, ...]], key: str) -> tuple[str, ...]:
    return owners_at(bisect_left(hashes, xxh64(key.encode())) % max(len(hashes), 1))


def _owners_at(ids: list[str], replication: int, index: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    while len(found) < replication:
        found[ids[index]] = None
        index = (index + 1) % len(ids)
    return tuple(found)


class Ring:
    """Owners of keys.

    Threading: any thread. ``lookup`` and the views read one immutable table, which the first of them after a ``build`` makes: a message of
    gossip may bring a hundred members, and only the last ring is asked. ``_lock`` guards ``_unbuilt`` and the making.
    """

    def __init__(self, *, replication: int = 1, virtual_nodes: int = DEFAULT_VIRTUAL_NODES) -> None:
        """Values of 0 and below keep the default."""
        self._replication = replication if replication > 0 else 1
        self._virtual_nodes = virtual_nodes if virtual_nodes > 0 else DEFAULT_VIRTUAL_NODES
        self._lock = threading.Lock()
        self._unbuilt: tuple[str, ...] | None = None
        self._table = _Table([], self._replication)

    @property
    def replication(self) -> int:
        """How many owners a key has, where there are as many nodes."""
        return self._replication

    @property
    def virtual_nodes_per_node(self) -> int:
        """How many places on the ring a node has."""
        return self._virtual_nodes

    def build(self, nodes: Iterable[Node]) -> None:
        """Replace the ring by one of ``nodes``; a tie of hashes goes by node id."""
        node_ids = tuple(node.id for node in nodes)
        with self._lock:
            self._unbuilt = node_ids

    def _current(self) -> _Table:
        # Race: the look without the lock sees either None, and then the table of before that is in place, or takes the lock.
        if self._unbuilt is not None:
            with self._lock:
                if self._unbuilt is not None:
                    places = [place for node_id in self._unbuilt for place in _positions(node_id, self._virtual_nodes)]
                    places.sort()
                    self._table = _Table(places, self._replication)
                    self._unbuilt = None
        return self._table

    def owners(self, key: str) -> tuple[str, ...]:
        """``lookup`` without the copy."""
        return self._current().owners(key)

    def lookup(self, key: str) -> list[str]:
        """The owners' ids, the primary first; empty where the ring is."""
        return list(self.owners(key))

    def vnode_hashes(self) -> list[str]:
        """``<016x hash>:<node id>`` of each place, ascending."""
        table = self._current()
        return [f"{value:016x}:{node_id}" for value, node_id in zip(table.hashes, table.ids, strict=True)]
