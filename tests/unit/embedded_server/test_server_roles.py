"""Who may do what, and what becomes of those who no longer may."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.embedded import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD, LiveServer, Speaker, blob_name
from tests.support.waiting import eventually


@pytest.mark.parametrize("blob_type", ["data", "index", "snapshots", "locks"])
def test_a_client_writes_and_reads_what_a_backup_needs(client: Speaker, blob_type: str) -> None:
    data = os.urandom(64)
    name = client.put(blob_type, data)
    assert client.ask("GET", f"{blob_type}/{name}").body == data
    assert name in client.names(blob_type)


@pytest.mark.parametrize(("blob_type", "status"), [("locks", 200), ("snapshots", 200), ("data", 403), ("index", 403), ("keys", 403)])
def test_a_client_deletes_only_locks_and_snapshots(admin: Speaker, client: Speaker, blob_type: str, status: int) -> None:
    name = admin.put(blob_type, os.urandom(64))
    assert client.ask("DELETE", f"{blob_type}/{name}").status == status
    assert (name in admin.names(blob_type)) == (status == 403)


def test_a_client_reads_but_never_writes_config_and_keys(admin: Speaker, client: Speaker) -> None:
    admin.ask("POST", "config", b"the config")
    data = os.urandom(64)
    assert client.ask("GET", "config").status == 200
    assert client.ask("GET", "keys/").status == 200
    assert client.ask("POST", "config", b"another").status == 403
    assert client.ask("DELETE", "config").status == 403
    assert client.ask("POST", f"keys/{blob_name(data)}", data).status == 403


@pytest.mark.parametrize(("method", "path"), [("GET", "status"), ("PUT", "users/mallory"), ("DELETE", f"users/{CLIENT}")])
def test_the_control_path_is_for_the_administrator(client: Speaker, method: str, path: str) -> None:
    assert client.ask(method, f"!/.seatrial/{path}", b'{"password_sha256":"' + b"0" * 64 + b'"}').status == 403
    assert client.ask("GET", "locks/").status == 200


def test_a_client_does_not_create_repositories(client: Speaker) -> None:
    assert client.ask("POST", "?create=true").status == 403


@pytest.mark.parametrize(
    ("user", "password"),
    [(CLIENT, "wrong"), (CLIENT, ""), (ADMIN, CLIENT_PASSWORD), (CLIENT, ADMIN_PASSWORD), ("nobody", "x"), ("", ""), ("ä", "ö")],
)
def test_a_wrong_password_gets_401(shared_server: LiveServer, user: str, password: str) -> None:
    with shared_server.speaker(user, password) as stranger:
        reply = stranger.ask("GET", "config")
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Basic realm="seatrial"')


@pytest.mark.parametrize("value", ["", "Basic", "Basic !!!", "Basic " + "A" * 4000, "Bearer x", "Basic Og=="])
def test_a_malformed_authorization_gets_401(shared_server: LiveServer, value: str) -> None:
    with shared_server.speaker() as stranger:
        stranger._authorization = value
        assert stranger.ask("GET", "config").status == 401


def test_a_refused_upload_still_reads_its_answer(shared_server: LiveServer) -> None:
    data = os.urandom(500_000)
    with shared_server.speaker("nobody", "x") as stranger:
        assert stranger.ask("POST", f"data/{blob_name(data)}", data).status == 401


def test_a_removed_user_is_out_at_once(admin: Speaker, shared_server: LiveServer) -> None:
    shared_server.add_client("leaver", "pw")
    with shared_server.speaker("leaver", "pw") as leaver, shared_server.speaker("leaver", "pw") as uploading:
        assert leaver.ask("GET", "locks/").status == 200
        assert uploading.ask("GET", "locks/").status == 200
        uploading.connection.putrequest("POST", f"/repository/data/{'0' * 64}")
        uploading.connection.putheader("Authorization", uploading._authorization)
        uploading.connection.putheader("Content-Length", "1000")
        uploading.connection.endheaders(b"the first part")
        assert admin.ask("DELETE", "!/.seatrial/users/leaver").status == 200
        assert uploading.connection.sock.recv(1) == b""
        assert leaver.connection.sock.recv(1) == b""
    with shared_server.speaker("leaver", "pw") as again:
        assert again.ask("GET", "locks/").status == 401
    assert admin.ask("DELETE", "!/.seatrial/users/leaver").status == 200  # removing nobody is fine


def test_a_new_password_takes_the_place_of_the_old(shared_server: LiveServer) -> None:
    shared_server.add_client("changer", "old")
    shared_server.add_client("changer", "new")
    with shared_server.speaker("changer", "old") as old, shared_server.speaker("changer", "new") as new:
        assert old.ask("GET", "locks/").status == 401
        assert new.ask("GET", "locks/").status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"password_sha256":"short"}', b'{"password_sha256":"' + b"0" * 64 + b'","role":"admin"}']
)
def test_a_malformed_user_is_refused(admin: Speaker, body: bytes) -> None:
    assert admin.ask("PUT", "!/.seatrial/users/somebody", body).status == 400


def test_the_administrators_name_is_not_to_be_had(admin: Speaker) -> None:
    body = b'{"password_sha256":"' + b"0" * 64 + b'"}'
    assert admin.ask("PUT", f"!/.seatrial/users/{ADMIN}", body).status == 403
    assert admin.ask("GET", "locks/").status == 200


def test_users_and_certificate_survive_a_kill(make_server: Callable[..., LiveServer]) -> None:
    server = make_server().start()
    server.add_client()
    fingerprint = server.fingerprint
    server.kill()
    server.start(create=False)
    assert server.fingerprint == fingerprint
    with server.speaker(CLIENT, CLIENT_PASSWORD) as client:
        assert client.ask("GET", "locks/").status == 200


def test_state_is_for_its_owner_only_and_holds_no_password(make_server: Callable[..., LiveServer]) -> None:
    server = make_server().start()
    server.add_client()
    state = server.home / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    files = list(state.iterdir())
    assert {file.name for file in files} == {"server.pem", "users.json"}
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert CLIENT_PASSWORD.encode() not in file.read_bytes()
    assert eventually(server.alive)
