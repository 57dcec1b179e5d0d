"""Blocks of 4096 bytes that say what they are, so that a wrong byte can be named.

A block is a header and a body. The header holds the identity of its stream and the block's number in it; the body is the stream's
BLAKE3 output at that position, so every byte can be computed again from the header alone:

    magic 4 | crc32 4 | n 8 | length of text 2 | text ... | XOF(text)[n * 4096 + header : (n + 1) * 4096]
    text of OWN   "own" NUL client NUL generation NUL path
    text of POOL  "pool" NUL seed NUL number of blocks

An OWN block belongs in one place of one file, as one write left it: block n lies at n * 4096. POOL blocks are the same wherever a
pool is used and repeat after its number of blocks. A last block is cut where the file ends, within the header if need be.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache

from blake3 import blake3

BLOCK_BYTES = 4096
MAGIC = b"\xf5STR"
"""Begins with a byte that no UTF-8 text holds."""

_FIXED = struct.Struct(">4sIQH")
_NUMBER = struct.Struct(">Q")
_PATH_LIMIT = 1024
"""A longer path is named by its digest and its end: a header must fit its block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What one write put into one file."""

    client: str
    path: bytes
    """Relative to the client's data directory, as ``header_path`` gives it."""
    generation: int
    """Number of the write, from 1, in the life of the client's writer."""

    def __str__(self) -> str:
        return f"{printable(self.path)}, generation {self.generation}, of client {self.client}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Content that several files share on purpose."""

    seed: int
    blocks: int
    """After so many it begins again."""

    def __str__(self) -> str:
        return f"shared pool {self.seed:x}"


Identity = Own | Pool


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a block say."""

    identity: Identity
    n: int


def printable(path: bytes) -> str:
    """A path for a person and for one line: control characters and bytes that are not UTF-8 are escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def header_path(path: bytes) -> bytes:
    """The path as headers carry it: itself, or its digest and its end where it is longer than a header may be."""
    if len(path) <= _PATH_LIMIT:
        return path
    mark = b"...%s..." % blake3(path).hexdigest(16).encode("ascii")
    return mark + path[len(mark) - _PATH_LIMIT :]


class Stream:
    """All blocks of one identity. Threading: immutable, any thread."""

    __slots__ = ("_crc", "_text", "_xof", "header_bytes")

    def __init__(self, identity: Identity) -> None:
        self._text = _encode(identity)
        self._crc = zlib.crc32(self._text)
        self._xof = blake3(self._text)
        self.header_bytes = _FIXED.size + len(self._text)

    def _header(self, n: int) -> bytes:
        return _FIXED.pack(MAGIC, zlib.crc32(_NUMBER.pack(n), self._crc), n, len(self._text)) + self._text

    def content(self, first: int, length: int) -> bytes | bytearray:
        """``length`` bytes from the start of block ``first`` on; the last block may be cut."""
        if length <= BLOCK_BYTES:
            body = self._xof.digest(max(0, length - self.header_bytes), seek=first * BLOCK_BYTES + self.header_bytes)
            return (self._header(first) + body)[:length]
        buffer = bytearray(self._xof.digest(length, seek=first * BLOCK_BYTES))
        for n, at in enumerate(range(0, length, BLOCK_BYTES), first):
            header = self._header(n)
            buffer[at : at + len(header)] = header[: length - at]
        return buffer


def parse(block: bytes | bytearray | memoryview) -> Header | None:
    """The header at the start of ``block``; None where there is none of ours, or not all of it."""
    if len(block) < _FIXED.size or block[: len(MAGIC)] != MAGIC:
        return None
    _, crc, n, length = _FIXED.unpack_from(block)
    text = bytes(block[_FIXED.size : _FIXED.size + length])
    if len(text) != length or zlib.crc32(_NUMBER.pack(n), zlib.crc32(text)) != crc:
        return None
    identity = _decode(text)
    return None if identity is None else Header(identity, n)


def _encode(identity: Identity) -> bytes:
    if isinstance(identity, Own):
        return b"own\0%s\0%d\0%s" % (identity.client.encode(), identity.generation, identity.path)
    return b"pool\0%d\0%d" % (identity.seed, identity.blocks)


@lru_cache(maxsize=1024)
def _decode(text: bytes) -> Identity | None:
    kind, _, rest = text.partition(b"\0")
    try:
        if kind == b"own":
            client, generation, path = rest.split(b"\0", 2)
            return Own(client=client.decode(), path=path, generation=int(generation))
        if kind == b"pool":
            seed, blocks = rest.split(b"\0")
            return Pool(seed=int(seed), blocks=int(blocks))
    except ValueError:
        return None
    return None
