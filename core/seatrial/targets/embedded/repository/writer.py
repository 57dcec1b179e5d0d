"""Writing blobs: deduplicated, compressed, sealed, gathered into packs; then the index over the packs."""

from __future__ import annotations

import hashlib

from seatrial.context import Context
from seatrial.targets.embedded.repository.index import BLOBS_PER_FILE_MAX, PackBlobs, encode_index
from seatrial.targets.embedded.repository.locks import HeldLock
from seatrial.targets.embedded.repository.packs import BlobType, PackBuilder
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Bytes, Kind


class BlobWriter:
    """Adds blobs to a repository under a lock, and names the packs in an index before anybody refers to them.

    Holds at most one open pack per type. Owner: one operation.
    """

    def __init__(self, repository: Repository, lock: HeldLock) -> None:
        self._repository, self._lock = repository, lock
        self._open = {kind: PackBuilder() for kind in BlobType}
        self._new: set[tuple[BlobType, bytes]] = set()
        self._unindexed: list[PackBlobs] = []
        self.bytes_added = 0
        """Stored so far: packs and index files."""
        self.packs: dict[str, int] = {}
        """Name and size of each pack written."""
        self.indexes: list[str] = []

    def save(self, ctx: Context, kind: BlobType, plain: Bytes) -> bytes:
        """Store a blob unless the repository has it; returns its id."""
        blob_id = hashlib.sha256(plain).digest()
        if (kind, blob_id) not in self._new and self._repository.index.find(kind, blob_id) is None:
            self.store(ctx, kind, blob_id, plain)
        return blob_id

    def store(self, ctx: Context, kind: BlobType, blob_id: bytes, plain: Bytes) -> None:
        """Store a blob, whether or not the repository has it."""
        if self._repository.compresses:
            body: Bytes = self._repository.codec.compress(plain)
            self.copy(ctx, kind, blob_id, self._repository.key.seal(body), len(plain))
        else:
            self.copy(ctx, kind, blob_id, self._repository.key.seal(plain), 0)

    def copy(self, ctx: Context, kind: BlobType, blob_id: bytes, sealed: Bytes, uncompressed: int) -> None:
        """Store a blob that is sealed already, under the key of this repository."""
        self._new.add((kind, blob_id))
        builder = self._open[kind]
        builder.add(kind, blob_id, sealed, uncompressed)
        if builder.full:
            self._close_pack(ctx, kind)

    def _close_pack(self, ctx: Context, kind: BlobType) -> None:
        pack = self._open[kind].finish(self._repository.key)
        self._open[kind] = PackBuilder()
        self._lock.keep(ctx)
        self._repository.store.put(ctx, Kind.PACK, pack.name, pack.data)
        self.packs[pack.name] = len(pack.data)
        self.bytes_added += len(pack.data)
        self._unindexed.append(PackBlobs(pack.name, pack.blobs))

    def close_packs(self, ctx: Context) -> list[PackBlobs]:
        """Write out what is still open; the packs that no index names yet, which are the caller's business now."""
        for kind, builder in self._open.items():
            if len(builder):
                self._close_pack(ctx, kind)
        packs, self._unindexed = self._unindexed, []
        return packs

    def flush(self, ctx: Context) -> None:
        """Write out everything and the index over it."""
        self.write_index(ctx, self.close_packs(ctx))

    def write_index(self, ctx: Context, packs: list[PackBlobs]) -> None:
        """Write index files over these packs; the blobs of a pack stay in one file."""
        batch: list[PackBlobs] = []
        count = 0
        for pack in packs:
            if batch and count + len(pack.blobs) > BLOBS_PER_FILE_MAX:
                self._write_index_file(ctx, batch)
                batch, count = [], 0
            batch.append(pack)
            count += len(pack.blobs)
        if batch:
            self._write_index_file(ctx, batch)

    def _write_index_file(self, ctx: Context, packs: list[PackBlobs]) -> None:
        self._lock.keep(ctx)
        name, sealed = self._repository.seal_file(encode_index(packs))
        self._repository.store.put(ctx, Kind.INDEX, name, sealed)
        self.indexes.append(name)
        self.bytes_added += len(sealed)
