"""The restic REST protocol row by row, against the real process over TLS."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import msgspec
import pytest

from tests.support.embedded import ADMIN, ADMIN_PASSWORD, LiveServer, Speaker, basic, blob_name, read_all
from tests.support.waiting import eventually

V2 = "application/vnd.x.restic.rest.v2"


def fresh(size: int = 100) -> bytes:
    return os.urandom(size)


def test_creating_a_repository_twice_is_fine(admin: Speaker, shared_server: LiveServer) -> None:
    assert admin.ask("POST", "?create=true").status == 200
    assert len(list((shared_server.repository / "data").iterdir())) == 256


def test_a_chunked_empty_body_leaves_nothing_in_the_connection(admin: Speaker) -> None:
    assert admin.ask("POST", "?create=true", iter(())).status == 200
    kept = admin.connection.sock
    assert kept is not None  # what http.client leaves when the server closes
    assert admin.ask("GET", "locks/").status == 200
    assert admin.connection.sock is kept


def test_an_upload_comes_back_and_head_tells_its_length(admin: Speaker) -> None:
    data = fresh(300_000)
    name = admin.put("data", data)
    assert admin.ask("GET", f"data/{name}").body == data
    head = admin.ask("HEAD", f"data/{name}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "300000", b"")


@pytest.mark.parametrize("blob_type", ["keys", "locks", "snapshots", "index", "data"])
def test_every_type_is_stored_in_restics_own_layout(admin: Speaker, shared_server: LiveServer, blob_type: str) -> None:
    data = fresh()
    name = admin.put(blob_type, data)
    place = f"data/{name[:2]}/{name}" if blob_type == "data" else f"{blob_type}/{name}"
    assert (shared_server.repository / place).read_bytes() == data


def test_a_chunked_upload_is_stored(admin: Speaker) -> None:
    parts = [fresh(50_000), fresh(1), fresh(70_000)]
    name = blob_name(b"".join(parts))
    assert admin.ask("POST", f"data/{name}", iter(parts)).status == 200
    assert admin.ask("GET", f"data/{name}").body == b"".join(parts)


@pytest.mark.parametrize("path", ["config", "data"])
def test_an_existing_file_is_never_replaced(admin: Speaker, path: str) -> None:
    data = fresh()
    target = path if path == "config" else f"data/{blob_name(data)}"
    first = admin.ask("POST", target, data)
    assert first.status in (200, 403)  # the config may be there from another test
    before = admin.ask("GET", target).body
    assert admin.ask("POST", target, data).status == 403
    assert admin.ask("GET", target).body == before


def test_a_body_that_is_not_its_name_is_refused_and_leaves_nothing(admin: Speaker, shared_server: LiveServer) -> None:
    before = shared_server.files()
    name = blob_name(fresh())
    assert admin.ask("POST", f"data/{name}", fresh(200_000)).status == 400
    assert admin.ask("HEAD", f"data/{name}").status == 404
    assert eventually(lambda: shared_server.files() <= before)


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 9),
        ("bytes=10-", 206, 10, 999),
        ("bytes=990-2000", 206, 990, 999),
        ("bytes=999-999", 206, 999, 999),
        ("bytes=9-3", 200, 0, 999),
        ("bytes=0-1,5-6", 200, 0, 999),
        ("lines=0-1", 200, 0, 999),
    ],
)
def test_a_range_is_answered_exactly(admin: Speaker, wanted: str, status: int, first: int, last: int) -> None:
    data = fresh(1000)
    reply = admin.ask("GET", f"data/{admin.put('data', data)}", Range=wanted)
    assert (reply.status, reply.body) == (status, data[first : last + 1])
    assert reply.headers.get("Content-Range") == (f"bytes {first}-{last}/1000" if status == 206 else None)


def test_a_range_past_the_end_is_416(admin: Speaker) -> None:
    name = admin.put("data", fresh(1000))
    for wanted in ("bytes=1000-", "bytes=1000-1005", "bytes=9999999999999999999-"):
        reply = admin.ask("GET", f"data/{name}", Range=wanted)
        assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */1000")


def test_both_versions_of_a_listing_name_the_same_files(admin: Speaker) -> None:
    name = admin.put("index", fresh(77))
    one = admin.ask("GET", "index/")
    two = admin.ask("GET", "index/", Accept=V2)
    assert one.headers["Content-Type"] == "application/vnd.x.restic.rest.v1"
    assert two.headers["Content-Type"] == V2
    entries = msgspec.json.decode(two.body)
    assert {"name": name, "size": 77} in entries
    assert sorted(msgspec.json.decode(one.body)) == sorted(entry["name"] for entry in entries)


def test_a_listing_ignores_what_is_not_a_blob(admin: Speaker, shared_server: LiveServer) -> None:
    keys = shared_server.repository / "keys"
    (keys / ".upload-1-1").write_bytes(b"half")
    (keys / "README").write_bytes(b"x")
    (keys / ("e" * 64)).symlink_to("/etc/passwd")
    assert admin.names("keys").isdisjoint({".upload-1-1", "README", "e" * 64})
    assert admin.ask("GET", f"keys/{'e' * 64}").status == 404


def test_without_a_repository_everything_is_missing(make_server: Callable[..., LiveServer]) -> None:
    server = make_server().start(create=False)
    with server.speaker() as admin:
        assert admin.ask("GET", "snapshots/").status == 404
        assert admin.ask("GET", "data/").status == 404
        assert admin.ask("HEAD", "config").status == 404
        assert admin.ask("POST", f"locks/{blob_name(b'x')}", b"x").status == 404


def test_a_listing_is_complete_or_an_error(make_server: Callable[..., LiveServer]) -> None:
    server = make_server().start()
    with server.speaker() as admin:
        admin.ask("POST", "config", b"config")
        name = admin.put("data", b"kept")
        assert admin.names("data") == {name}
        (server.repository / "data" / "00").rename(server.home / "moved")
        assert admin.ask("GET", "data/").status == 500
        (server.repository / "snapshots").rename(server.home / "moved-too")
        assert admin.ask("GET", "snapshots/").status == 500
    assert "ERROR storage" in server.log()


def test_deleting_is_idempotent(admin: Speaker) -> None:
    name = admin.put("snapshots", fresh())
    assert admin.ask("DELETE", f"snapshots/{name}").status == 200
    assert admin.ask("GET", f"snapshots/{name}").status == 404
    assert admin.ask("DELETE", f"snapshots/{name}").status == 200


def test_other_methods_are_refused_with_those_allowed(admin: Speaker) -> None:
    reply = admin.ask("PUT", f"data/{'0' * 64}", b"x")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, POST, DELETE")
    assert admin.ask("DELETE", "data/").status == 405
    assert admin.ask("PATCH", "config").status == 405


def test_a_connection_is_kept_over_answers_of_all_kinds(admin: Speaker) -> None:
    admin.ask("GET", "locks/")
    kept = admin.connection.sock
    assert kept is not None  # what http.client leaves when the server closes
    for method, path, body in (
        ("GET", f"data/{'0' * 64}", None),
        ("POST", f"data/{'0' * 64}", fresh(400_000)),
        ("POST", f"data/{admin.put('data', b'twice')}", b"twice"),
        ("HEAD", "nothing", None),
        ("GET", "locks/", b"a body where none is wanted"),
    ):
        admin.ask(method, path, body)
    assert admin.ask("GET", "locks/").status == 200
    assert admin.connection.sock is kept


def test_pipelined_requests_are_answered_in_order(shared_server: LiveServer) -> None:
    authorization = basic(ADMIN, ADMIN_PASSWORD)
    request = f"GET /repository/locks/ HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
    missing = request.replace("locks/ ", f"data/{'0' * 64} ")
    last = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    with shared_server.raw() as connection:
        connection.sendall((request + missing + last).encode())
        answer = read_all(connection)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_a_client_that_waits_for_100_continue_gets_it(shared_server: LiveServer) -> None:
    data = fresh(50)
    header = (
        f"POST /repository/data/{blob_name(data)} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(ADMIN, ADMIN_PASSWORD)}\r\n"
        "Content-Length: 50\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with shared_server.raw() as connection:
        connection.sendall(header.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(data)
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


LARGE = 600_001
"""Several of the server's buffers and a part of one."""


def upload_header(data: bytes, extra: str = "") -> bytes:
    authorization = basic(ADMIN, ADMIN_PASSWORD)
    return (
        f"POST /repository/data/{blob_name(data)} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
        f"Content-Length: {len(data)}\r\n{extra}\r\n"
    ).encode()


def statuses(answers: bytes) -> list[bytes]:
    return [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("size", [1, 20_000, LARGE])
def test_what_follows_an_upload_without_a_pause_is_the_next_request(shared_server: LiveServer, admin: Speaker, size: int) -> None:
    first, second = fresh(size), fresh(size)
    with shared_server.raw() as connection:
        connection.sendall(upload_header(first) + first + upload_header(second, "Connection: close\r\n") + second)
        assert statuses(read_all(connection)) == [b"200", b"200"]
    for data in (first, second):
        assert admin.ask("GET", f"data/{blob_name(data)}").body == data


def test_an_upload_that_waited_for_100_continue_leaves_a_good_connection(shared_server: LiveServer) -> None:
    first, second = fresh(LARGE), fresh()
    with shared_server.raw() as connection:
        connection.sendall(upload_header(first, "Expect: 100-continue\r\n"))
        assert statuses(connection.recv(1000)) == [b"100"]
        connection.sendall(first + upload_header(second, "Connection: close\r\n") + second)
        assert statuses(read_all(connection)) == [b"200", b"200"]


@pytest.mark.parametrize("sent", [0, 1, 300_000, LARGE - 1])
def test_a_body_shorter_than_its_length_gets_no_answer_and_leaves_nothing(shared_server: LiveServer, sent: int) -> None:
    before, data = shared_server.files(), fresh(LARGE)
    with shared_server.raw() as connection:
        connection.sendall(upload_header(data) + data[:sent])
        socket.socket.shutdown(connection, socket.SHUT_WR)
        assert read_all(connection) == b""
    assert eventually(lambda: shared_server.files() <= before)
    assert " defect " not in shared_server.log()


def test_an_upload_without_room_is_read_to_its_end_and_the_connection_kept(make_server: Callable[..., LiveServer]) -> None:
    server = make_server(quota_bytes=LARGE - 1).start()
    with server.speaker() as admin:
        admin.ask("GET", "locks/")
        kept = admin.connection.sock
        assert kept is not None  # what http.client leaves when the server closes
        assert admin.ask("POST", f"data/{'0' * 64}", fresh(LARGE)).status == 507  # refused at its last chunk
        assert admin.ask("POST", f"data/{'0' * 64}", fresh(3 * LARGE)).status == 507  # and in the middle
        admin.put("data", fresh())
        assert admin.connection.sock is kept


def test_the_status_counts_requests_and_bytes(admin: Speaker) -> None:
    before = msgspec.json.decode(admin.ask("GET", "!/.seatrial/status").body)
    admin.put("data", fresh(5000))
    after = msgspec.json.decode(admin.ask("GET", "!/.seatrial/status").body)
    assert after["stored_bytes"] - before["stored_bytes"] == 5000
    assert after["requests"]["put-data"] == before["requests"].get("put-data", 0) + 1
    assert after["latency_ms_p95"]["put-data"] > 0
    assert after["connections"] >= 1
