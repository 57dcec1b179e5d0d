"""The check finds what is planted, names it, and has nothing to say about a sound repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.targets.embedded.repository import check as checks
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.index import PackBlobs, encode_index
from seatrial.targets.embedded.repository.packs import BlobType
from seatrial.targets.embedded.repository.store import Kind
from tests.unit.embedded_repository.stores import Call, MemoryStore, WatchedStore, make, reopen, virtual
from tests.unit.embedded_repository.work import backup, check, plain_tree


class Case:
    """Two snapshots without anything in common but one file."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        make(self.store)
        self.one = backup(reopen(self.store), plain_tree(folder / "one", files=4, salt="one"))
        self.packs_of_one = set(self.store.files[Kind.PACK])
        self.two = backup(reopen(self.store), plain_tree(folder / "two", files=4, salt="two"))

    def pack(self, kind: BlobType) -> str:
        """The pack of this type that the first snapshot brought."""
        repository = reopen(self.store)
        repository.refresh_index(virtual())
        (name,) = (name for name, blobs in repository.index.packs().items() if name in self.packs_of_one and blobs[0].type is kind)
        return name

    def flip(self, kind: Kind, name: str, at: int) -> None:
        raw = self.store.files[kind][name]
        self.store.files[kind][name] = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_sound_repository_has_no_problems(case: Case) -> None:
    for read_data in (False, True):
        verdict = check(reopen(case.store), read_data=read_data)
        assert verdict.clean
        assert verdict.problems == []
        assert "2 snapshots" in verdict.output


def _problems(case: Case, *, read_data: bool = True) -> str:
    verdict = check(reopen(case.store), read_data=read_data)
    assert not verdict.clean
    assert verdict.problems
    return "\n".join(verdict.problems)


def test_a_flipped_byte_in_a_data_blob_names_pack_blob_snapshot_and_path(case: Case) -> None:
    name = case.pack(BlobType.DATA)
    case.flip(Kind.PACK, name, 20)
    assert check(reopen(case.store), read_data=False).clean, "without reading data nobody can know"
    problems = _problems(case)
    assert f"data/{name}" in problems
    assert f"snapshots/{case.one}" in problems
    assert "file_" in problems
    assert f"snapshots/{case.two}" not in problems


@pytest.mark.parametrize("kind", [BlobType.DATA, BlobType.TREE])
def test_a_deleted_pack_names_every_snapshot_that_needs_it(case: Case, kind: BlobType) -> None:
    name = case.pack(kind)
    del case.store.files[Kind.PACK][name]
    for read_data in (False, True):
        problems = _problems(case, read_data=read_data)
        assert f"data/{name}: is missing" in problems
        assert f"snapshots/{case.one}" in problems
        assert f"snapshots/{case.two}" not in problems


def test_a_pack_cut_short_is_seen_without_reading_it(case: Case) -> None:
    name = case.pack(BlobType.DATA)
    case.store.files[Kind.PACK][name] = case.store.files[Kind.PACK][name][:-3]
    assert f"data/{name}" in _problems(case, read_data=False)


def test_a_damaged_header_is_seen_although_every_blob_is_sound(case: Case) -> None:
    name = case.pack(BlobType.DATA)
    case.flip(Kind.PACK, name, len(case.store.files[Kind.PACK][name]) - 10)
    problems = _problems(case)
    assert f"data/{name}" in problems
    assert "snapshots/" not in problems, "no snapshot is hit by that"


@pytest.mark.parametrize("kind", [Kind.SNAPSHOT, Kind.INDEX])
@pytest.mark.parametrize("damage", ["flip", "empty"])
def test_every_damaged_file_is_named(case: Case, kind: Kind, damage: str) -> None:
    for name in case.store.files[kind]:
        if damage == "flip":
            case.flip(kind, name, 40)
        else:
            case.store.files[kind][name] = b""
    problems = _problems(case)
    for name in case.store.files[kind]:
        assert f"{kind.value}/{name}" in problems


def test_a_missing_index_file_hits_the_snapshot_whose_blobs_it_named(case: Case) -> None:
    repository = reopen(case.store)
    for name in list(case.store.files[Kind.INDEX]):
        raw = case.store.files[Kind.INDEX].pop(name)
        repository.refresh_index(virtual())
        if not case.packs_of_one & set(repository.index.packs()):
            break
        case.store.files[Kind.INDEX][name] = raw
    problems = _problems(case)
    assert f"snapshots/{case.one}" in problems
    assert f"snapshots/{case.two}" not in problems
    assert "in no index" in problems


def test_an_index_that_contradicts_a_header_is_seen(case: Case) -> None:
    repository = reopen(case.store)
    repository.refresh_index(virtual())
    name = case.pack(BlobType.DATA)
    blobs = repository.index.packs()[name]
    swapped = [blob._replace(id=other.id) for blob, other in zip(blobs, [*blobs[1:], blobs[0]], strict=True)]
    case.store.files[Kind.INDEX].clear()
    others = [PackBlobs(pack, known) for pack, known in repository.index.packs().items() if pack != name]
    repository.save(virtual(), Kind.INDEX, encode_index([*others, PackBlobs(name, swapped)]))
    problems = _problems(case)
    assert f"data/{name}: header and index disagree" in problems
    assert "not what its id says" in problems


def test_packs_that_no_index_names_are_mentioned_but_no_problem(case: Case) -> None:
    case.store.files[Kind.PACK]["ab" * 32] = b"left behind"
    verdict = check(reopen(case.store))
    assert verdict.clean
    assert "1 packs that no index names" in verdict.output


def test_the_number_of_problems_is_bounded_and_the_rest_is_counted(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PROBLEMS_MAX", 3)
    for name in case.store.files[Kind.PACK]:
        case.flip(Kind.PACK, name, 20)
        case.flip(Kind.PACK, name, 200)
    verdict = check(reopen(case.store))
    assert len(verdict.problems) == 3
    assert "further problems" in verdict.output


@pytest.mark.parametrize("cause", [Cause.UNREACHABLE, Cause.DENIED, Cause.SERVER_ERROR])
@pytest.mark.parametrize("kind", [Kind.SNAPSHOT, Kind.INDEX, Kind.PACK])
def test_a_server_that_does_not_answer_is_no_damage(case: Case, cause: Cause, kind: Kind) -> None:
    def refuse(call: Call) -> None:
        if call[:2] == ("get", kind):
            raise RepositoryError("away", cause=cause)

    repository = reopen(case.store)
    repository.store = WatchedStore(case.store, before=refuse)
    with pytest.raises(RepositoryError) as caught:
        check(repository)
    assert caught.value.cause is cause


def test_a_snapshot_deleted_while_we_read_is_no_damage(case: Case) -> None:
    def vanish(call: Call) -> None:
        if call == ("get", Kind.SNAPSHOT, case.one):
            case.store.files[Kind.SNAPSHOT].pop(case.one, None)

    repository = reopen(case.store)
    repository.store = WatchedStore(case.store, before=vanish)
    assert check(repository).clean


def _listed_but_gone(case: Case) -> WatchedStore:
    store = WatchedStore(case.store)
    real: Callable[..., bytes] = store.get

    def get(ctx: object, kind: Kind, name: str, **more: object) -> bytes:
        if (kind, name) == (Kind.SNAPSHOT, case.one):
            raise RepositoryError("is not there", cause=Cause.MISSING)
        return real(ctx, kind, name, **more)

    store.get = get  # type: ignore[method-assign]  # the double takes its place
    return store


def test_a_snapshot_that_stays_listed_but_cannot_be_read_is_damage(case: Case) -> None:
    repository = reopen(case.store)
    repository.store = _listed_but_gone(case)
    verdict = check(repository)
    assert any(case.one in problem for problem in verdict.problems)
