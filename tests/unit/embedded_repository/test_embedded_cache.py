"""The cache on disk: bounded, never trusted, never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seatrial.config.model import CacheSettings
from seatrial.targets.embedded.cache import DiskCache
from seatrial.targets.embedded.repository.crypto import sha256
from seatrial.targets.embedded.repository.store import Kind
from tests.unit.embedded_repository.stores import MemoryStore, WatchedStore, make, reopen
from tests.unit.embedded_repository.work import backup, describe, plain_tree, restore

ROOMY = CacheSettings()


def _name(text: str) -> str:
    return sha256(text.encode())


def _on_disk(cache: DiskCache) -> dict[tuple[str, str], int]:
    found = [path for path in cache.directory.rglob("*") if path.is_file()]
    return {(path.parent.parent.name, path.name): path.stat().st_size for path in found}


def test_files_are_laid_out_as_restic_lays_them_out(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, "repository-id", ROOMY)
    for kind in (Kind.INDEX, Kind.SNAPSHOT, Kind.PACK):
        name = _name(kind.value)
        cache.write(kind, name, b"content")
        assert (tmp_path / "repository-id" / kind.value / name[:2] / name).read_bytes() == b"content"
        assert cache.read(kind, name) == b"content"
        assert cache.read(kind, name, offset=3, length=2) == b"te"
    assert cache.read(Kind.INDEX, _name("other")) is None
    assert cache.usage() == ({"index": 7, "snapshots": 7, "data": 7}, 3)


def test_what_was_used_longest_ago_goes_first_and_the_limits_hold(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, "id", CacheSettings(content_limit_bytes=100, metadata_limit_bytes=300))
    names = [_name(str(number)) for number in range(4)]
    for number, name in enumerate(names[:3]):
        cache.write(Kind.INDEX if number % 2 else Kind.SNAPSHOT, name, bytes(100))
    assert cache.read(Kind.SNAPSHOT, names[0]) is not None
    cache.write(Kind.INDEX, names[3], bytes(100))
    assert set(_on_disk(cache)) == {("snapshots", names[0]), ("snapshots", names[2]), ("index", names[3])}
    cache.write(Kind.PACK, names[1], bytes(60))
    cache.write(Kind.PACK, names[2], bytes(60))
    cache.write(Kind.PACK, names[3], bytes(101))
    assert cache.usage() == ({"index": 100, "snapshots": 200, "data": 60}, 4)
    assert cache.limit_bytes == 400
    assert sum(_on_disk(cache).values()) == 360


def test_a_new_client_takes_over_what_is_there_within_its_own_limits(tmp_path: Path) -> None:
    old = DiskCache(tmp_path, "id", ROOMY)
    names = [_name(str(number)) for number in range(3)]
    for age, name in enumerate(names):
        old.write(Kind.INDEX, name, bytes(100))
        path = old.directory / "index" / name[:2] / name
        os.utime(path, (1000 + age, 1000 + age))
    (old.directory / "index" / names[0][:2] / ".torn.tmp").write_bytes(b"half")
    new = DiskCache(tmp_path, "id", CacheSettings(metadata_limit_bytes=250))
    assert new.usage() == ({"index": 200, "snapshots": 0, "data": 0}, 2)
    assert set(_on_disk(new)) == {("index", name) for name in names[1:]}


def test_clearing_leaves_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, "id", ROOMY)
    cache.write(Kind.PACK, _name("a"), b"x")
    cache.clear()
    assert _on_disk(cache) == {}
    assert cache.usage() == ({"index": 0, "snapshots": 0, "data": 0}, 0)
    assert cache.read(Kind.PACK, _name("a")) is None


def test_a_disk_that_fails_is_a_cache_that_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "id").write_bytes(b"a file where the directory should be")
    cache = DiskCache(tmp_path, "id", ROOMY)
    cache.write(Kind.INDEX, _name("a"), b"x")
    assert cache.read(Kind.INDEX, _name("a")) is None
    cache.clear()
    assert cache.usage()[1] == 0


def _reads(store: WatchedStore) -> list[Kind | None]:
    return [kind for method, kind, _ in store.calls if method == "get" and kind in (Kind.PACK, Kind.INDEX, Kind.SNAPSHOT)]


@pytest.mark.parametrize("harm", ["none", "flip", "cut", "empty"])
def test_a_damaged_copy_is_found_out_and_fetched_again(tmp_path: Path, harm: str) -> None:
    store = MemoryStore()
    source = plain_tree(tmp_path / "source")
    snapshot = backup(make(store), source)

    def restored(name: str) -> list[Kind | None]:
        watched = WatchedStore(store)
        repository = reopen(watched)
        repository.cache = cache = DiskCache(tmp_path / "cache", repository.config.id, ROOMY)
        watched.calls.clear()
        assert describe(restore(repository, snapshot, tmp_path / name)) == describe(source)
        assert sum(_on_disk(cache).values()) == sum(cache.usage()[0].values())
        return _reads(watched)

    assert sorted(filter(None, restored("first"))) == sorted([Kind.SNAPSHOT, Kind.INDEX, Kind.PACK, Kind.PACK])
    assert restored("second") == [Kind.PACK], "only the data comes from the store"
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and harm != "none":
            raw = path.read_bytes()
            # Flipped in the first blob's body and near the end, where a tree pack's last blob or header is.
            changed = bytes(byte ^ 1 if at in (20, len(raw) // 2) else byte for at, byte in enumerate(raw))
            path.write_bytes({"flip": changed, "cut": raw[:30], "empty": b""}[harm])
    again = restored("third")
    assert again.count(Kind.SNAPSHOT) == again.count(Kind.INDEX) == (harm != "none")
    assert restored("fourth") == [Kind.PACK]


def test_without_room_for_packs_trees_are_read_in_parts_and_not_kept(tmp_path: Path) -> None:
    store = MemoryStore()
    source = plain_tree(tmp_path / "source")
    snapshot = backup(make(store), source)
    repository = reopen(store)
    repository.cache = cache = DiskCache(tmp_path / "cache", "id", CacheSettings(content_limit_bytes=1 << 20))
    assert describe(restore(repository, snapshot, tmp_path / "restored")) == describe(source)
    assert cache.usage()[0]["data"] == 0
