"""One client's end of the seed's framework."""

from __future__ import annotations

from typing import Protocol

from seatrial.checker.protocols import Snapshotter
from seatrial.history.frames import CacheFrame


class ClientSnapshotter(Snapshotter, Protocol):
    """One client's snapshotter and its connection to the server."""

    @property
    def program(self) -> str:
        """Name and version of what acts as this client; empty where the target does not tell."""

    def connect_client(self, fingerprint: str, user: str) -> None:
        """Connect to the server whose certificate has this SHA-256."""

    def disconnect_client(self, user: str) -> None:
        """Close the connection; never raises."""

    def cache_frame(self) -> CacheFrame:
        """The client's cache now. Threading: any thread."""

    def drop_caches(self) -> None:
        """So that the next restore reads everything from the server."""

    def cleanup(self) -> None:
        """Remove everything this client keeps on disk."""
