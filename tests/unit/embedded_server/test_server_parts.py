"""Parts of the server by themselves: log lines, the clock of patience, the store on a failing disk."""

from __future__ import annotations

import errno
import io
import math
import os
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.clock import SYSTEM_CLOCK, VirtualClock
from seatrial.errors import HarnessError, UsageError
from seatrial.targets.embedded.server import certificate
from seatrial.targets.embedded.server.config import Admin, Limits
from seatrial.targets.embedded.server.filestore import FileStore
from seatrial.targets.embedded.server.log import AccessLog, ServerLog, quote
from seatrial.targets.embedded.server.peers import CoarseClock, Patience, Peer, Waiting
from seatrial.targets.embedded.server.routes import BadTarget, Routes
from seatrial.targets.embedded.server.store import BlobType, ExistingBlob, MissingBlob, NoRoom
from seatrial.targets.embedded.server.users import Users
from tests.support.embedded import blob_name


@given(st.text(max_size=400))
def test_a_quoted_value_is_one_word_of_printable_ascii(text: str) -> None:
    word = quote(text)
    assert word.isascii() and word.isprintable()
    if word.startswith('"'):
        body = word[1:-1]
        assert word.endswith('"') and '"' not in body.replace("\\\\", "").replace('\\"', "")
    else:
        assert " " not in word and "=" not in word and word


def test_the_log_is_bounded_and_tells_what_it_left_out() -> None:
    stream, clock = io.BytesIO(), VirtualClock()
    log = ServerLog(stream, clock)
    for number in range(1000):
        log.warn("denied", number=number, text="two words\x1b[31m\n")
    assert stream.getvalue().count(b"\n") == 20
    clock.advance(1.5)
    log.warn("denied")
    assert stream.getvalue().splitlines()[-1].endswith(b"WARN  denied suppressed=980")
    assert b"\x1b" not in stream.getvalue()
    assert stream.getvalue().startswith(b"2023-11-14T22:13:20.000Z WARN  denied number=0 ")


class FullDisk(io.BytesIO):
    full = True

    def write(self, data: Any) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "full")
        return super().write(data)


def test_a_log_that_cannot_be_written_fails_nobody_and_says_so_later() -> None:
    stream = FullDisk()
    log = ServerLog(stream, VirtualClock())
    log.info("first")
    log.info("second")
    stream.full = False
    log.info("third")
    assert stream.getvalue().endswith(b"INFO  third dropped=2\n")


def test_an_access_log_closed_meanwhile_counts_what_it_lost(tmp_path: Path) -> None:
    access = AccessLog(tmp_path / "access.log", 1000, SYSTEM_CLOCK)
    access.close()
    access.write(method="GET", target="/", status=200, size=0, ms=1.0, user="", peer="x")
    assert access.dropped == 1


def test_an_access_log_that_could_not_be_opened_anew_goes_on_once_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = AccessLog(tmp_path / "access.log", 100, SYSTEM_CLOCK)

    def write(target: str) -> None:
        access.write(method="GET", target=target, status=200, size=0, ms=1.0, user="", peer="x")

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    write("/first")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        write("/lost")
    write("/second")
    access.close()
    write("/too late")
    assert access.dropped == 2
    assert "/first" in (tmp_path / "access.log.1").read_text()
    assert "/second" in (tmp_path / "access.log").read_text()


def test_the_coarse_clock_stands_still_while_the_process_does() -> None:
    clock = CoarseClock(tick_s=0.25)
    for monotonic_s in (100.0, 100.25, 100.5, 700.5, 700.75):
        clock.tick(monotonic_s)
    assert clock.now == pytest.approx(0.25 + 0.25 + 0.5 + 0.25)


def patient(clock: CoarseClock, **limits: Any) -> tuple[Peer, Patience]:
    peer = Peer(socket.socket(), "x", 0.0)  # type: ignore[arg-type]  # a double, or fields by name
    peer.sock.close()
    return peer, Patience(peer, clock, Limits(**limits), Waiting.BODY)


def test_patience_is_a_leaky_bucket() -> None:
    clock = CoarseClock(1.0)
    peer, patience = patient(clock, body_silence_s=10.0, body_rate_bytes_s=100, body_s=1000.0)
    patience.begin()
    assert peer.deadline == 10
    clock.now = 8
    patience.moved(100)  # one second earned, eight used
    patience.end()
    assert peer.deadline == math.inf
    patience.begin()
    assert peer.deadline == 8 + 3
    patience.moved(1_000_000)  # a fast start is no credit for a long silence
    patience.end()
    patience.begin()
    assert peer.deadline == 8 + 10


def test_bytes_that_move_within_one_wait_count_as_soon_as_the_clock_ticks() -> None:
    clock = CoarseClock(1.0)
    peer, patience = patient(clock, body_silence_s=10.0, body_rate_bytes_s=100, body_s=1000.0)
    patience.begin()
    for _ in range(20):
        patience.moved(10)
    assert peer.deadline == 10
    clock.now = 4
    patience.moved(100)  # 300 bytes in all: three of the four seconds are earned
    assert peer.deadline == 4 + 9
    patience.end()
    assert peer.deadline == math.inf


def test_patience_has_an_end_however_fast_the_peer() -> None:
    clock = CoarseClock(1.0)
    peer, patience = patient(clock, body_silence_s=10.0, body_rate_bytes_s=1, body_s=30.0)
    for _ in range(5):
        patience.begin()
        clock.now += 5
        patience.moved(10_000)
        patience.end()
    patience.begin()
    assert peer.deadline == 25 + 5


@given(st.text(max_size=60))
def test_a_target_names_a_fixed_place_or_nothing(target: str) -> None:
    try:
        route = Routes("repository").route(target)
    except BadTarget:
        return
    assert route is None or not {"/", "\0", "%", "\\"} & set(route.name)


def test_routes_know_exactly_their_repository() -> None:
    routes = Routes("repository")
    name = "0" * 64
    found = routes.route(f"/repository/data/{name}")
    assert found is not None and (found.blob_type, found.name) == (BlobType.DATA, name)
    for other in (f"/repository/data/{name}\n", f"/repositoryx/data/{name}", f"/x/repository/data/{name}"):
        with suppress(BadTarget):
            assert routes.route(other) is None


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "repository", fsync=True, quota_bytes=1000)
    made.create()
    return made


def test_a_full_disk_is_no_room_and_leaves_nothing(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(NoRoom, match="disk"):
            store.put(BlobType.LOCKS, "0" * 64, [b"x"])
    assert store.list(BlobType.LOCKS) == []
    assert list((tmp_path / "repository" / "locks").iterdir()) == []
    assert store.stats().stored_bytes == 0
    assert store.put(BlobType.LOCKS, "0" * 64, [b"x" * 1000]) == 1000
    store.close()


def test_an_acknowledged_upload_was_synced_file_first_then_directory(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real_sync, real_link = os.fsync, os.link

    def sync(descriptor: int) -> None:
        seen.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def link(source: str, destination: str, **options: Any) -> None:
        seen.append("link")
        real_link(source, destination, **options)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    store.put(BlobType.DATA, "0" * 64, [b"x"])
    assert seen == ["file", "link", "directory"]
    store.close()


def test_two_uploads_of_one_name_count_once(store: FileStore) -> None:
    store.put(BlobType.KEYS, "0" * 64, [b"x" * 400])
    with pytest.raises(ExistingBlob):
        store.put(BlobType.KEYS, "0" * 64, [b"x" * 400])
    assert store.stats().stored_bytes == 400
    store.delete(BlobType.KEYS, "0" * 64)
    with pytest.raises(MissingBlob):
        store.delete(BlobType.KEYS, "0" * 64)
    assert store.stats().stored_bytes == 0
    store.close()


def test_many_threads_store_and_delete_and_the_count_stays_exact(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "repository", fsync=False)
    store.create()

    def work(number: int) -> None:
        for turn in range(50):
            data = f"{number % 2}-{turn}".encode()
            try:
                store.put(BlobType.INDEX, blob_name(data), [data])
            except ExistingBlob:
                with suppress(MissingBlob):
                    store.delete(BlobType.INDEX, blob_name(data))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.stats().stored_bytes == sum(entry.size for entry in store.list(BlobType.INDEX))
    store.close()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_the_store_itself_takes_no_other_names(store: FileStore, name: str) -> None:
    with pytest.raises(MissingBlob):
        store.open(BlobType.KEYS, name)
    with pytest.raises(MissingBlob):
        store.put(BlobType.KEYS, name, [b"x"])
    store.close()


def test_a_fifo_in_the_repository_is_no_blob_and_blocks_nobody(store: FileStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "repository" / "keys" / ("0" * 64))
    with pytest.raises(MissingBlob):
        store.open(BlobType.KEYS, "0" * 64)
    with pytest.raises(MissingBlob):
        store.size(BlobType.KEYS, "0" * 64)
    assert store.list(BlobType.KEYS) == []
    store.close()


def test_a_second_store_on_the_directory_is_refused_until_the_first_lets_go(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another server"):
        FileStore(tmp_path / "repository")
    store.close()
    FileStore(tmp_path / "repository").close()


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    first = certificate.make_or_load(tmp_path, SYSTEM_CLOCK)
    assert certificate.make_or_load(tmp_path, SYSTEM_CLOCK).fingerprint == first.fingerprint
    assert first.file.stat().st_mode & 0o777 == 0o600
    first.file.write_text("damaged")
    with pytest.raises(HarnessError, match="not a certificate"):
        certificate.make_or_load(tmp_path, SYSTEM_CLOCK)


def test_a_damaged_list_of_users_is_an_error_not_an_empty_list(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    file.write_text("{")
    with pytest.raises(HarnessError, match="list of users"):
        Users(Admin(user="admin", password_sha256="0" * 64), file)
