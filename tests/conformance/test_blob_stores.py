"""One suite over all blob stores of the embedded server, and stores with a planted defect that it must catch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from seatrial.targets.embedded.server.filestore import FileStore
from seatrial.targets.embedded.server.store import BlobEntry, BlobStore, BlobType, Chunk, MissingBlob
from tests.support.blob_store_suite import CHECKS, QUOTA, Check
from tests.support.cluster_stores import cluster_store

Make = Callable[[Path, int], BlobStore]


def _files(kind: type[FileStore] = FileStore) -> Make:
    def make(directory: Path, quota_bytes: int) -> BlobStore:
        store = kind(directory / "repository", fsync=False, quota_bytes=quota_bytes)
        store.create()
        return store

    return make


def _cluster_with_one_away(_: Path, quota_bytes: int) -> BlobStore:
    store = cluster_store(quota_bytes=quota_bytes)
    store.order("n2", "down")
    return store


STORES: dict[str, Make] = {
    "files": _files(),
    "cluster": lambda _, quota_bytes: cluster_store(quota_bytes=quota_bytes),
    "cluster of one": lambda _, quota_bytes: cluster_store(quota_bytes=quota_bytes, nodes=1, replication=1),
    "cluster, one node away": _cluster_with_one_away,
}


def quota(check: str) -> int:
    return QUOTA if check.startswith("a_full_store") else 0


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("store", STORES)
def test_a_store_keeps_its_promises(store: str, check: str, tmp_path: Path) -> None:
    made = STORES[store](tmp_path, quota(check))
    try:
        CHECKS[check](made)
    finally:
        made.close()


@pytest.mark.parametrize("store", STORES)
def test_a_repository_that_was_not_made_is_missing(store: str, tmp_path: Path) -> None:
    made = STORES[store](tmp_path, 0)
    made.close()
    if isinstance(made, FileStore):
        fresh: BlobStore = FileStore(tmp_path / "other", fsync=False)
    else:
        clustered = cluster_store()
        with clustered.nodes.coordinator("repository") as node:
            node.remove("repository")
        fresh = clustered
    try:
        with pytest.raises(MissingBlob):
            fresh.list(BlobType.DATA)
        with pytest.raises(MissingBlob):
            fresh.put(BlobType.DATA, "a" * 64, [b"x"])
    finally:
        fresh.close()


class Dropping(FileStore):
    """Acknowledges every third blob and throws it away."""

    _numbers = itertools.count(1)

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        if next(self._numbers) % 3 == 0:
            return sum(map(len, chunks))
        return super().put(blob_type, name, chunks)


class Cutting(FileStore):
    """Lists at most 50."""

    def list(self, blob_type: BlobType) -> list[BlobEntry]:
        return super().list(blob_type)[:50]


class Replacing(FileStore):
    """Takes a second upload of a name."""

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        try:
            self.size(blob_type, name)
        except MissingBlob:
            return super().put(blob_type, name, chunks)
        self.delete(blob_type, name)
        return super().put(blob_type, name, chunks)


class Truncating(FileStore):
    """Loses the end of long blobs."""

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        def cut() -> Iterator[bytes]:
            left = 4 << 20
            for chunk in chunks:
                yield bytes(chunk)[:left]
                left -= min(left, len(chunk))

        return super().put(blob_type, name, cut())


class Resurrecting(FileStore):
    """Acknowledges a delete and does nothing."""

    def delete(self, blob_type: BlobType, name: str) -> None:
        self.size(blob_type, name)


class Boundless(FileStore):
    """Has no quota, whatever it was told."""

    def _reserve(self, size: int) -> None:
        with self._lock:
            self._arriving += size


DEFECTS = {
    Dropping: "what_was_acknowledged_is_there_whole",
    Cutting: "a_listing_is_complete_and_of_one_type",
    Replacing: "a_blob_is_never_replaced",
    Truncating: "what_was_acknowledged_is_there_whole",
    Resurrecting: "what_was_deleted_is_gone_and_may_come_again",
    Boundless: "a_full_store_refuses_and_keeps_what_it_has",
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect: type[FileStore], tmp_path: Path) -> None:
    name = DEFECTS[defect]
    check: Check = CHECKS[name]
    store = _files(defect)(tmp_path, quota(name))
    try:
        with pytest.raises((AssertionError, MissingBlob)):
            check(store)
    finally:
        store.close()
