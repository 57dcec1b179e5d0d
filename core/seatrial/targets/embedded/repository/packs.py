"""Packs: blobs one after the other, then a sealed header that names them, then the header's length."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from seatrial.targets.embedded.repository.crypto import OVERHEAD, SealKey, sha256
from seatrial.targets.embedded.repository.errors import corrupt
from seatrial.targets.embedded.repository.store import Bytes

PACK_BYTES = 16 << 20
"""A pack is closed once it holds so much (restic's default), so that it ends between this and this plus one blob."""
HEADER_BYTES_MAX = 16 << 20
_PLAIN = struct.Struct("<BI32s")
_COMPRESSED = struct.Struct("<BII32s")
_LENGTH = struct.Struct("<I")
_COMPRESSED_BIT = 2


class BlobType(IntEnum):
    """What a blob holds; the value is the type byte of a header entry, before the compression bit."""

    DATA = 0
    TREE = 1

    @property
    def word(self) -> str:
        """As the index writes it."""
        return self.name.lower()


class Blob(NamedTuple):
    """One blob in a pack."""

    type: BlobType
    id: bytes
    """SHA-256 of the plaintext, 32 bytes."""
    offset: int
    length: int
    """Bytes stored, seal included."""
    uncompressed: int
    """Bytes of the plaintext where it is compressed, else 0."""

    @property
    def size(self) -> int:
        """Bytes of the plaintext."""
        return self.uncompressed or self.length - OVERHEAD

    @property
    def header_bytes(self) -> int:
        """What it takes in the header."""
        return (_COMPRESSED if self.uncompressed else _PLAIN).size


class Pack(NamedTuple):
    """A finished pack."""

    name: str
    data: Bytes
    blobs: list[Blob]


def pack_size(blobs: list[Blob]) -> int:
    """Bytes that a pack of exactly these blobs has."""
    return sum(blob.length + blob.header_bytes for blob in blobs) + OVERHEAD + _LENGTH.size


class PackBuilder:
    """Gathers the blobs of one type. Owner: one writer."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._blobs: list[Blob] = []

    @property
    def full(self) -> bool:
        return len(self._data) >= PACK_BYTES

    def __len__(self) -> int:
        return len(self._blobs)

    def add(self, blob_type: BlobType, blob_id: bytes, sealed: Bytes, uncompressed: int) -> None:
        """Append a sealed blob."""
        self._blobs.append(Blob(blob_type, blob_id, len(self._data), len(sealed), uncompressed))
        self._data += sealed

    def finish(self, key: SealKey) -> Pack:
        """Close the pack; the builder is used up."""
        header = key.seal(b"".join(map(_header_entry, self._blobs)))
        self._data += header
        self._data += _LENGTH.pack(len(header))
        return Pack(sha256(self._data), self._data, self._blobs)


def _header_entry(blob: Blob) -> bytes:
    if blob.uncompressed:
        return _COMPRESSED.pack(blob.type | _COMPRESSED_BIT, blob.length, blob.uncompressed, blob.id)
    return _PLAIN.pack(blob.type, blob.length, blob.id)


def parse_header(key: SealKey, pack: Bytes, where: str) -> list[Blob]:
    """The blobs that a whole pack names in its header; CORRUPT unless they fill it exactly."""
    view = memoryview(pack)
    if len(view) < OVERHEAD + _LENGTH.size:
        raise corrupt(f"{len(view)} bytes are too few for a pack", where)
    (header_bytes,) = _LENGTH.unpack(view[-_LENGTH.size :])
    start = len(view) - _LENGTH.size - header_bytes
    if start < 0 or not OVERHEAD <= header_bytes <= HEADER_BYTES_MAX:
        raise corrupt(f"a header of {header_bytes} bytes in a pack of {len(view)}", where)
    blobs, end = _parse_entries(key.open(view[start : start + header_bytes]), where)
    if end != start:
        raise corrupt(f"the header accounts for {end} bytes of blobs, the pack has {start}", where)
    return blobs


def _parse_entries(header: bytes, where: str) -> tuple[list[Blob], int]:
    blobs: list[Blob] = []
    at = offset = 0
    while at < len(header):
        compressed = header[at] & _COMPRESSED_BIT
        shape = _COMPRESSED if compressed else _PLAIN
        if header[at] > (BlobType.TREE | _COMPRESSED_BIT) or at + shape.size > len(header):
            raise corrupt(f"a header entry of type {header[at]} at {at} of {len(header)}", where)
        kind, length, *size, blob_id = shape.unpack_from(header, at)
        blobs.append(Blob(BlobType(kind & ~_COMPRESSED_BIT), blob_id, offset, length, size[0] if size else 0))
        at += shape.size
        offset += length
    return blobs, offset
