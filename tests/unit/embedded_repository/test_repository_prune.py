"""Collecting garbage: all of it goes, nothing else does, wherever it is cut off; and on doubt nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.targets.embedded.repository import prune as prunes
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.index import PackBlobs, encode_index
from seatrial.targets.embedded.repository.packs import pack_size
from seatrial.targets.embedded.repository.prune import Prune
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind
from tests.unit.embedded_repository.stores import Call, MemoryStore, WatchedStore, locker, make, reopen, virtual
from tests.unit.embedded_repository.work import backup, check, describe, plain_tree, prune, restore


class Case:
    """Three snapshots that share content; one of them is forgotten, so that packs hold used and unused blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore()
        make(self.store)
        self.sources: dict[str, Path] = {}
        for number in range(3):
            source = plain_tree(folder / f"source-{number}", files=6, salt="shared")
            plain_tree(source / "own", files=5, salt=f"own-{number}")
            self.sources[backup(reopen(self.store), source)] = source
        self.forgotten = next(iter(self.sources))  # the first, whose packs hold what the others share
        del self.sources[self.forgotten]
        del self.store.files[Kind.SNAPSHOT][self.forgotten]

    def assert_all_restore(self, store: MemoryStore, name: str) -> None:
        for number, (snapshot, source) in enumerate(self.sources.items()):
            assert describe(restore(reopen(store), snapshot, self.folder / f"{name}-{number}")) == describe(source)
        self.assert_sound(store)

    def assert_sound(self, store: MemoryStore) -> None:
        """Every live snapshot is there, and every byte of it."""
        assert set(store.files[Kind.SNAPSHOT]) == set(self.sources)
        verdict = check(reopen(store))
        assert verdict.clean, verdict.output


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def _stored(store: MemoryStore, kind: Kind = Kind.PACK) -> int:
    return sum(map(len, store.files[kind].values()))


def _unused(store: MemoryStore) -> int:
    """Bytes of blobs that no snapshot needs, by the prune's own marking."""
    repository, ctx = reopen(store), virtual()
    with locker(repository).hold(ctx, exclusive=True, retry_s=0) as lock:
        used = Prune(ctx, repository, lock)._mark()
    return sum(blob.length for blobs in repository.index.packs().values() for blob in blobs if (blob.type, blob.id) not in used)


def test_nothing_unused_is_left_and_everything_used_is(case: Case) -> None:
    before, unused = _stored(case.store), _unused(case.store)
    assert unused > 0
    stats = prune(reopen(case.store))
    assert stats.repacked_bytes > 0
    assert stats.deleted_packs > 0
    assert _unused(case.store) == 0
    assert stats.freed_bytes == before - _stored(case.store) > 0
    case.assert_all_restore(case.store, "after")
    assert prune(reopen(case.store)).deleted_packs == 0


def test_packs_without_any_used_blob_go_without_repacking(tmp_path: Path) -> None:
    store = MemoryStore()
    make(store)
    kept = plain_tree(tmp_path / "kept", salt="kept")
    lost = plain_tree(tmp_path / "lost", salt="lost")
    snapshot, forgotten = backup(reopen(store), kept), backup(reopen(store), lost)
    size = _stored(store)
    del store.files[Kind.SNAPSHOT][forgotten]
    stats = prune(reopen(store))
    assert stats.repacked_bytes == 0
    assert stats.deleted_packs == 2
    assert stats.freed_bytes == size - _stored(store)
    assert describe(restore(reopen(store), snapshot, tmp_path / "restored")) == describe(kept)


def test_without_snapshots_everything_goes(case: Case) -> None:
    case.store.files[Kind.SNAPSHOT].clear()
    prune(reopen(case.store))
    assert not case.store.files[Kind.PACK]
    assert not case.store.files[Kind.INDEX]


def test_packs_that_no_index_names_go_first(case: Case) -> None:
    prune(reopen(case.store))
    case.store.files[Kind.PACK]["ab" * 32] = b"left by a client that died"
    before = dict(case.store.files[Kind.INDEX])
    assert prune(reopen(case.store)).deleted_packs == 1
    assert "ab" * 32 not in case.store.files[Kind.PACK]
    assert case.store.files[Kind.INDEX] == before


@pytest.mark.parametrize("percent", [0, 5, 30, 60, 100])
def test_at_most_the_allowed_share_of_unused_bytes_stays(case: Case, percent: int) -> None:
    prune(reopen(case.store), percent)
    blobs = [blob for blobs in reopen_with_index(case.store).index.packs().values() for blob in blobs]
    share = 100 * _unused(case.store) / sum(blob.length for blob in blobs)
    assert share <= percent
    case.assert_all_restore(case.store, "after")
    if percent == 100:
        assert share > 0


def reopen_with_index(store: MemoryStore) -> Repository:
    repository = reopen(store)
    repository.refresh_index(virtual())
    return repository


def test_many_small_index_files_are_merged_even_when_there_is_no_garbage(tmp_path: Path) -> None:
    store = MemoryStore()
    make(store)
    sources = {}
    for number in range(prunes.INDEX_FILES_SPARE + 2):
        source = plain_tree(tmp_path / f"source-{number}", files=2, salt=f"{number}")
        sources[backup(reopen(store), source)] = source
    prune(reopen(store))
    assert len(store.files[Kind.INDEX]) == 1
    assert check(reopen(store)).clean
    for number, (snapshot, source) in enumerate(sources.items()):
        assert describe(restore(reopen(store), snapshot, tmp_path / f"restored-{number}")) == describe(source)


class _KilledError(BaseException):
    """As if by SIGKILL: nothing of ours runs any more."""


def _killed_at(store: MemoryStore, step: int, *, after: bool) -> bool:
    """Prune, dead at its ``step``-th call to the store, before or just after that took effect. False where it ended before that."""
    watched = WatchedStore(store)
    dead = False

    def before(call: Call) -> None:
        nonlocal dead
        if dead or len(watched.calls) > step:
            if after and not dead:
                _apply(store, call, blobs)
            dead = True
            raise _KilledError

    blobs: dict[str, bytes] = {}
    real_put = watched.put

    def put(ctx: object, kind: Kind, name: str, data: bytes) -> None:
        blobs[name] = bytes(data)
        real_put(ctx, kind, name, data)  # type: ignore[arg-type]  # a double, or fields by name

    watched.put = put  # type: ignore[method-assign, assignment]  # the double takes its place
    repository = reopen(store)
    repository.store = watched
    watched.before = before
    try:
        prune(repository)
    except _KilledError:
        return True
    return False


def _apply(store: MemoryStore, call: Call, blobs: dict[str, bytes]) -> None:
    method, kind, name = call
    if method == "delete" and kind is not None:
        store.files[kind].pop(name, None)
    elif method == "put" and kind is not None:
        store.files[kind][name] = blobs[name]


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_nothing_is_lost_and_the_next_prune_finishes(case: Case, after: bool) -> None:
    for step in range(500):
        store = case.store.copy()
        killed = _killed_at(store, step, after=after)
        store.files[Kind.LOCK].clear()  # what "unlock" does
        case.assert_sound(store)
        prune(reopen(store))
        case.assert_sound(store)
        assert _unused(store) == 0
        assert not set(store.files[Kind.PACK]) - set(reopen_with_index(store).index.packs())
        if not killed:
            assert step > 20
            case.assert_all_restore(store, "last")
            return
    pytest.fail("a prune of more than 500 steps")


def test_deleting_packs_before_the_index_would_be_noticed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with packs deleted before the new index is written, it does."""
    real = Prune._rewrite

    def wrong_order(self: Prune, plan: object, writer: object) -> None:
        self._delete(Kind.PACK, plan.delete[-1:])  # type: ignore[attr-defined]  # a mutant reaches inside
        real(self, plan, writer)  # type: ignore[arg-type]  # a double, or fields by name

    monkeypatch.setattr(Prune, "_rewrite", wrong_order)
    with pytest.raises((AssertionError, RepositoryError)):
        test_killed_at_any_step_nothing_is_lost_and_the_next_prune_finishes(case, after=True)


# --- refusing


def _drop(kind: Kind, number: int = 0) -> Callable[[MemoryStore], None]:
    def drop(store: MemoryStore) -> None:
        del store.files[kind][sorted(store.files[kind])[number]]

    return drop


def _flip(kind: Kind) -> Callable[[MemoryStore], None]:
    def flip(store: MemoryStore) -> None:
        name, raw = next(iter(store.files[kind].items()))
        store.files[kind][name] = raw[:50] + bytes([raw[50] ^ 1]) + raw[51:]

    return flip


def _cut_pack(store: MemoryStore) -> None:
    for name, raw in store.files[Kind.PACK].items():
        store.files[Kind.PACK][name] = raw[:-3]


@pytest.mark.parametrize(
    "harm",
    [_drop(Kind.PACK), _drop(Kind.INDEX), _flip(Kind.INDEX), _flip(Kind.SNAPSHOT), _cut_pack, lambda store: store.files.pop(Kind.SNAPSHOT)],
    ids=["pack gone", "index gone", "index damaged", "snapshot damaged", "packs cut", "no such place"],
)
def test_a_repository_in_doubt_is_left_alone(case: Case, harm: Callable[[MemoryStore], None]) -> None:
    prune(reopen(case.store))  # so that everything is needed
    harm(case.store)
    before = {kind: dict(files) for kind, files in case.store.files.items()}
    with pytest.raises(RepositoryError) as caught:
        prune(reopen(case.store))
    assert caught.value.cause in (Cause.CORRUPT, Cause.GONE, Cause.MISSING)
    assert case.store.files == before


@pytest.mark.parametrize("kind", [Kind.SNAPSHOT, Kind.INDEX, Kind.PACK])
def test_a_listing_that_is_short_once_is_found_out_by_the_second(case: Case, kind: Kind) -> None:
    """Scenario 5: a LIST that fails half-way and looks like a short list must not make a prune delete live data."""
    short = WatchedStore(case.store)
    real, lied = short.entries, False

    def entries(ctx: object, asked: Kind) -> object:
        nonlocal lied
        found = real(ctx, asked)  # type: ignore[arg-type]  # a double, or fields by name
        if asked is kind and not lied:
            lied = True
            return found[1:]
        return found

    short.entries = entries  # type: ignore[method-assign, assignment]  # the double takes its place
    repository = reopen(case.store)
    repository.store = short
    before = {kind: dict(files) for kind, files in case.store.files.items()}
    with pytest.raises(RepositoryError):
        prune(repository)
    assert lied
    assert case.store.files == before
    case.assert_all_restore(case.store, "after")


@pytest.mark.parametrize("kind", [Kind.INDEX, Kind.PACK])
def test_an_upload_acknowledged_and_dropped_is_noticed_before_anything_is_deleted(case: Case, kind: Kind) -> None:
    lossy = WatchedStore(case.store)
    real = lossy.put

    def put(ctx: object, to: Kind, name: str, data: bytes) -> None:
        if to is not kind:
            real(ctx, to, name, data)  # type: ignore[arg-type]  # a double, or fields by name

    lossy.put = put  # type: ignore[method-assign, assignment]  # the double takes its place
    repository = reopen(case.store)
    repository.store = lossy
    with pytest.raises(RepositoryError):
        prune(repository)
    case.store.files[Kind.LOCK].clear()
    for number, snapshot in enumerate(case.sources):
        restore(reopen(case.store), snapshot, case.folder / f"after-{number}")


def test_a_lock_lost_while_marking_ends_the_prune_before_its_first_deletion(case: Case) -> None:
    watched = WatchedStore(case.store)

    def unlock_all(call: Call) -> None:
        if call[:2] == ("entries", Kind.PACK):
            case.store.files[Kind.LOCK].clear()

    repository = reopen(case.store)
    repository.store = watched
    watched.before = unlock_all
    with pytest.raises(RepositoryError) as caught:
        prune(repository)
    assert caught.value.cause is Cause.LOCK_LOST
    assert not [call for call in watched.calls if call[0] == "delete" and call[1] is not Kind.LOCK]


def test_a_shared_lock_is_not_enough(case: Case) -> None:
    repository, ctx = reopen(case.store), virtual()
    with locker(repository).hold(ctx, exclusive=False, retry_s=0) as lock, pytest.raises(ValueError, match="exclusive"):
        Prune(ctx, repository, lock)


def test_a_blob_in_several_packs_is_kept_once(tmp_path: Path) -> None:
    """Two clients that did not see each other stored the same content; one copy goes."""
    store = MemoryStore()
    make(store)
    source = plain_tree(tmp_path / "source", files=4)
    blind = store.copy()
    first, second = backup(reopen(store), source), backup(reopen(blind), source)
    for kind in (Kind.PACK, Kind.INDEX, Kind.SNAPSHOT):
        store.files[kind] |= blind.files[kind]
    assert check(reopen(store)).clean
    prune(reopen(store))
    packs = reopen_with_index(store).index.packs()
    ids = [(blob.type, blob.id) for blobs in packs.values() for blob in blobs]
    assert len(ids) == len(set(ids))
    assert {name: len(raw) for name, raw in store.files[Kind.PACK].items()} == {name: pack_size(blobs) for name, blobs in packs.items()}
    for snapshot in (first, second):
        assert describe(restore(reopen(store), snapshot, tmp_path / snapshot)) == describe(source)


def test_one_pack_in_two_index_files_survives_an_index_rewrite(case: Case) -> None:
    """Scenario 6: restic#21820."""
    repository = reopen_with_index(case.store)
    again = [PackBlobs(name, blobs) for name, blobs in repository.index.packs().items()]
    repository.save(virtual(), Kind.INDEX, encode_index(again[:2]))
    prune(reopen(case.store))
    case.assert_all_restore(case.store, "after")
