"""The REST client against a server that loses answers, lies, trickles and dies."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from seatrial.clock import SYSTEM_CLOCK, VirtualClock
from seatrial.context import Context
from seatrial.errors import CancelledError, DeadlineExceededError, UsageError
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.store import Entry, Kind
from seatrial.targets.embedded.rest import RETRY_S, RestStore
from seatrial.targets.embedded.server.certificate import make_or_load
from seatrial.targets.protocols import Access
from tests.support.waiting import eventually

DATA = b"some sealed bytes"
NAME = hashlib.sha256(DATA).hexdigest()
PATH = f"/repo/data/{NAME}"

Behaviour = Callable[["_Handler"], bool]
"""Does something in place of the honest answer; False to answer honestly after all."""


@dataclass
class Scripted:
    """A server that keeps files honestly, except where the script says otherwise: one behaviour per request, in order."""

    files: dict[str, bytes] = field(default_factory=dict)
    script: list[Behaviour | None] = field(default_factory=list)
    always: Behaviour | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    blocked: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    fingerprint: str = ""

    def access(self, **changes: Any) -> Access:
        url = f"https://127.0.0.1:{self.port}/repo/"
        fields: dict[str, Any] = {"url": url, "fingerprint": self.fingerprint, "user": "u", "password": "p", "repository_password": ""}
        return Access(**(fields | changes))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def scripted(self) -> Scripted:
        return cast(Scripted, cast(Any, self.server).scripted)

    def setup(self) -> None:
        self.scripted.connections += 1
        self.request.settimeout(10)
        super().setup()

    def _serve(self) -> None:
        scripted = self.scripted
        scripted.seen.append((self.command, self.path))
        scripted.headers.append(dict(self.headers.items()))
        behaviour = scripted.script.pop(0) if scripted.script else scripted.always
        if behaviour is None or not behaviour(self):
            self.answer_honestly()

    do_GET = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815  # the base class's names

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def answer_honestly(self) -> None:
        status, body, kind = self.honest()
        self.answer(status, body, kind)

    def honest(self) -> tuple[int, bytes, str]:
        files, data = self.scripted.files, self.body()
        if self.command == "POST":
            if "create=true" in self.path:
                return 200, b"", ""
            if self.path in files:
                return 403, b"already exists", ""
            files[self.path] = data
            return 200, b"", ""
        if self.command == "DELETE":
            files.pop(self.path, None)
            return 200, b"", ""
        if self.path.endswith("/"):
            found = [{"name": path.removeprefix(self.path), "size": len(raw)} for path, raw in files.items() if path.startswith(self.path)]
            return 200, msgspec.json.encode(found), "application/vnd.x.restic.rest.v2"
        if self.path not in files:
            return 404, b"", ""
        return 200, files[self.path], ""

    def answer(self, status: int, body: bytes = b"", kind: str = "", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass


def lose_request(handler: _Handler) -> bool:
    """Die before anything happens."""
    handler.body()
    handler.drop()
    return True


def lose_answer(handler: _Handler) -> bool:
    """Do it, and die before saying so."""
    handler.honest()
    handler.drop()
    return True


def answer(status: int, body: bytes = b"", kind: str = "", **headers: str) -> Behaviour:
    def behave(handler: _Handler) -> bool:
        handler.body()
        handler.answer(status, body, kind, **headers)
        return True

    return behave


def block(handler: _Handler) -> bool:
    """Say nothing until the test is over."""
    handler.scripted.blocked.set()
    handler.scripted.released.wait(20)
    handler.drop()
    return True


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    certificate = make_or_load(tmp_path, SYSTEM_CLOCK)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        scripted = Scripted(fingerprint=certificate.fingerprint)

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # peers that go away are the point

        def get_request(self) -> tuple[ssl.SSLSocket, Any]:
            raw, address = self.socket.accept()
            return context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), address

    context = certificate.context()
    server = Server(("127.0.0.1", 0), _Handler)
    Server.scripted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Server.scripted
    Server.scripted.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(scripted: Scripted) -> Iterator[RestStore]:
    made = RestStore(scripted.access())
    yield made
    made.close()


def virtual() -> Context:
    return Context(clock=VirtualClock())


def _fails(call: Callable[[], object]) -> RepositoryError:
    with pytest.raises(RepositoryError) as caught:
        call()
    return caught.value


# --- the protocol


def test_one_connection_serves_many_requests_with_credentials_and_pinned_certificate(scripted: Scripted, store: RestStore) -> None:
    ctx = virtual()
    store.create(ctx)
    store.put(ctx, Kind.PACK, NAME, DATA)
    assert store.get(ctx, Kind.PACK, NAME) == DATA
    assert store.size(ctx, Kind.PACK, NAME) == len(DATA)
    assert store.entries(ctx, Kind.PACK) == [Entry(NAME, len(DATA))]
    store.delete(ctx, Kind.PACK, NAME)
    assert scripted.connections == 1
    assert scripted.seen == [
        ("POST", "/repo/?create=true"), ("POST", PATH), ("GET", PATH), ("HEAD", PATH), ("GET", "/repo/data/"), ("DELETE", PATH)
    ]  # fmt: skip
    assert {headers["Authorization"] for headers in scripted.headers} == {"Basic dTpw"}


def test_a_listing_of_the_first_protocol_is_completed_by_asking_for_sizes(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA
    names = [NAME, "0" * 64, "not-a-name"]
    scripted.script = [answer(200, msgspec.json.encode(names), "application/vnd.x.restic.rest.v1")]
    assert store.entries(virtual(), Kind.PACK) == [Entry(NAME, len(DATA))]


def test_another_certificate_is_refused_at_once(scripted: Scripted) -> None:
    store = RestStore(scripted.access(fingerprint="0" * 64))
    ctx = virtual()
    error = _fails(lambda: store.get(ctx, Kind.PACK, NAME))
    assert error.cause is Cause.DENIED
    assert "certificate" in error.what
    assert scripted.seen == []
    assert ctx.clock.monotonic_s() == 0.0
    store.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "nonsense", "https:///x"])
def test_an_address_that_is_none_is_a_usage_error(scripted: Scripted, url: str) -> None:
    with pytest.raises(UsageError):
        RestStore(scripted.access(url=url))


@pytest.mark.parametrize(
    ("status", "cause"),
    [(400, Cause.REJECTED), (401, Cause.DENIED), (403, Cause.DENIED), (404, Cause.MISSING), (413, Cause.REJECTED), (507, Cause.NO_SPACE)],
)
def test_final_answers_are_not_repeated(scripted: Scripted, store: RestStore, status: int, cause: Cause) -> None:
    scripted.always = answer(status)
    error = _fails(lambda: store.put(virtual(), Kind.PACK, NAME, DATA))
    assert error.cause is cause
    assert not error.maybe_applied
    assert len(scripted.seen) == 1


def test_deleting_what_is_not_there_is_fine_with_a_server_that_calls_it_missing(scripted: Scripted, store: RestStore) -> None:
    """Else a lock whose upload was lost would be swept before every operation, and none would ever begin."""
    scripted.script = [answer(404)]
    store.delete(virtual(), Kind.LOCK, NAME)
    assert [method for method, _ in scripted.seen] == ["DELETE"]


# --- answers that get lost


@pytest.mark.parametrize("trouble", [lose_request, answer(500), answer(502), answer(503)], ids=["lost", "500", "502", "503"])
def test_reading_is_repeated(scripted: Scripted, store: RestStore, trouble: Behaviour) -> None:
    scripted.files[PATH] = DATA
    ctx = virtual()
    for call in (lambda: store.get(ctx, Kind.PACK, NAME), lambda: store.size(ctx, Kind.PACK, NAME), lambda: store.entries(ctx, Kind.PACK)):
        scripted.script = [trouble, trouble]
        scripted.seen.clear()
        assert call()
        assert len(scripted.seen) == 3


def test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again(scripted: Scripted, store: RestStore) -> None:
    scripted.script = [lose_answer]
    store.put(virtual(), Kind.PACK, NAME, DATA)
    assert [method for method, _ in scripted.seen] == ["POST", "HEAD"]
    assert scripted.files == {PATH: DATA}


@pytest.mark.parametrize("trouble", [lose_request, answer(500), answer(503)], ids=["lost", "500", "503"])
def test_an_upload_that_did_not_arrive_is_sent_again(scripted: Scripted, store: RestStore, trouble: Behaviour) -> None:
    scripted.script = [trouble]
    store.put(virtual(), Kind.PACK, NAME, DATA)
    assert [method for method, _ in scripted.seen] == ["POST", "HEAD", "POST"]
    assert scripted.files == {PATH: DATA}


def test_an_upload_that_arrives_after_we_asked_is_recognised_by_the_refusal_of_the_second(scripted: Scripted, store: RestStore) -> None:
    def late(handler: _Handler) -> bool:
        handler.body()
        handler.scripted.files[PATH] = DATA  # the first attempt arrives only now
        handler.answer(403, b"already exists")
        return True

    scripted.script = [lose_request, answer(404), late]
    store.put(virtual(), Kind.PACK, NAME, DATA)
    assert [method for method, _ in scripted.seen] == ["POST", "HEAD", "POST", "HEAD"]


def test_a_refusal_without_a_lost_attempt_is_a_refusal_even_if_the_file_is_there(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA
    assert _fails(lambda: store.put(virtual(), Kind.PACK, NAME, DATA)).cause is Cause.DENIED


def test_a_file_of_another_size_is_not_taken_for_ours(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA[:5]
    scripted.script = [lose_request]
    error = _fails(lambda: store.put(virtual(), Kind.PACK, NAME, DATA))
    assert error.cause is Cause.DENIED
    assert error.maybe_applied


def test_an_upload_that_is_never_answered_may_have_happened(scripted: Scripted, store: RestStore) -> None:
    scripted.always = lose_request
    ctx = virtual()
    error = _fails(lambda: store.put(ctx, Kind.PACK, NAME, DATA))
    assert (error.cause, error.maybe_applied) == (Cause.UNREACHABLE, True)
    assert RETRY_S / 2 < ctx.clock.monotonic_s() <= RETRY_S


def test_an_upload_that_could_never_be_sent_did_not_happen(scripted: Scripted) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        store = RestStore(scripted.access(url=f"https://127.0.0.1:{closed.getsockname()[1]}/repo/"))
        error = _fails(lambda: store.put(virtual(), Kind.PACK, NAME, DATA))
    assert (error.cause, error.maybe_applied) == (Cause.UNREACHABLE, False)
    store.close()


def test_a_server_that_comes_back_within_the_time_is_found(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA
    ctx = virtual()
    scripted.script = [lose_request] * 5
    assert store.get(ctx, Kind.PACK, NAME) == DATA
    assert 0 < ctx.clock.monotonic_s() < RETRY_S


def test_a_deletion_whose_answer_was_lost_is_settled_by_asking(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA
    scripted.script = [lose_answer]
    store.delete(virtual(), Kind.PACK, NAME)
    assert [method for method, _ in scripted.seen] == ["DELETE", "HEAD"]
    scripted.files[PATH] = DATA
    scripted.script = [lose_request]
    scripted.seen.clear()
    store.delete(virtual(), Kind.PACK, NAME)
    assert [method for method, _ in scripted.seen] == ["DELETE", "HEAD", "DELETE"]
    assert scripted.files == {}


def test_a_deletion_that_is_never_answered_may_have_happened(scripted: Scripted, store: RestStore) -> None:
    scripted.always = answer(500)
    error = _fails(lambda: store.delete(virtual(), Kind.PACK, NAME))
    assert (error.cause, error.maybe_applied) == (Cause.SERVER_ERROR, True)


def test_a_throttling_answer_settles_that_nothing_happened(scripted: Scripted, store: RestStore) -> None:
    scripted.always = answer(429)
    error = _fails(lambda: store.put(virtual(), Kind.PACK, NAME, DATA))
    assert (error.cause, error.maybe_applied) == (Cause.SERVER_ERROR, False)


def test_an_early_refusal_of_a_large_upload_is_heard(scripted: Scripted, store: RestStore) -> None:
    def refuse_early(handler: _Handler) -> bool:
        handler.close_connection = True
        handler.answer(507, b"full", Connection="close")
        handler.connection.settimeout(5)
        with contextlib.suppress(OSError):
            while handler.rfile.read(1 << 16):
                pass
        return True

    scripted.always = refuse_early
    assert _fails(lambda: store.put(virtual(), Kind.PACK, NAME, bytes(8 << 20))).cause is Cause.NO_SPACE


# --- answers that lie


@pytest.mark.parametrize(
    "lie",
    [
        answer(200, b"[]"[:1], "application/vnd.x.restic.rest.v2"),
        answer(200, b"{}", "application/vnd.x.restic.rest.v2"),
        answer(200, b"<html>", "text/html"),
        answer(302, b"", Location="/elsewhere/"),
    ],
    ids=["cut", "object", "page", "elsewhere"],
)
def test_a_listing_that_is_none_is_an_error_and_never_an_empty_list(scripted: Scripted, store: RestStore, lie: Behaviour) -> None:
    scripted.always = lie
    assert _fails(lambda: store.entries(virtual(), Kind.SNAPSHOT)).cause is Cause.PROTOCOL


def test_an_answer_cut_short_is_repeated_and_never_taken_for_whole(scripted: Scripted, store: RestStore) -> None:
    listing = msgspec.json.encode([{"name": NAME, "size": 1}])

    def cut(handler: _Handler) -> bool:
        handler.answer(200, listing[:-1], "application/vnd.x.restic.rest.v2", length=str(len(listing)))
        handler.drop()
        return True

    scripted.always = cut
    assert _fails(lambda: store.entries(virtual(), Kind.SNAPSHOT)).cause is Cause.UNREACHABLE
    assert len(scripted.seen) > 1


def test_a_whole_file_or_too_little_in_answer_to_a_part_is_an_error(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA  # the honest side of this server knows no parts
    assert _fails(lambda: store.get(virtual(), Kind.PACK, NAME, offset=0, length=4)).cause is Cause.PROTOCOL
    scripted.script = [answer(206, DATA[:3]), answer(416)]
    assert _fails(lambda: store.get(virtual(), Kind.PACK, NAME, offset=0, length=4)).cause is Cause.CORRUPT
    assert _fails(lambda: store.get(virtual(), Kind.PACK, NAME, offset=99, length=4)).cause is Cause.CORRUPT


# --- stopping


def test_a_cancellation_wakes_a_blocked_request_at_once(scripted: Scripted, store: RestStore) -> None:
    scripted.script = [block]
    ctx = Context()
    ended: list[type[BaseException]] = []

    def ask() -> None:
        try:
            store.get(ctx, Kind.PACK, NAME)
        except CancelledError as error:
            ended.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    assert scripted.blocked.wait(10)
    start_s = SYSTEM_CLOCK.monotonic_s()
    ctx.cancel.cancel("stop")
    thread.join(10)
    assert ended == [CancelledError]
    assert SYSTEM_CLOCK.monotonic_s() - start_s < 5
    scripted.files[PATH] = DATA
    assert store.get(Context(), Kind.PACK, NAME) == DATA  # and the store still works


def test_a_cancellation_wakes_a_blocked_upload(scripted: Scripted, store: RestStore) -> None:
    def never_read(handler: _Handler) -> bool:
        return block(handler)

    scripted.script = [never_read]
    ctx = Context()
    ended = threading.Event()

    def send() -> None:
        with pytest.raises(CancelledError):
            store.put(ctx, Kind.PACK, NAME, bytes(64 << 20))
        ended.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert scripted.blocked.wait(10)
    ctx.cancel.cancel("stop")
    thread.join(10)
    assert ended.is_set()


def test_a_silent_server_is_left_at_the_deadline(scripted: Scripted, store: RestStore) -> None:
    scripted.always = block
    ctx = Context().within(0.3)
    start_s = SYSTEM_CLOCK.monotonic_s()
    with pytest.raises(DeadlineExceededError):
        store.get(ctx, Kind.PACK, NAME)
    assert SYSTEM_CLOCK.monotonic_s() - start_s < 5


def test_a_trickling_server_is_left_at_the_deadline(scripted: Scripted, store: RestStore) -> None:
    def trickle(handler: _Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not handler.scripted.released.wait(0.01):
                handler.wfile.write(b"x" * (256 << 10))
        return True

    scripted.always = trickle
    with pytest.raises(DeadlineExceededError):
        store.get(Context().within(0.5), Kind.PACK, NAME)


def test_a_closed_store_leaves_no_connection(scripted: Scripted, store: RestStore) -> None:
    scripted.files[PATH] = DATA
    store.get(Context(), Kind.PACK, NAME)
    store.close()
    assert store._connection.sock is None
    assert eventually(lambda: not [t for t in threading.enumerate() if "process_request_thread" in t.name and t.is_alive()])
    assert replace(Context()).cancel.cancelled is False
