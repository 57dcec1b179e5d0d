"""What a damaged file must have been: computed from the headers that survived, and proved by its hash where that is known."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from blake3 import blake3

from seatrial.workload.blocks import BLOCK_BYTES, Header, Identity, Own, Pool, Stream, header_path, parse

_ZERO_BLOCK = bytes(BLOCK_BYTES)
_PIECE_BYTES = 1 << 20
_PROOF_BYTES = 2 << 30
"""Computed at most in search of the original of one file, some seconds."""
_OWN_CANDIDATES = 3
_BOUNDARY_CANDIDATES = 8
_GENERATIONS = 128
"""So many on either side of one that was seen, or from the first, are tried."""

Slots = Sequence[Header | None]
"""What each block of 4096 bytes of a file says it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of a file as it was snapshotted."""

    path: bytes
    """Relative to the snapshot's root: the path in a header is that, or ends in it."""
    size: int
    content_hash: bytes = b""
    """BLAKE3 of the content, or its first bytes; empty where it is not known."""
    client: str = ""
    """Empty where it is not known."""
    generation: int = 0
    """0 where it is not known."""

    def is_place_of(self, identity: Identity) -> bool:
        """Whether this identity may belong here, by its path and, where that is known, its client."""
        if not isinstance(identity, Own) or (self.client and identity.client != self.client):
            return False
        path = header_path(self.path)
        return identity.path == path or identity.path.endswith(b"/" + path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The content that a file had: OWN blocks, from ``pool_start`` to ``pool_stop`` (in blocks) POOL blocks, and holes."""

    size: int
    own: Own | None
    pool: Pool | None = None
    pool_start: int = 0
    pool_stop: int = 0
    holes: frozenset[int] = frozenset()
    """Blocks of zeros."""
    proved: bool = False
    """The hash says so."""

    @property
    def blocks(self) -> int:
        return -(-self.size // BLOCK_BYTES)

    def header(self, block: int) -> Header | None:
        """What block ``block`` was; None for a hole, and where nobody knows."""
        if block in self.holes:
            return None
        if self.pool is not None and self.pool_start <= block < self.pool_stop:
            return Header(self.pool, (block - self.pool_start) % self.pool.blocks)
        return Header(self.own, block) if self.own else None

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset`` on, fewer at the end; offset and length are free."""
        stop = min(self.size, offset + length)
        if offset < 0 or offset >= stop:
            return b""
        first, last = offset // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
        content = b"".join(self._blocks(first, last))
        return content[offset - first * BLOCK_BYTES : stop - first * BLOCK_BYTES]

    def _blocks(self, first: int, last: int) -> Iterator[bytes | bytearray]:
        """In runs of one stream: a block at a time would cost five times as much."""
        at = first
        while at < last:
            header, count = self.header(at), 1
            while at + count < last and self._continues(header, self.header(at + count), count):
                count += 1
            yield _stream(header.identity).content(header.n, count * BLOCK_BYTES) if header else bytes(count * BLOCK_BYTES)
            at += count

    @staticmethod
    def _continues(first: Header | None, other: Header | None, count: int) -> bool:
        if first is None or other is None:
            return first is other
        return first.identity == other.identity and other.n == first.n + count

    def matches(self, content_hash: bytes) -> bool:
        """Whether this is the content of that hash."""
        hasher = blake3()
        for offset in range(0, self.size, _PIECE_BYTES):
            hasher.update(self.read(offset, _PIECE_BYTES))
        return hasher.digest(len(content_hash)) == content_hash


@lru_cache(maxsize=64)
def _stream(identity: Identity) -> Stream:
    return Stream(identity)


def scan(data: memoryview) -> list[Header | None]:
    """What each whole or last block of ``data`` says it is."""
    return [parse(data[offset : offset + BLOCK_BYTES]) for offset in range(0, len(data), BLOCK_BYTES)]


def find_original(data: memoryview, slots: Slots, expected: Expected) -> Original | None:
    """The original that the hash proves; else the likeliest one; None where nothing of ours is in sight."""
    owners = _owners(slots, expected)
    likely = [*_likely(data, owners, slots, expected.size)]
    budget = _PROOF_BYTES
    for candidate in itertools.chain(likely, _guesses(owners, expected)):
        budget -= candidate.size + BLOCK_BYTES
        if not expected.content_hash or budget < 0:
            break
        if candidate.matches(expected.content_hash):
            return replace(candidate, proved=True)
    return likely[0] if likely else None


def is_zero(data: memoryview) -> bool:
    """Whether all bytes are zero."""
    pieces = (data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES))
    return all(piece == _ZERO_BLOCK[: len(piece)] for piece in pieces)


def _likely(data: memoryview, owners: Sequence[Own], slots: Slots, size: int) -> Iterator[Original]:
    """What the headers in sight speak for, the likeliest first; each without holes, then with those of a sparse file."""
    holes = _holes(data, slots)
    choices: list[Own | None] = [*owners] or [None]
    for own in choices:
        for original in _layouts(own, slots, size):
            yield original
            yield from (replace(original, holes=blocks) for blocks in holes)


def _holes(data: memoryview, slots: Slots) -> list[frozenset[int]]:
    """The blocks of zeros; and these with the damaged ones between them."""
    zeros = [i for i in range(len(slots)) if is_zero(data[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES])]
    if not zeros:
        return []
    between = frozenset(i for i in range(zeros[0], zeros[-1]) if slots[i] is None)
    return list(dict.fromkeys((frozenset(zeros), between | frozenset(zeros))))


def _owners(slots: Slots, expected: Expected) -> list[Own]:
    """Who may have written the file: who is known to, then those found in it, of this path before others."""
    if expected.client and expected.generation:
        return [Own(client=expected.client, path=header_path(expected.path), generation=expected.generation)]
    found: Counter[Own] = Counter(slot.identity for slot in slots if slot and isinstance(slot.identity, Own))
    ranked = sorted(found, key=lambda own: (not expected.is_place_of(own), -found[own]))
    return ranked[:_OWN_CANDIDATES]


def _guesses(owners: Sequence[Own], expected: Expected) -> Iterator[Original]:
    """Other generations of the same file, to be proved by the hash."""
    place = next((own for own in owners if expected.is_place_of(own)), None)
    client = expected.client or (owners[0].client if owners else "")
    if not client:
        return
    path, centre = (place.path, place.generation) if place else (header_path(expected.path), 0)
    for step in range(1, _GENERATIONS + 1):
        for generation in (centre + step, centre - step):
            if generation > 0:
                yield Original(size=expected.size, own=Own(client=client, path=path, generation=generation))


def _layouts(own: Own | None, slots: Slots, size: int) -> Iterator[Original]:
    """Where the POOL run of a file is: none, all, at its end or at its start (``draws``)."""
    pools: Counter[Pool] = Counter(slot.identity for slot in slots if slot and isinstance(slot.identity, Pool))
    if pools:
        yield from _pool_layouts(own, pools.most_common(1)[0][0], slots, size)
    if own:
        yield Original(size=size, own=own)


def _pool_layouts(own: Own | None, pool: Pool, slots: Slots, size: int) -> Iterator[Original]:
    blocks = -(-size // BLOCK_BYTES)
    pooled = [(i, slot.n) for i, slot in enumerate(slots) if slot and slot.identity == pool]
    owned = [i for i, slot in enumerate(slots) if slot and slot.identity == own and slot.n == i]
    if not owned:
        yield Original(size=size, own=own, pool=pool, pool_stop=blocks)
    elif pooled[len(pooled) // 2][0] > owned[len(owned) // 2]:
        start = _run_start(pooled, pool)
        yield Original(size=size, own=own, pool=pool, pool_start=max(0, start), pool_stop=blocks)
    else:
        last = max((i for i, n in pooled if n == i % pool.blocks), default=pooled[-1][0])
        # Damaged blocks between the last of the pool and the first of the file's own may be either.
        for stop in range(last + 1, max(last + 1, owned[0]) + 1)[:_BOUNDARY_CANDIDATES]:
            yield Original(size=size, own=own, pool=pool, pool_stop=stop)


def _run_start(pooled: Sequence[tuple[int, int]], pool: Pool) -> int:
    """The first block of a run of which these blocks (place, n) were seen; most of them agree on it."""
    phase = Counter((i - n) % pool.blocks for i, n in pooled).most_common(1)[0][0]
    return next(i - n for i, n in pooled if (i - n) % pool.blocks == phase)
