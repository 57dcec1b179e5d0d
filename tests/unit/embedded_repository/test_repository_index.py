"""One parsed index for all clients of a process, and yet each sees only what was listed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.targets.embedded.repository.index import IndexPool, IndexView, PackBlobs, encode_index
from seatrial.targets.embedded.repository.packs import Blob, BlobType
from seatrial.targets.embedded.repository.store import Entry


class Files:
    """Index files by name, and how often each was loaded."""

    def __init__(self) -> None:
        self.raw: dict[str, bytes] = {}
        self.loads: list[str] = []

    def add(self, name: str, *blobs: str, pack: str = "") -> Entry:
        wanted = [Blob(BlobType.DATA, _id(blob), 100 * number, 50, 0) for number, blob in enumerate(blobs)]
        self.raw[_name(name)] = encode_index([PackBlobs(_name(pack or f"pack-of-{name}"), wanted)])
        return self.entry(name)

    def entry(self, name: str) -> Entry:
        return Entry(_name(name), len(self.raw[_name(name)]))

    def load(self, name: str) -> bytes:
        self.loads.append(name)
        return self.raw[name]


def _id(text: str) -> bytes:
    return text.encode().ljust(32, b".")


def _name(text: str) -> str:
    return text.encode().hex().ljust(64, "0")


def _finder(view: IndexView) -> Callable[[str], str | None]:
    def find(blob: str) -> str | None:
        location = view.find(BlobType.DATA, _id(blob))
        return None if location is None else bytes.fromhex(location.pack).rstrip(b"\0").decode()

    return find


def test_a_second_client_does_not_load_what_the_first_has_but_sees_only_its_own_listing() -> None:
    files, pool = Files(), IndexPool()
    a, b = files.add("a", "x"), files.add("b", "y")
    first, second = IndexView(pool), IndexView(pool)
    first.sync([a, b], files.load)
    second.sync([a], files.load)
    assert files.loads == [a.name, b.name]
    assert _finder(first)("y") == "pack-of-b"
    assert _finder(second)("x") == "pack-of-a"
    assert _finder(second)("y") is None


def test_a_file_that_is_no_longer_listed_is_forgotten_when_the_last_client_lets_go() -> None:
    files, pool = Files(), IndexPool()
    old, new = files.add("old", "x"), files.add("new", "x", "z")
    first, second = IndexView(pool), IndexView(pool)
    first.sync([old], files.load)
    second.sync([old], files.load)
    first.sync([new], files.load)
    assert _finder(first)("x") == "pack-of-new"
    assert _finder(second)("x") == "pack-of-old"
    assert len(pool) == 2
    second.sync([new], files.load)
    assert len(pool) == 1
    first.clear()
    second.clear()
    assert len(pool) == 0
    assert _finder(first)("x") is None


class Looked(dict[bytes, Any]):
    """Places of blobs; ``look`` is called wherever another thread may look, which takes no lock."""

    look: Callable[[], object] = staticmethod(lambda: None)

    def pop(self, *args: Any) -> Any:
        found = super().pop(*args)
        self.look()
        return found

    def __setitem__(self, blob: bytes, place: Any) -> None:
        super().__setitem__(blob, place)
        self.look()

    def __delitem__(self, blob: bytes) -> None:
        super().__delitem__(blob)
        self.look()


@pytest.mark.parametrize("others", [1, 2])
def test_a_blob_stays_in_sight_of_whoever_holds_it_while_another_client_lets_go_of_another_file_with_it(others: int) -> None:
    files, pool, places = Files(), IndexPool(), Looked()
    pool._places = (places, {})
    mine, theirs = [files.add(f"mine-{n}", "x") for n in range(others)], files.add("theirs", "x", "y")
    first, second = IndexView(pool), IndexView(pool)
    second.sync([theirs], files.load)
    first.sync(mine, files.load)
    seen: list[str | None] = []
    places.look = lambda: seen.append(_finder(first)("x"))
    second.clear()
    assert len(seen) >= 2, "both of its blobs were forgotten"
    assert set(seen) == {"pack-of-mine-0"}


def test_after_dropping_everything_files_are_loaded_again_although_others_know_them() -> None:
    files, pool = Files(), IndexPool()
    a = files.add("a", "x")
    warm, cold = IndexView(pool), IndexView(pool)
    warm.sync([a], files.load)
    cold.clear()
    cold.sync([a], files.load)
    cold.sync([a], files.load)
    assert files.loads == [a.name, a.name]
    assert len(pool) == 1


def test_a_known_file_of_another_size_is_loaded_again() -> None:
    files, pool = Files(), IndexPool()
    a = files.add("a", "x")
    IndexView(pool).sync([a], files.load)
    IndexView(pool).sync([Entry(a.name, a.size - 1)], files.load)
    assert files.loads == [a.name, a.name]


def test_a_failed_load_leaves_a_view_that_can_go_on() -> None:
    files, pool = Files(), IndexPool()
    a, b = files.add("a", "x"), files.add("b", "y")
    view = IndexView(pool)

    def fail(name: str) -> bytes:
        if name == b.name:
            raise OSError("gone")
        return files.load(name)

    with pytest.raises(OSError, match="gone"):
        view.sync([a, b], fail)
    view.sync([a, b], files.load)
    assert _finder(view)("x") == "pack-of-a"
    assert _finder(view)("y") == "pack-of-b"
    view.clear()
    assert len(pool) == 0


def test_packs_of_several_files_are_taken_together() -> None:
    files, pool = Files(), IndexPool()
    entries = [files.add("a", "x", pack="p"), files.add("b", "y", pack="p"), files.add("c", "x", "z", pack="q")]
    view = IndexView(pool)
    view.sync(entries, files.load)
    packs = view.packs()
    assert set(packs) == {_name("p"), _name("q")}
    assert {blob.id for blob in packs[_name("p")]} == {_id("x"), _id("y")}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.frozensets(st.integers(0, 5))), max_size=20))
def test_views_agree_with_plain_sets(steps: list[tuple[int, frozenset[int]]]) -> None:
    """Three clients see file sets in any order; each blob stands in several files; a dictionary per client is the model."""
    files, pool = Files(), IndexPool()
    no_pack: set[str | None] = {None}
    entries = [files.add(f"f{n}", f"only{n}", f"pair{n // 2}", "all") for n in range(6)]
    views, model = [IndexView(pool) for _ in range(3)], [frozenset[int]() for _ in range(3)]
    for who, seen in steps:
        views[who].sync([entries[n] for n in seen], files.load)
        model[who] = seen
        for view, has in zip(views, model, strict=True):
            find = _finder(view)
            for n in range(6):
                assert find(f"only{n}") == (f"pack-of-f{n}" if n in has else None)
            assert find("all") in ({f"pack-of-f{n}" for n in has} or no_pack)
            for pair in range(3):
                assert find(f"pair{pair}") in ({f"pack-of-f{n}" for n in has if n // 2 == pair} or no_pack)
    assert len(pool) == len(frozenset().union(*model))
