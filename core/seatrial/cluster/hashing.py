"""The hashes that Go peers use too: XXH64 for the ring and derived ids, FNV-1a for shards."""

from __future__ import annotations

from functools import lru_cache

import xxhash

_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193


def xxh64(data: bytes) -> int:
    """XXH64 with seed 0."""
    return xxhash.xxh64_intdigest(data)


def fnv1a32(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    value = _FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return value


@lru_cache(maxsize=16_384)  # a byte loop in Python, asked for at every step of a hot key
def shard_index(key: str, shard_count: int) -> int:
    """The shard that holds ``key``; peers see it in the cursor of a key listing."""
    return fnv1a32(key.encode()) % shard_count


def node_id_for(address: str) -> str:
    """The id of a node that was given none: 16 hex digits, XXH64 of the address in little-endian order."""
    return xxh64(address.encode()).to_bytes(8, "little").hex()
