"""Where a repository's files live: the seam under everything else, and what passes through it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from seatrial.context import Context

Bytes = bytes | bytearray | memoryview


class Kind(str, Enum):
    """The kinds of files; the value is the directory's name, on disk and over REST."""

    CONFIG = "config"
    """One file, whose name is empty."""
    KEY = "keys"
    SNAPSHOT = "snapshots"
    INDEX = "index"
    LOCK = "locks"
    PACK = "data"


class Entry(NamedTuple):
    """One row of a listing."""

    name: str
    size: int
    """Bytes."""


class Store(Protocol):
    """Files that are written once and never changed, named by the SHA-256 of their content (``config`` alone is not).

    Every call honours the context's deadline and cancellation. A call that has returned took effect for every later call of anybody.
    Errors are ``RepositoryError`` with the causes of ``Cause``. Threading: one thread at a time.
    """

    def create(self, ctx: Context) -> None:
        """Make the places for files. Idempotent."""

    def get(self, ctx: Context, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """A whole file or exactly that part of it. MISSING; CORRUPT where the file ends before the part does."""

    def put(self, ctx: Context, kind: Kind, name: str, data: Bytes) -> None:
        """Keep a new file. A file of this name that is there already is an error (DENIED), unless it is our own lost attempt."""

    def entries(self, ctx: Context, kind: Kind) -> Sequence[Entry]:
        """All files of a kind, in any order; names that are no SHA-256 are left out. MISSING where the store has no such place."""

    def size(self, ctx: Context, kind: Kind, name: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def delete(self, ctx: Context, kind: Kind, name: str) -> None:
        """Remove a file. Removing what is not there is fine."""

    def close(self) -> None:
        """Give back connections. Idempotent, never raises."""


def is_name(name: str) -> bool:
    """Whether a name is 64 lower-case hexadecimal digits; other names are not ours to touch."""
    return len(name) == 64 and not name.strip("0123456789abcdef")


def label(kind: Kind, name: str) -> str:
    """How a file is called in messages."""
    return f"{kind.value}/{name}" if name else kind.value


class FileCache(Protocol):
    """Copies of immutable files near by. Never raises; what it gives may be damaged, so that the reader verifies and discards.

    Threading: one thread at a time, and its own figures may be read by any.
    """

    @property
    def holds_packs(self) -> bool:
        """Whether whole packs fit, so that it is worth fetching them whole."""

    def read(self, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        """A file or a part of it; None where it is not here."""

    def write(self, kind: Kind, name: str, data: Bytes) -> None:
        """Keep a copy, if there is room."""

    def discard(self, kind: Kind, name: str) -> None:
        """Drop a damaged or outdated copy."""
