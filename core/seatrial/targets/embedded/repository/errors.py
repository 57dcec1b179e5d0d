"""What can go wrong with a repository, by cause; what an operation makes of it is ``embedded/outcomes.py``."""

from __future__ import annotations

from enum import Enum

from seatrial.errors import Mender, SeatrialError


class Cause(str, Enum):
    """Short stable words by which failures are grouped."""

    CONTENDED = "contended"
    """Another one's lock excludes ours."""
    LOCK_LOST = "lock-lost"
    """Our own lock was removed or went stale while we worked."""
    DENIED = "denied"
    """The server knows us and refuses, or does not know us."""
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a cause, not a secret
    """No key file opens with the repository password."""
    MISSING = "missing"
    """A file is not there."""
    GONE = "missing-data"
    """A file that another one refers to is not there: damage, where MISSING may be a wrong request."""
    CORRUPT = "corrupt"
    """A file is there and is not what was written."""
    NO_SPACE = "no-space"
    """No space left, there or here."""
    REJECTED = "rejected"
    """The server found fault with an upload (wrong hash, too large)."""
    UNREACHABLE = "unreachable"
    """No answer."""
    SERVER_ERROR = "server-error"
    """The server answers that it cannot, now or ever."""
    PROTOCOL = "protocol"
    """An answer that the protocol does not know."""
    SOURCE = "source-unreadable"
    """A file to be backed up cannot be read."""
    LOCAL = "local-io"
    """Our own disk fails us."""
    UNSUPPORTED = "unsupported"
    """A repository or snapshot of a kind that we do not handle."""


class RepositoryError(SeatrialError):
    """One step of ours with the repository did not go well.

    ``maybe_applied`` tells that the very request which failed changes the repository and may have done so: it was sent, and no
    answer that settles it came back. ``pack`` and ``blob`` name the stored bytes at fault, ``path`` the file of the snapshot that needs
    them, as far as they are known.
    """

    mender = Mender.TARGET

    def __init__(self, what: str, *, cause: Cause, maybe_applied: bool = False, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.cause, self.maybe_applied = cause, maybe_applied
        self.pack, self.blob, self.path = "", b"", ""


def corrupt(what: str, where: str = "") -> RepositoryError:
    """An error for bytes that are not what was written."""
    return RepositoryError(what, cause=Cause.CORRUPT, where=where)
