"""Of what a snapshot was made, read by ourselves: to ask restic (``snapshots ID``) would cost a process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.context import Context
from seatrial.targets.embedded.outcomes import translated
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.snapshots import load_snapshot
from seatrial.targets.embedded.repository.store import Bytes, Kind
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import Access


class ResticCache:
    """``FileCache`` on what restic keeps of one repository: looked into, never changed. Threading: any thread."""

    holds_packs = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        try:
            with (self._directory / kind.value / name[:2] / name).open("rb") as file:
                file.seek(offset)
                return file.read() if length is None else file.read(length)
        except OSError:
            return None

    def write(self, kind: Kind, name: str, data: Bytes) -> None:
        """restic keeps what it wants to keep."""

    def discard(self, kind: Kind, name: str) -> None:
        """restic sees for itself that a copy is damaged."""


class StoredPaths:
    """The paths of one repository's snapshots, as one user.

    Owns the opened keys, which are derived when first needed and cost up to half a second; no connection stays open. A snapshot is read as
    restic has just read it, out of its cache: by now another client may have deleted it on the server. Threading: one thread at a time.
    """

    def __init__(self, access: Access, cache: Path) -> None:
        """``cache``: the directory that restic is given for its caches."""
        self._store, self._password, self._cache = RestStore(access), access.repository_password, cache
        self._repository: Repository | None = None

    def of(self, ctx: Context, snapshot_id: str) -> Sequence[str]:
        """Absolute paths. ``OperationError``, FAILED, where the snapshot is not there, damaged, or cannot be reached."""
        try:
            with translated():
                repository = self._opened(ctx)
                try:
                    return load_snapshot(ctx, repository, snapshot_id).paths
                finally:
                    repository.rest()
        finally:
            self._store.close()

    def _opened(self, ctx: Context) -> Repository:
        if self._repository is None:
            self._repository = Repository.open(ctx, self._store, self._password)
            self._repository.cache = ResticCache(self._cache / self._repository.config.id)
        return self._repository
