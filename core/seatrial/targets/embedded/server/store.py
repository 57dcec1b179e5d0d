"""Where blobs lie: a protocol of a few methods, so that something else than a file system can stand behind the server."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

import msgspec

from seatrial.history.frames import ClusterFrame
from seatrial.targets.embedded.server.config import NodeOrder

Chunk = bytes | bytearray | memoryview
"""Some bytes on their way. Who gave them may use their memory again for the next."""


class BlobType(str, Enum):
    """The kinds of files a restic repository has; the value is the word in the URL."""

    CONFIG = "config"
    KEYS = "keys"
    LOCKS = "locks"
    SNAPSHOTS = "snapshots"
    INDEX = "index"
    DATA = "data"


class MissingBlob(Exception):
    """No such blob."""


class ExistingBlob(Exception):
    """A blob of that name is there; it has not been touched."""


class NoRoom(Exception):
    """The quota or the disk is full; nothing of the upload is left."""


class BlobEntry(msgspec.Struct, frozen=True):
    """One row of a listing, as version 2 of the protocol spells it."""

    name: str
    size: int


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """How full it is."""

    stored_bytes: int
    """Of blobs; exact."""
    quota_bytes: int
    """0 for none."""


class OpenBlob(Protocol):
    """One blob being read. Threading: one thread."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer, or none, only where the blob has become shorter than ``size``."""

    def close(self) -> None:
        """Idempotent."""


class BlobStore(Protocol):
    """One repository's blobs. Written once, never changed.

    Threading: any thread. Errors: the three above; ``OSError`` for everything else, after which an upload may have happened or not.
    ``name`` is 64 lower-case hex digits, for ``CONFIG`` the empty text; the caller has checked that.
    """

    def create(self) -> None:
        """Make the repository's places. Idempotent."""

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        """Store what ``chunks`` gives, durably where the store promises that; returns its size.

        Visible whole and only when ``chunks`` has ended; when it raises, nothing is left and the exception passes through. Done with a
        chunk before it takes the next. Raises ``ExistingBlob``, ``NoRoom``.
        """

    def open(self, blob_type: BlobType, name: str) -> OpenBlob:
        """For reading. Raises ``MissingBlob``."""

    def size(self, blob_type: BlobType, name: str) -> int:
        """In bytes. Raises ``MissingBlob``."""

    def list(self, blob_type: BlobType) -> list[BlobEntry]:
        """All blobs of the type, in no order: complete, or an ``OSError``. Raises ``MissingBlob`` where the repository was not created."""

    def delete(self, blob_type: BlobType, name: str) -> None:
        """Raises ``MissingBlob``."""

    def stats(self) -> StoreStats:
        """As it is now; does not block."""

    def close(self) -> None:
        """Let go of the repository."""


class UnknownNode(Exception):
    """No node of that name."""


class Nodes(Protocol):
    """Where blobs lie on nodes that can be broken on purpose. Threading: any thread."""

    def frame(self) -> ClusterFrame:
        """How they stand."""

    def order(self, name: str, wanted: NodeOrder) -> None:
        """Have a node be as ``wanted``; returns at once, while it hands over what it holds, or is refilled. Nothing happens where it is
        so already, or cannot come to be so from what it is now. Raises ``UnknownNode``."""
