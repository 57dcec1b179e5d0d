"""Merkle trees over keys and versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

DEFAULT_CHUNK_SIZE = 128


class MerkleEntry(NamedTuple):
    """What a node holds of a key."""

    key: str
    version: int
    origin: str
    """Of an item; empty for a tombstone, which beats an item of its version whoever made it."""


@dataclass(slots=True)
class MerkleTree:
    """Leaves of ``chunk_size`` entries each, in the order of the keys; ``scope`` is the id of the node with which the keys are shared.

    A leaf tells keys and versions, as a Go peer's does. Two writers that know nothing of one another give one version twice, and by the
    leaves alone two such values would stand beside each other for ever: ``origin_hashes`` tells the writers, one hash to a leaf, and
    is empty where the peer does not tell.
    """

    leaf_hashes: list[bytes] = field(default_factory=list)
    root: bytes = b""
    chunk_size: int = DEFAULT_CHUNK_SIZE
    scope: str = ""
    origin_hashes: list[bytes] = field(default_factory=list)

    def diff_leaf_ranges(self, other: MerkleTree | None) -> list[int]:
        """Indexes of my leaves that differ; all of them where the trees have different shapes."""
        if other is None:
            return []
        if len(self.leaf_hashes) != len(other.leaf_hashes) or self.chunk_size != other.chunk_size:
            return list(range(len(self.leaf_hashes)))
        differing = _differing(self.leaf_hashes, other.leaf_hashes)
        if len(self.origin_hashes) == len(other.origin_hashes):
            differing |= _differing(self.origin_hashes, other.origin_hashes)
        return sorted(differing)


def build_merkle(entries: Iterable[tuple[str, int]], chunk_size: int) -> MerkleTree:
    """The tree of (key, version) entries, each key once, in any order. It tells no writers."""
    tree = build_sorted(sorted(MerkleEntry(key, version, "") for key, version in entries), chunk_size)
    tree.origin_hashes.clear()
    return tree


def build_sorted(entries: list[MerkleEntry], chunk_size: int, scope: str = "") -> MerkleTree:
    """The tree of entries in order, each key once."""
    size = chunk_size if chunk_size > 0 else DEFAULT_CHUNK_SIZE
    chunks = [entries[start : start + size] for start in range(0, len(entries), size)]
    leaves = [_leaf(chunk) for chunk in chunks]
    return MerkleTree(leaves, _root(leaves), size, scope, [_origins(chunk) for chunk in chunks])


def _leaf(entries: list[MerkleEntry]) -> bytes:
    return sha256(b"".join(key.encode() + version.to_bytes(8, "big") for key, version, _ in entries)).digest()


def _origins(entries: list[MerkleEntry]) -> bytes:
    return sha256("\0".join(entry.origin for entry in entries).encode()).digest()


def _differing(mine: list[bytes], theirs: list[bytes]) -> set[int]:
    return {index for index, (one, other) in enumerate(zip(mine, theirs, strict=True)) if one != other}


def _root(level: list[bytes]) -> bytes:
    if not level:
        return b""
    while len(level) > 1:
        paired = [sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]
