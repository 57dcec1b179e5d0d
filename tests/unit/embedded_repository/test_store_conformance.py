"""What every ``Store`` promises. A new one is a line in ``STORES``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seatrial.context import Context
from seatrial.errors import CancelledError, DeadlineExceededError
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.store import Entry, Kind, Store
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import Access
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, LiveServer
from tests.unit.embedded_repository.stores import DirectoryStore, MemoryStore

STORES = ("memory", "directory", "rest")
KINDS = [kind for kind in Kind if kind is not Kind.CONFIG]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    made = LiveServer(tmp_path_factory.mktemp("conformance")).start(create=False)
    yield made
    assert made.stop() == 0


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "directory":
        made = DirectoryStore(tmp_path / "repository")
    else:
        server: LiveServer = request.getfixturevalue("server")
        made = RestStore(
            Access(
                url=f"https://127.0.0.1:{server.port}/repository/",
                fingerprint=server.fingerprint,
                user=ADMIN,
                password=ADMIN_PASSWORD,
                repository_password="",
            )
        )
    made.create(Context())
    for kind in Kind:
        if kind is not Kind.CONFIG:
            for entry in made.entries(Context(), kind):
                made.delete(Context(), kind, entry.name)
    made.delete(Context(), Kind.CONFIG, "")
    yield made
    made.close()


def _new(size: int = 100) -> tuple[str, bytes]:
    data = os.urandom(size)
    return hashlib.sha256(data).hexdigest(), data


def _cause(call: Callable[[], object]) -> Cause:
    with pytest.raises(RepositoryError) as caught:
        call()
    return caught.value.cause


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_put_is_listed_sized_and_read_back(store: Store, kind: Kind) -> None:
    ctx = Context()
    assert list(store.entries(ctx, kind)) == []
    (name, data), (other, more) = _new(), _new(3)
    store.put(ctx, kind, name, data)
    store.put(ctx, kind, other, memoryview(bytearray(more)))
    assert sorted(store.entries(ctx, kind)) == sorted([Entry(name, 100), Entry(other, 3)])
    assert store.size(ctx, kind, name) == 100
    assert store.get(ctx, kind, name) == data
    assert store.get(ctx, kind, other) == more


def test_the_config_is_a_file_without_a_name(store: Store) -> None:
    ctx = Context()
    assert store.size(ctx, Kind.CONFIG, "") is None
    store.put(ctx, Kind.CONFIG, "", b"the config")
    assert store.get(ctx, Kind.CONFIG, "") == b"the config"
    assert store.size(ctx, Kind.CONFIG, "") == 10
    assert _cause(lambda: store.put(ctx, Kind.CONFIG, "", b"another")) is Cause.DENIED
    assert store.get(ctx, Kind.CONFIG, "") == b"the config"


def test_parts_are_exactly_what_was_asked_for(store: Store) -> None:
    ctx = Context()
    name, data = _new(1000)
    store.put(ctx, Kind.PACK, name, data)
    assert store.get(ctx, Kind.PACK, name, offset=0, length=1) == data[:1]
    assert store.get(ctx, Kind.PACK, name, offset=100, length=300) == data[100:400]
    assert store.get(ctx, Kind.PACK, name, offset=999, length=1) == data[999:]
    assert store.get(ctx, Kind.PACK, name, offset=400) == data[400:]
    for offset, length in ((999, 2), (1000, 1), (5000, 10)):
        assert _cause(lambda offset=offset, length=length: store.get(ctx, Kind.PACK, name, offset=offset, length=length)) is Cause.CORRUPT  # type: ignore[misc]  # a lambda with defaults


def test_a_file_is_written_once(store: Store) -> None:
    ctx = Context()
    name, data = _new()
    store.put(ctx, Kind.PACK, name, data)
    assert _cause(lambda: store.put(ctx, Kind.PACK, name, data)) is Cause.DENIED
    assert store.get(ctx, Kind.PACK, name) == data


def test_what_is_not_there_is_missing_and_may_be_deleted(store: Store) -> None:
    ctx = Context()
    name, data = _new()
    assert _cause(lambda: store.get(ctx, Kind.PACK, name)) is Cause.MISSING
    assert _cause(lambda: store.get(ctx, Kind.PACK, name, offset=1, length=2)) is Cause.MISSING
    assert store.size(ctx, Kind.PACK, name) is None
    store.delete(ctx, Kind.PACK, name)
    store.put(ctx, Kind.PACK, name, data)
    store.delete(ctx, Kind.PACK, name)
    assert store.size(ctx, Kind.PACK, name) is None
    assert list(store.entries(ctx, Kind.PACK)) == []


def test_kinds_do_not_mix(store: Store) -> None:
    ctx = Context()
    name, data = _new()
    store.put(ctx, Kind.INDEX, name, data)
    assert list(store.entries(ctx, Kind.SNAPSHOT)) == []
    assert store.size(ctx, Kind.SNAPSHOT, name) is None


def test_creating_twice_keeps_everything(store: Store) -> None:
    ctx = Context()
    name, data = _new()
    store.put(ctx, Kind.PACK, name, data)
    store.create(ctx)
    assert store.get(ctx, Kind.PACK, name) == data


def test_large_files_pass_whole(store: Store) -> None:
    ctx = Context()
    name, data = _new(20 << 20)
    store.put(ctx, Kind.PACK, name, bytearray(data))
    assert store.get(ctx, Kind.PACK, name) == data


def test_a_cancelled_or_late_context_is_honoured_where_a_call_may_block(store: Store) -> None:
    if not isinstance(store, RestStore):
        return  # nothing in it blocks
    cancelled, late = Context(), Context().within(0.0)
    cancelled.cancel.cancel("stop")
    with pytest.raises(CancelledError):
        store.entries(cancelled, Kind.PACK)
    with pytest.raises(DeadlineExceededError):
        store.entries(late, Kind.PACK)
    assert list(store.entries(Context(), Kind.PACK)) == []


def test_closing_twice_is_fine(store: Store) -> None:
    store.close()
    store.close()
    assert list(store.entries(Context(), Kind.PACK)) == []
