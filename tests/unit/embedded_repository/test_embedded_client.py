"""The client as the engine uses it, over HTTPS against the embedded server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import CacheSettings
from seatrial.context import Context
from seatrial.errors import CancelledError, NoSpaceError, OperationError
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.embedded.shared import SharedRepositories
from seatrial.verdicts import Outcome
from tests.unit.embedded_repository.conftest import Harbour
from tests.unit.embedded_repository.work import describe, odd_tree, plain_tree


def _restored(client: EmbeddedClient, snapshot: str, into: Path) -> Path:
    into.mkdir()
    client.restore(Context(), snapshot, into)
    return into


def test_what_one_client_creates_another_lists_restores_and_deletes(harbour: Harbour, tmp_path: Path) -> None:
    source = odd_tree(tmp_path / "source")
    ctx = Context()
    writer, reader = harbour.client(), harbour.client()
    snapshot, stats = writer.create(ctx, source, "run/17")
    files = [entry for entry in describe(source).values() if "content" in entry]
    assert stats.files == len(files)
    assert stats.bytes_read == sum(len(entry["content"]) for entry in files)
    assert stats.bytes_added > 0
    assert ctx.progress.done == stats.bytes_read
    assert {row.id: row.op for row in reader.list(ctx)}[snapshot] == "run/17"
    assert describe(_restored(reader, snapshot, tmp_path / "restored")) == describe(source)
    reader.delete(ctx, snapshot)
    assert snapshot not in {row.id for row in writer.list(ctx)}
    with pytest.raises(OperationError) as caught:
        writer.delete(ctx, snapshot)
    assert (caught.value.cause, caught.value.outcome) == ("missing", Outcome.FAILED)


def test_a_second_snapshot_of_the_same_adds_next_to_nothing(harbour: Harbour, tmp_path: Path) -> None:
    source = plain_tree(tmp_path / "source", salt="twice")
    client = harbour.client()
    _, first = client.create(Context(), source, "run/1")
    _, second = client.create(Context(), source, "run/2")
    assert second.bytes_read == first.bytes_read
    assert second.bytes_added < 1000


def test_two_snapshots_of_one_moment_have_ids_of_their_own(harbour: Harbour, tmp_path: Path) -> None:
    source, client = plain_tree(tmp_path / "source", files=1), harbour.client()
    ids = {client.create(Context(), source, f"run/{number}")[0] for number in range(3)}
    assert len(ids) == 3
    assert all(len(name) == 64 for name in ids)


def test_a_client_sees_what_the_server_has_now(harbour: Harbour, tmp_path: Path) -> None:
    source, client = plain_tree(tmp_path / "source", files=1), harbour.client()
    snapshot, _ = client.create(Context(), source, "run/1")
    assert snapshot in {row.id for row in client.list(Context())}
    path = harbour.server.repository / "snapshots" / snapshot
    raw = path.read_bytes()
    path.unlink()
    assert snapshot not in {row.id for row in client.list(Context())}
    path.write_bytes(raw)
    assert snapshot in {row.id for row in client.list(Context())}


def test_many_clients_at_once_do_not_disturb_each_other(harbour: Harbour, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def live(number: int) -> None:
        try:
            client = clients[number]
            source = plain_tree(tmp_path / f"source-{number}", salt=f"client-{number % 3}")
            for turn in range(3):
                snapshot, _ = client.create(Context(), source, f"run/{number}-{turn}")
                assert describe(_restored(client, snapshot, tmp_path / f"restored-{number}-{turn}")) == describe(source)
                if turn % 2:
                    client.delete(Context(), snapshot)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    clients = [harbour.client() for _ in range(6)]
    threads = [threading.Thread(target=live, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    code, said = harbour.maintain("check", "--read-data")
    assert (code, said["clean"]) == (0, True), said
    assert not list((harbour.server.repository / "locks").iterdir())


def test_prunes_between_and_during_snapshots_lose_nothing(make_harbour: Callable[..., Harbour], tmp_path: Path) -> None:
    harbour = make_harbour()
    stop = threading.Event()
    pruned: list[int] = []

    def collect() -> None:
        while not stop.is_set():
            code, said = harbour.maintain("prune", "--retry-lock-s", "1")
            assert code == 0 or said["error"]["cause"] == "contended", said
            pruned.append(code)

    collector = threading.Thread(target=collect)
    collector.start()
    live: dict[str, Path] = {}
    done = {"create": 0, "contended": 0}

    def write(number: int) -> None:
        client = clients[number]
        for turn in range(4):
            source = plain_tree(tmp_path / f"source-{number}-{turn}", files=3, salt=f"{number}-{turn}")
            try:
                snapshot, _ = client.create(Context(), source, f"run/{number}-{turn}")
                done["create"] += 1
                if turn % 2:
                    client.delete(Context(), snapshot)
                else:
                    live[snapshot] = source
            except OperationError as error:
                assert (error.cause, error.outcome) == ("contended", Outcome.FAILED)
                done["contended"] += 1

    clients = [harbour.client() for _ in range(2)]
    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stop.set()
    collector.join(60)
    assert done["create"] > 0
    assert pruned
    harbour.maintain("prune")
    reader = harbour.client()
    for number, (snapshot, source) in enumerate(live.items()):
        assert describe(_restored(reader, snapshot, tmp_path / f"restored-{number}")) == describe(source)
    assert harbour.maintain("check", "--read-data")[1]["clean"]


# --- caches


def _gets(client: EmbeddedClient, monkeypatch: pytest.MonkeyPatch) -> list[Kind]:
    assert client._session is not None
    store, seen = client._session.store, []
    real = store.get

    def get(ctx: Context, kind: Kind, name: str, **more: int | None) -> bytes:
        seen.append(kind)
        return real(ctx, kind, name, **more)  # type: ignore[arg-type]  # a double, or fields by name

    monkeypatch.setattr(store, "get", get)
    return seen


def test_after_dropping_its_caches_a_client_reads_everything_from_the_server(
    make_harbour: Callable[..., Harbour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour = make_harbour()
    client, other = harbour.client(), harbour.client()
    source = plain_tree(tmp_path / "source", salt="cold")
    snapshot, _ = client.create(Context(), source, "run/1")
    seen = _gets(client, monkeypatch)
    _restored(client, snapshot, tmp_path / "first")
    client.list(Context())
    first = set(seen) - {Kind.LOCK}
    assert first == {Kind.SNAPSHOT, Kind.INDEX, Kind.PACK}
    seen.clear()
    _restored(client, snapshot, tmp_path / "warm")
    client.list(Context())
    assert set(seen) - {Kind.LOCK} == {Kind.PACK}
    client.drop_caches()
    assert client.cache_info().files == 0
    seen.clear()
    _restored(client, snapshot, tmp_path / "cold")
    assert set(seen) - {Kind.LOCK} == first
    client.drop_caches()
    seen.clear()
    assert [row.id for row in client.list(Context())] == [snapshot]
    assert seen == [Kind.SNAPSHOT]
    _restored(other, snapshot, tmp_path / "others")  # so that this process knows it all while the client is away
    client.disconnect()
    client.drop_caches()
    client.connect(Context(), harbour.access())
    seen = _gets(client, monkeypatch)
    _restored(client, snapshot, tmp_path / "cold again")
    assert set(seen) - {Kind.LOCK} == first
    client.drop_caches()
    client.connect(Context(), harbour.access())
    seen = _gets(client, monkeypatch)
    _restored(client, snapshot, tmp_path / "cold over a new connection")
    assert set(seen) - {Kind.LOCK} == first
    client.connect(Context(), harbour.access())
    seen = _gets(client, monkeypatch)
    _restored(client, snapshot, tmp_path / "warm over a new connection")
    assert set(seen) - {Kind.LOCK} == {Kind.PACK}


def test_cache_info_tells_owner_limits_and_parts(harbour: Harbour, tmp_path: Path) -> None:
    client = harbour.client(cache=CacheSettings(content_limit_bytes=100 << 20, metadata_limit_bytes=50 << 20))
    source = plain_tree(tmp_path / "source", salt="info")
    snapshot, _ = client.create(Context(), source, "run/1")
    _restored(client, snapshot, tmp_path / "restored")
    frame = client.cache_info()
    assert frame.owner == harbour.access().user
    assert frame.limit_bytes == 150 << 20
    assert set(frame.subdirectories) == {"index", "snapshots", "data"}
    assert frame.subdirectories["data"] > 0
    assert (
        frame.size_bytes == sum(frame.subdirectories.values()) == sum(p.stat().st_size for p in Path(frame.path).rglob("*") if p.is_file())
    )
    client.cleanup()
    assert not Path(frame.path).exists()
    assert client.cache_info().files == 0


def test_clients_share_what_they_know_and_give_it_back(
    make_harbour: Callable[..., Harbour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour = make_harbour()
    everybody = SharedRepositories()
    first, second = harbour.client(shared=everybody), harbour.client(shared=everybody)
    snapshot, _ = first.create(Context(), plain_tree(tmp_path / "source"), "run/1")
    _restored(first, snapshot, tmp_path / "first")
    seen = _gets(second, monkeypatch)
    _restored(second, snapshot, tmp_path / "second")
    assert Kind.INDEX not in seen, "the first client has read it for both"
    assert first._session is not None
    pool = first._session.shared.index
    assert len(pool) == 1
    first.disconnect()
    assert len(pool) == 1
    second.disconnect()
    assert len(pool) == 0


# --- coming and going


def test_without_a_connection_every_call_is_failed(harbour: Harbour, tmp_path: Path) -> None:
    client = harbour.client(connect=False)
    for call in (lambda: client.list(Context()), lambda: client.create(Context(), tmp_path, "run/1")):
        with pytest.raises(OperationError) as caught:
            call()
        assert (caught.value.cause, caught.value.outcome) == ("disconnected", Outcome.FAILED)
    client.disconnect()
    client.drop_caches()
    client.cleanup()
    client.cleanup()


def test_reconnecting_keeps_the_cache(harbour: Harbour, tmp_path: Path) -> None:
    client = harbour.client()
    snapshot, _ = client.create(Context(), plain_tree(tmp_path / "source", salt="again"), "run/1")
    _restored(client, snapshot, tmp_path / "restored")
    files = client.cache_info().files
    client.connect(Context(), harbour.access())
    assert client.cache_info().files == files > 0
    client.disconnect()
    client.connect(Context(), harbour.access())
    assert snapshot in {row.id for row in client.list(Context())}


def test_a_server_that_restarts_in_the_middle_is_waited_for(
    make_harbour: Callable[..., Harbour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour = make_harbour()
    client = harbour.client()
    source = plain_tree(tmp_path / "source")
    assert client._session is not None
    store = client._session.store
    real = store.put
    restarted = threading.Event()

    def put(ctx: Context, kind: Kind, name: str, data: bytes) -> None:
        if kind is Kind.INDEX and not restarted.is_set():
            restarted.set()
            port = harbour.server.port
            harbour.server.kill()
            harbour.server.config = msgspec.structs.replace(harbour.server.config, port=port, bind_retry_s=5.0)
            starter.start()
        real(ctx, kind, name, data)

    def start() -> None:
        harbour.server.start(create=False)
        harbour.server.add_client()

    starter = threading.Thread(target=start)
    monkeypatch.setattr(store, "put", put)
    try:
        snapshot, _ = client.create(Context(), source, "run/1")
    except OperationError as error:  # it answered before it knew its user again
        assert (error.cause, error.outcome) == ("denied", Outcome.FAILED)
        starter.join()
        snapshot, _ = client.create(Context(), source, "run/2")
    starter.join()
    assert describe(_restored(client, snapshot, tmp_path / "restored")) == describe(source)
    assert not list((harbour.server.repository / "locks").iterdir())


def test_a_cancelled_create_leaves_no_snapshot_and_no_lock(
    make_harbour: Callable[..., Harbour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour = make_harbour()
    client = harbour.client()
    ctx = Context()
    real = RestStore.put

    def put(self: RestStore, inner: Context, kind: Kind, name: str, data: bytes) -> None:
        real(self, inner, kind, name, data)
        if kind is Kind.PACK:
            ctx.cancel.cancel("stop")

    monkeypatch.setattr(RestStore, "put", put)
    start_s = SYSTEM_CLOCK.monotonic_s()
    with pytest.raises(CancelledError):
        client.create(ctx, plain_tree(tmp_path / "source"), "run/1")
    assert SYSTEM_CLOCK.monotonic_s() - start_s < 5
    assert harbour.client().list(Context()) == []
    assert not list((harbour.server.repository / "locks").iterdir())


def test_a_full_server_is_no_space_and_recovers(make_harbour: Callable[..., Harbour], tmp_path: Path) -> None:
    harbour = make_harbour(quota_bytes=400_000)
    client = harbour.client()
    source = tmp_path / "source"
    source.mkdir()
    (source / "first").write_bytes(os.urandom(200_000))
    first, _ = client.create(Context(), source, "run/1")
    (source / "second").write_bytes(os.urandom(300_000))
    with pytest.raises(NoSpaceError) as caught:
        client.create(Context(), source, "run/2")
    assert caught.value.outcome is Outcome.FAILED
    client.delete(Context(), first)
    assert harbour.maintain("prune")[0] == 0
    (source / "first").unlink()
    second, _ = client.create(Context(), source, "run/3")
    assert describe(_restored(client, second, tmp_path / "restored")) == describe(source)
