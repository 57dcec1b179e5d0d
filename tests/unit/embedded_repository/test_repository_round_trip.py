"""What goes in comes out; what is damaged or hostile does not."""

# ruff: noqa: PTH102, PTH118, PTH119, PTH208, PTH211 - paths are bytes here: names need not be text

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.clock import VirtualClock
from seatrial.context import Context
from seatrial.errors import CancelledError
from seatrial.targets.embedded.repository import backup as backups
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository import restore as restores
from seatrial.targets.embedded.repository.backup import Backup
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.packs import BlobType
from seatrial.targets.embedded.repository.repository import Repository, initialise
from seatrial.targets.embedded.repository.snapshots import Snapshot, encode_snapshot, load_snapshot
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.repository.trees import Node, decode_tree, encode_tree
from seatrial.targets.embedded.repository.writer import BlobWriter
from tests.support.standing import ATTEMPTS, times_above
from tests.unit.embedded_repository.stores import PASSWORD, DirectoryStore, MemoryStore, WatchedStore, locker, make, reopen, virtual
from tests.unit.embedded_repository.work import backup, check, describe, odd_tree, plain_tree, restore


@pytest.mark.parametrize("version", [1, 2])
def test_everything_that_the_format_knows_comes_back(tmp_path: Path, version: int) -> None:
    store = MemoryStore()
    source = odd_tree(tmp_path / "source")
    snapshot = backup(make(store, version=version), source)
    restored = restore(reopen(store), snapshot, tmp_path / "restored")
    assert describe(restored) == describe(source)
    assert (tmp_path / "restored").stat().st_mtime_ns == source.stat().st_mtime_ns
    verdict = check(reopen(store))
    assert verdict.clean, verdict.output


NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
TREES = st.recursive(st.binary(max_size=300) | st.none(), lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=12).filter(
    lambda tree: isinstance(tree, dict)
)


def _make_tree(path: bytes, tree: object) -> None:
    if isinstance(tree, dict):
        os.mkdir(path)
        for name, below in tree.items():
            _make_tree(os.path.join(path, name), below)
    elif tree is None:
        os.symlink(b"target-" + os.path.basename(path), path)
    else:
        assert isinstance(tree, bytes)
        Path(os.fsdecode(path)).write_bytes(tree)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREES, small_packs=st.booleans())
def test_any_tree_comes_back(tree: dict[bytes, object], small_packs: bool) -> None:
    store = MemoryStore()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if small_packs:
            patch.setattr("seatrial.targets.embedded.repository.packs.PACK_BYTES", 200)
            patch.setattr(backups, "CHUNK_BYTES", 70)
            patch.setattr(restores, "BATCH_PIECES", 3)
            patch.setattr(restores, "OPEN_FILES_MAX", 1)
        source = Path(folder) / "source"
        _make_tree(os.fsencode(source), tree)
        snapshot = backup(make(store), source)
        assert describe(restore(reopen(store), snapshot, Path(folder) / "restored")) == describe(source)
        assert check(reopen(store)).clean


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    store = MemoryStore()
    repository = make(store)
    source = plain_tree(tmp_path / "source")
    for _ in range(ATTEMPTS):
        before = times_above(source)
        backup(repository, source)
        held = {kind: set(store.files[kind]) for kind in (Kind.PACK, Kind.INDEX)}
        again = backup(reopen(store), source)
        if times_above(source) == before:
            break
    else:
        pytest.fail(f"the directories above {source} never stood still")
    assert {kind: set(store.files[kind]) for kind in (Kind.PACK, Kind.INDEX)} == held
    assert describe(restore(reopen(store), again, tmp_path / "restored")) == describe(source)


def test_a_large_file_is_cut_and_keeps_its_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(33 << 20)
        file.write(b"island" * 1000)
    store = MemoryStore()
    snapshot = backup(make(store), source)
    restored = restore(reopen(store), snapshot, tmp_path / "restored") / "holes"
    assert restored.read_bytes() == (source / "holes").read_bytes()
    assert restored.stat().st_blocks * 512 < 8 << 20


def test_packs_then_index_then_snapshot_and_all_of_it_under_the_lock(tmp_path: Path) -> None:
    store = WatchedStore(MemoryStore())
    repository = make(store)
    store.calls.clear()
    backup(repository, plain_tree(tmp_path / "source"))
    writes = [kind for method, kind, _ in store.calls if method in ("put", "delete")]
    assert writes == [Kind.LOCK, Kind.PACK, Kind.PACK, Kind.INDEX, Kind.SNAPSHOT, Kind.LOCK]
    reads = [kind for method, kind, _ in store.calls if method == "entries"]
    assert reads == [Kind.LOCK, Kind.LOCK, Kind.INDEX]


def test_a_snapshot_mirrors_the_whole_path_and_names_its_operation(tmp_path: Path) -> None:
    store = MemoryStore()
    source = plain_tree(tmp_path / "source")
    repository = make(store)
    snapshot = load_snapshot(virtual(), repository, backup(repository, source, tag="seatrial-op=run/7"))
    assert snapshot.paths == [str(source)]
    assert snapshot.tags == ["seatrial-op=run/7"]
    repository.refresh_index(virtual())
    tree = bytes.fromhex(snapshot.tree)
    for part in source.parts[1:]:
        location = repository.index.find(BlobType.TREE, tree)
        assert location is not None
        ((_, plain),) = repository.read_trees(virtual(), [location])
        (node,) = decode_tree(plain, "here")
        assert gojson.unquote(node.name) == os.fsencode(part)
        tree = bytes.fromhex(node.subtree)


@pytest.mark.parametrize("name", [b"\xff\xfe", b"gr\xc3\xbc\xc3\x9fe", b"back\\slash"])
def test_a_source_path_that_json_cannot_keep_still_restores(tmp_path: Path, name: bytes) -> None:
    source = plain_tree(tmp_path / os.fsdecode(name) / "source")
    store = MemoryStore()
    snapshot = backup(make(store), source)
    assert describe(restore(reopen(store), snapshot, tmp_path / "restored")) == describe(source)


def _hand_made(store: MemoryStore, trees: list[list[Node]], paths: list[str]) -> str:
    """A snapshot of trees made by hand: in each but the first, a ``dir`` node stands for the tree before."""
    repository, ctx = make(store), virtual()
    with locker(repository).hold(ctx, exclusive=False, retry_s=0) as lock:
        writer = BlobWriter(repository, lock)
        tree = b""
        for nodes in trees:
            for node in nodes:
                if node.type == "dir":
                    node.subtree = tree.hex()
            tree = writer.save(ctx, BlobType.TREE, encode_tree(nodes))
        writer.flush(ctx)
    return repository.save(ctx, Kind.SNAPSHOT, encode_snapshot(Snapshot(time="2020-01-01T00:00:00Z", tree=tree.hex(), paths=paths)))


def _node(name: str, kind: str = "file", **more: object) -> Node:
    at = "2020-01-01T00:00:00Z"
    fields: dict[str, object] = {"mode": 0o644, "content": [] if kind == "file" else None} | more
    uid, gid = os.getuid(), os.getgid()
    return Node(name=name, type=kind, mtime=at, atime=at, ctime=at, uid=uid, gid=gid, **fields)  # type: ignore[arg-type]  # a double, or fields by name


@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "a/b", "..\\x2fup", "nul\\x00"])
def test_a_name_that_leads_out_is_corrupt_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    store = MemoryStore()
    snapshot = _hand_made(store, [[_node(name)], [_node("src", "dir")]], ["/src"])
    with pytest.raises(RepositoryError) as caught:
        restore(reopen(store), snapshot, tmp_path / "restored")
    assert caught.value.cause is Cause.CORRUPT
    assert os.listdir(tmp_path) == ["restored"]
    assert os.listdir(tmp_path / "restored") == []
    assert not check(reopen(store)).clean


def test_a_link_and_a_directory_of_one_name_do_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    nodes = [_node("way", "symlink", linktarget=str(outside)), _node("way", "dir")]
    store = MemoryStore()
    snapshot = _hand_made(store, [[_node("loot")], nodes, [_node("src", "dir")]], ["/src"])
    with pytest.raises(RepositoryError, match="two entries of one name"):
        restore(reopen(store), snapshot, tmp_path / "restored")
    assert os.listdir(outside) == []


def test_a_relative_path_of_restic_is_found_by_its_tail(tmp_path: Path) -> None:
    store = MemoryStore()
    snapshot = _hand_made(store, [[_node("file")], [_node("src", "dir", mode=0o755 | 1 << 31)]], ["/some/where/src"])
    assert os.listdir(restore(reopen(store), snapshot, tmp_path / "restored")) == ["file"]


def test_several_paths_are_refused_by_name(tmp_path: Path) -> None:
    store = MemoryStore()
    snapshot = _hand_made(store, [[_node("file")]], ["/a", "/b"])
    with pytest.raises(RepositoryError) as caught:
        restore(reopen(store), snapshot, tmp_path / "restored")
    assert caught.value.cause is Cause.UNSUPPORTED


@pytest.mark.parametrize("kind", [Kind.PACK, Kind.INDEX, Kind.SNAPSHOT])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "foreign"])
def test_damage_is_an_error_never_wrong_content(tmp_path: Path, kind: Kind, damage: str) -> None:
    sound = MemoryStore()
    source = plain_tree(tmp_path / "source")
    snapshot = backup(make(sound), source)
    for number, name in enumerate(sorted(sound.files[kind])):
        store = sound.copy()
        raw = store.files[kind][name]
        if damage == "gone":
            del store.files[kind][name]
        else:
            other = bytes(len(raw)) if damage == "foreign" else raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]
            store.files[kind][name] = raw[: len(raw) // 2] if damage == "cut" else other
        with pytest.raises(RepositoryError) as caught:
            restore(reopen(store), snapshot, tmp_path / f"restored-{number}")
        # An index file that is gone is not listed either: then its trees are in no index.
        gone = {Kind.SNAPSHOT: Cause.MISSING, Kind.PACK: Cause.GONE, Kind.INDEX: Cause.CORRUPT}[kind]
        assert caught.value.cause is (gone if damage == "gone" else Cause.CORRUPT)
        assert not check(reopen(store)).clean or (kind, damage) == (Kind.SNAPSHOT, "gone")


def test_a_blob_under_another_ones_name_is_found_out(tmp_path: Path) -> None:
    """Every seal holds and every size fits: only the blob's own hash can tell."""
    store, ctx = MemoryStore(), virtual()
    repository = make(store)
    with locker(repository).hold(ctx, exclusive=False, retry_s=0) as lock:
        writer = BlobWriter(repository, lock)
        writer.store(ctx, BlobType.DATA, bytes(32), b"not what the id says")
        writer.flush(ctx)
    repository.refresh_index(ctx)
    location = repository.index.find(BlobType.DATA, bytes(32))
    assert location is not None
    with pytest.raises(RepositoryError, match="not what its id says"):
        list(repository.read_blobs(ctx, [location]))


def test_an_unreadable_file_fails_the_backup_and_a_vanished_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = plain_tree(tmp_path / "source")
    store = MemoryStore()
    repository = make(store)
    real_open = os.open

    def failing(error: type[OSError], code: int) -> None:
        def fake_open(path: bytes, flags: int, *rest: int, **more: object) -> int:
            if isinstance(path, bytes) and path.endswith(b"file_4"):
                raise error(code, "planted", path)
            return real_open(path, flags, *rest)

        monkeypatch.setattr(os, "open", fake_open)

    failing(PermissionError, 13)
    with pytest.raises(RepositoryError) as caught:
        backup(repository, source)
    assert caught.value.cause is Cause.SOURCE
    assert "file_4" in caught.value.where
    assert not store.files[Kind.SNAPSHOT]
    failing(FileNotFoundError, 2)
    snapshot = backup(repository, source)
    monkeypatch.undo()
    (source / "d1" / "file_4").unlink()
    assert describe(restore(reopen(store), snapshot, tmp_path / "restored"), times=False) == describe(source, times=False)
    with pytest.raises(RepositoryError) as caught:
        backup(repository, tmp_path / "nowhere")
    assert caught.value.cause is Cause.SOURCE


def test_a_cancelled_backup_ends_at_the_next_file_and_gives_its_lock_back(tmp_path: Path) -> None:
    store = MemoryStore()
    repository = make(store)
    ctx = Context(clock=VirtualClock())

    seen = 0
    real = Backup._file

    def counted(self: Backup, path: bytes, name: bytes, expected: int) -> Node:
        nonlocal seen
        seen += 1
        if seen == 3:
            ctx.cancel.cancel("stop")
        return real(self, path, name, expected)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backup, "_file", counted)
        with pytest.raises(CancelledError):
            backup(repository, plain_tree(tmp_path / "source"), ctx=ctx)
    assert seen == 3
    assert not store.files[Kind.LOCK]
    assert not store.files[Kind.SNAPSHOT]


def test_a_directory_store_holds_the_same_files_as_a_memory_store(tmp_path: Path) -> None:
    source = plain_tree(tmp_path / "source")
    store = DirectoryStore(tmp_path / "repository")
    snapshot = backup(make(store), source)
    assert describe(restore(reopen(store), snapshot, tmp_path / "restored")) == describe(source)


def test_an_initialisation_cut_short_can_be_done_again() -> None:
    for stop_at in range(20):
        attempt = WatchedStore(MemoryStore())
        countdown = stop_at

        def before(call: tuple[str, Kind | None, str]) -> None:
            nonlocal countdown
            if countdown == 0:
                raise KeyboardInterrupt
            countdown -= 1

        attempt.before = before
        try:
            initialise(virtual(), attempt, PASSWORD)
        except KeyboardInterrupt:
            initialise(virtual(), attempt.inner, PASSWORD)
            assert Repository.open(virtual(), attempt.inner, PASSWORD).config.version == 2
        else:
            with pytest.raises(RepositoryError, match="already"):
                initialise(virtual(), attempt.inner, PASSWORD)
            break
    else:
        pytest.fail("initialise makes more calls than expected")
