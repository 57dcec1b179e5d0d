"""The embedded server with one defect, named on the command line. Everything else of it is the real thing.

drop-upload   every third pack is acknowledged and thrown away
short-list    every listing of snapshots lacks its first entry
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable

from seatrial.targets.embedded.server import main as server
from seatrial.targets.embedded.server.filestore import FileStore
from seatrial.targets.embedded.server.store import BlobEntry, BlobType, Chunk


class DroppingStore(FileStore):
    """Says yes and forgets."""

    _packs = itertools.count(1)

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        if blob_type is BlobType.DATA and next(self._packs) % 3 == 0:
            return sum(map(len, chunks))
        return super().put(blob_type, name, chunks)


class ShortListingStore(FileStore):
    """Leaves out a snapshot, and says nothing of it."""

    def list(self, blob_type: BlobType) -> list[BlobEntry]:
        listed = super().list(blob_type)
        return sorted(listed, key=lambda entry: entry.name)[1:] if blob_type is BlobType.SNAPSHOTS and len(listed) > 2 else listed


DEFECTS: dict[str, type[FileStore]] = {"drop-upload": DroppingStore, "short-list": ShortListingStore}

if __name__ == "__main__":
    server.FileStore = DEFECTS[sys.argv[1]]  # type: ignore[attr-defined]  # the one seam where a store is chosen
    sys.exit(server.main([]))
