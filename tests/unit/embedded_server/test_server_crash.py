"""What survives a kill, and how it ends."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

import msgspec
import psutil
import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.targets.embedded.server.config import Limits
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD, LiveServer, Speaker, basic, blob_name, read_all
from tests.support.waiting import eventually

Maker = Callable[..., LiveServer]


def begin_upload(speaker: Speaker, name: str, size: int, part: bytes) -> None:
    """The header and the first part of a body; the connection stays open."""
    speaker.connection.putrequest("POST", f"/repository/data/{name}")
    speaker.connection.putheader("Authorization", speaker._authorization)
    speaker.connection.putheader("Content-Length", str(size))
    speaker.connection.endheaders(part)


def temporary(server: LiveServer) -> set[str]:
    return {file for file in server.files() if ".upload-" in file}


def test_a_kill_in_the_middle_of_an_upload_leaves_nothing_visible(make_server: Maker) -> None:
    server = make_server(fsync=True).start()
    data = os.urandom(1 << 20)
    with server.speaker() as admin, server.speaker() as uploading:
        kept = admin.put("data", b"acknowledged before the kill")
        begin_upload(uploading, blob_name(data), len(data), data[: 600 * 1024])
        assert eventually(lambda: temporary(server))
        assert admin.names("data") == {kept}
        server.kill()
    assert temporary(server)
    server.start()
    assert temporary(server) == set()
    assert "leftovers-removed files=1" in server.log()
    with server.speaker() as admin:
        assert admin.names("data") == {kept}
        assert admin.ask("GET", f"data/{blob_name(data)}").status == 404
        assert admin.ask("POST", f"data/{blob_name(data)}", data).status == 200


def test_every_acknowledged_upload_survives_kills(make_server: Maker) -> None:
    server = make_server(fsync=True)
    acknowledged: set[str] = set()
    for _ in range(3):
        server.start()
        with server.speaker() as admin:
            stop = threading.Event()

            def upload(speaker: Speaker = admin, stop: threading.Event = stop) -> None:
                try:
                    while not stop.is_set():
                        acknowledged.add(speaker.put("data", os.urandom(20_000)))
                except OSError:
                    pass

            before = len(acknowledged)
            thread = threading.Thread(target=upload)
            thread.start()
            assert eventually(lambda before=before: len(acknowledged) > before + 20)  # type: ignore[misc]  # a lambda with defaults
            server.kill()
            stop.set()
            thread.join()
    server.start()
    with server.speaker() as admin:
        assert acknowledged <= admin.names("data")
        for name in acknowledged:
            assert blob_name(admin.ask("GET", f"data/{name}").body) == name


def test_an_upload_cut_off_after_its_retry_succeeded_does_not_delete_the_good_file(make_server: Maker) -> None:
    server = make_server().start()
    data = os.urandom(1 << 20)
    name = blob_name(data)
    with server.speaker() as first, server.speaker() as retry:
        begin_upload(first, name, len(data), data[: 500 * 1024])
        assert eventually(lambda: temporary(server))
        assert retry.ask("POST", f"data/{name}", data).status == 200
        first.close()
        assert eventually(lambda: not temporary(server))
        assert retry.ask("GET", f"data/{name}").body == data
        assert retry.names("data") == {name}


def test_of_two_complete_uploads_of_one_name_the_later_is_refused(make_server: Maker) -> None:
    server = make_server().start()
    data = os.urandom(300_000)
    name = blob_name(data)
    with server.speaker() as first, server.speaker() as second:
        begin_upload(first, name, len(data), data[:200_000])
        assert eventually(lambda: temporary(server))
        assert second.ask("POST", f"data/{name}", data).status == 200
        first.connection.send(data[200_000:])
        assert first.connection.getresponse().status == 403
        assert second.ask("GET", f"data/{name}").body == data
    assert temporary(server) == set()


def test_sigterm_lets_a_running_request_finish_and_exits_0(make_server: Maker) -> None:
    server = make_server().start()
    data = os.urandom(300_000)
    name = blob_name(data)
    with server.speaker() as idle, server.speaker() as uploading:
        idle.ask("GET", "locks/")
        begin_upload(uploading, name, len(data), data[:200_000])
        assert eventually(lambda: temporary(server))
        assert server.process is not None
        server.process.terminate()
        assert idle.connection.sock.recv(1) == b""  # nothing was running there
        with pytest.raises(OSError):
            server.plain(1)
        uploading.connection.send(data[200_000:])
        answer = uploading.connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert server.stop() == 0
    assert "stop requests=" in server.log()
    assert server.files() == {f"data/{name[:2]}/{name}"}


def test_sigterm_does_not_wait_for_ever(make_server: Maker) -> None:
    server = make_server(limits=Limits(drain_s=0.3, tick_s=0.05)).start()
    with server.speaker() as uploading:
        begin_upload(uploading, "0" * 64, 1000, b"x")
        assert eventually(lambda: temporary(server))
        began = SYSTEM_CLOCK.monotonic_s()
        assert server.stop() == 0
        assert SYSTEM_CLOCK.monotonic_s() - began < 5
    assert "cut_off=1" in server.log()
    assert temporary(server) == set()


def test_a_port_in_use_is_named_and_ends_with_4(make_server: Maker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = make_server(port=port)
        assert server.launch().wait(20) == 4
    assert f"127.0.0.1:{port}: port in use" in server.log()
    assert "ERROR failed" in server.log()


def test_a_restart_waits_for_its_port(make_server: Maker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = make_server(port=taken.getsockname()[1], bind_retry_s=10)
        process = server.launch()
        assert eventually(lambda: "INFO  start" in server.log())
        assert process.poll() is None
    assert eventually(lambda: "INFO  ready" in server.log())


def test_two_servers_never_share_a_repository(make_server: Maker) -> None:
    first = make_server("first").start()
    second = make_server("second")
    second.repository.symlink_to(first.repository)
    assert second.launch().wait(20) == 2
    assert "another server has this repository" in second.log()
    assert first.alive()


@pytest.mark.parametrize("text", [b"", b"not json", b"{}", b'{"repository": 5}'])
def test_a_wrong_configuration_is_exit_2_with_a_reason(make_server: Maker, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    server = make_server()
    monkeypatch.setattr(msgspec.json, "encode", lambda _: text)
    assert server.launch().wait(20) == 2
    assert "the configuration is wrong" in server.log()


def test_the_quota_is_exact_over_uploads_deletes_aborts_and_restarts(make_server: Maker) -> None:
    server = make_server(quota_bytes=100_000).start()
    with server.speaker() as admin:
        first = admin.put("data", os.urandom(60_000))
        too_much = os.urandom(40_001)
        reply = admin.ask("POST", f"data/{blob_name(too_much)}", too_much)
        assert (reply.status, b"quota" in reply.body) == (507, True)
        assert admin.ask("POST", f"data/{'0' * 64}", os.urandom(30_000)).status == 400  # wrong hash: gives its bytes back
        fits = admin.put("data", os.urandom(40_000))
        assert admin.ask("POST", f"locks/{blob_name(b'x')}", b"x").status == 507
        assert admin.ask("DELETE", f"data/{fits}").status == 200
    server.kill()
    server.start()
    with server.speaker() as admin:
        assert admin.names("data") == {first}
        admin.put("data", os.urandom(40_000))
        assert admin.ask("POST", f"locks/{blob_name(b'x')}", b"x").status == 507
    assert temporary(server) == set()


def test_uploads_under_way_count_against_the_quota(make_server: Maker) -> None:
    server = make_server(quota_bytes=1_000_000).start()
    with server.speaker() as admin, server.speaker() as uploading:
        begin_upload(uploading, "0" * 64, 900_000, os.urandom(800_000))
        assert eventually(lambda: any((server.repository / file).stat().st_size >= 700_000 for file in temporary(server)))
        data = os.urandom(400_000)
        assert admin.ask("POST", f"data/{blob_name(data)}", data).status == 507
        uploading.close()
        assert eventually(lambda: not temporary(server))
        assert eventually(lambda: admin.ask("POST", f"data/{blob_name(data)}", data).status == 200)


def test_no_secret_stands_in_a_log_or_a_command_line(make_server: Maker) -> None:
    server = make_server().start()
    server.add_client()
    assert server.process is not None
    command = " ".join(psutil.Process(server.process.pid).cmdline())
    for user, password in ((CLIENT, CLIENT_PASSWORD), (ADMIN, "a-wrong-guess"), ("a-user-as-password", "x")):
        with server.speaker(user, password) as speaker:
            speaker.ask("GET", "locks/")
    with server.raw() as connection:  # a header that cannot be parsed is not quoted in the log
        connection.sendall(f"GET / HTTP/1.1\r\nAuthorization: {basic(CLIENT, CLIENT_PASSWORD)}\0\r\n\r\n".encode())
        read_all(connection)
    assert eventually(lambda: "bad-request" in server.log())
    assert server.stop() == 0
    text = server.log() + server.access_log.read_text() + command
    secrets = [ADMIN_PASSWORD, CLIENT_PASSWORD, "a-wrong-guess", "a-user-as-password", server.config.admin.password_sha256]
    secrets += [basic(CLIENT, CLIENT_PASSWORD).split()[1], basic(ADMIN, ADMIN_PASSWORD).split()[1]]
    assert [secret for secret in secrets if secret in text] == []


def test_the_access_log_tells_every_request(make_server: Maker) -> None:
    server = make_server().start()
    with server.speaker() as admin:
        name = admin.put("data", b"twelve bytes")
        admin.ask("GET", f"data/{name}", Range="bytes=0-4")
    assert server.stop() == 0
    lines = server.access_log.read_text().splitlines()[-2:]
    assert f"POST /repository/data/{name} 200 bytes=12 ms=" in lines[0]
    assert f"GET /repository/data/{name} 206 bytes=5 ms=" in lines[1]
    assert all("user=admin peer=127.0.0.1:" in line for line in lines)


def test_the_access_log_stays_bounded(make_server: Maker) -> None:
    server = make_server(limits=Limits(access_log_bytes=5000)).start()
    with server.speaker() as admin:
        for _ in range(200):
            admin.ask("HEAD", "config")
    assert server.stop() == 0
    older = server.access_log.with_name("access.log.1")
    assert 0 < server.access_log.stat().st_size <= 5000
    assert 4000 < older.stat().st_size <= 5000
    assert {path.name for path in server.home.glob("access.log*")} == {"access.log", "access.log.1"}
