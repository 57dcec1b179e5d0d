"""Merkle trees over keys and versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

DEFAULT_CHUNK_SIZE = 128


@dataclass(slots=True)
class MerkleTree:
    """Leaves of ``chunk_size`` entries each, in the order of the keys; ``scope`` is the id of the node with which the keys are shared."""

    leaf_hashes: list[bytes] = field(default_factory=list)
    root: bytes = b""
    chunk_size: int = DEFAULT_CHUNK_SIZE
    scope: str = ""

    def diff_leaf_ranges(self, other: MerkleTree | None) -> list[int]:
        """Indexes of my leaves that differ; all of them where the trees have different shapes."""
        if other is None:
            return []
        if len(self.leaf_hashes) != len(other.leaf_hashes) or self.chunk_size != other.chunk_size:
            return list(range(len(self.leaf_hashes)))
        pairs = zip(self.leaf_hashes, other.leaf_hashes, strict=True)
        return [index for index, (mine, theirs) in enumerate(pairs) if mine != theirs]


def build_merkle(entries: Iterable[tuple[str, int]], chunk_size: int) -> MerkleTree:
    """The tree of (key, version) entries, each key once, in any order."""
    return build_sorted(sorted(entries), chunk_size)


def build_sorted(entries: list[tuple[str, int]], chunk_size: int, scope: str = "") -> MerkleTree:
    """``build_merkle`` of entries in order."""
    size = chunk_size if chunk_size > 0 else DEFAULT_CHUNK_SIZE
    leaves = [_leaf(entries[start : start + size]) for start in range(0, len(entries), size)]
    return MerkleTree(leaves, _root(leaves), size, scope)


def _leaf(entries: list[tuple[str, int]]) -> bytes:
    return sha256(b"".join(key.encode() + version.to_bytes(8, "big") for key, version in entries)).digest()


def _root(level: list[bytes]) -> bytes:
    if not level:
        return b""
    while len(level) > 1:
        paired = [sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]
