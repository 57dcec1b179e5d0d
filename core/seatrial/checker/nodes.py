"""What a fingerprint is made of: one node for each directory, named by the hash of its bytes.

A node is the msgpack array of the directory's entries, sorted by raw name. An entry is an array of seven fields, and of an eighth
only where there is more to say:

    name bytes | kind | mode bits, -1 where not compared | uid, -1 | gid, -1 | size | reference | {more}

The reference is the content hash of a file, the node id of a directory, the target of a link, the device number of a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec
from blake3 import blake3

ID_BYTES = 16
"""128 bits of BLAKE3: among a billion of files two share a hash by chance once in 10**20 times, and a node stays small."""

DEFAULT_KEEPS = frozenset({"mode", "owner"})
"""What a target keeps unless it says otherwise."""


class Kind(IntEnum):
    """Kinds of entries."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    FIFO = 3
    SOCKET = 4
    CHARACTER_DEVICE = 5
    BLOCK_DEVICE = 6

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class More(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What few entries have, or few targets keep."""

    mtime_ns: int | None = None
    hardlink: bytes = b""
    """Path from the root to the first name of the same file, in the order of the walk; empty for that first name itself."""
    xattrs: dict[str, bytes] = {}


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One entry of a node, as in the module's docstring."""

    name: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    reference: bytes | int
    more: More | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def encode(entries: Sequence[Entry] | Sequence[Sequence[Any]]) -> bytes:
    """The node's bytes. Entries, or tuples of the same fields: half the time where there are many."""
    return _encoder.encode(entries)


def decode(node: bytes) -> list[Entry]:
    """The entries of a node, sorted by name. Raises ``msgspec.MsgspecError``."""
    return _decoder.decode(node)


def node_id(node: bytes) -> str:
    """Hex id of a node."""
    return blake3(node).hexdigest(ID_BYTES)


def printable(path: bytes) -> str:
    """A path for a person and for one line, of which ``from_printable`` makes the path again.

    What is not UTF-8, a control character or a backslash is escaped.
    """
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in text)


def from_printable(text: str) -> bytes:
    """The raw path of ``printable``'s text."""
    pieces = text.split("\\\\")
    return b"\\".join(_unescape(piece) for piece in pieces)


def _unescape(text: str) -> bytes:
    first, *escaped = text.split("\\x")
    return first.encode() + b"".join(bytes.fromhex(piece[:2]) + piece[2:].encode() for piece in escaped)


def child_ids(node: bytes) -> list[str]:
    """The ids of the directories that a node names: what a store of nodes has to keep along with it."""
    return [entry.reference.hex() for entry in decode(node) if entry.kind is Kind.DIRECTORY and isinstance(entry.reference, bytes)]
