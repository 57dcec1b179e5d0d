"""The server stands up to strangers: odd names, too much, too slow, too many, nonsense."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.clock import SYSTEM_CLOCK
from seatrial.targets.embedded.server.config import Limits
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, LiveServer, Speaker, basic, blob_name, read_all
from tests.support.waiting import eventually

ID = "0" * 64
AUTHORIZATION = f"Authorization: {basic(ADMIN, ADMIN_PASSWORD)}\r\n"
IMPATIENT = Limits(
    header_s=0.5, idle_s=0.5, body_silence_s=0.5, body_rate_bytes_s=100_000, body_s=60, linger_s=0.2, tick_s=0.05, failure_delay_s=0.0
)


def exchange(server: LiveServer, data: bytes) -> bytes:
    with server.raw() as connection:
        with suppress(OSError):
            connection.sendall(data)
        return read_all(connection)


def status_of(server: LiveServer, target: str, method: str = "GET", extra: str = "", body: bytes = b"") -> int:
    header = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}Connection: close\r\n{extra}\r\n"
    answer = exchange(server, header.encode("latin-1") + body)
    return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    "target",
    [
        "/repository/../state/server.pem",
        "/repository/data/../../state/users.json",
        "/repository/data/..",
        "/repository/./config",
        "/../../../../etc/passwd",
        "/repository/%2e%2e/state/server.pem",
        "/repository/data/%2e%2e%2fstate",
        "/repository/%252e%252e/state",
        f"/repository/data/{ID}%00",
        "/repository/config%00.txt",
        "//repository/config",
        "/repository//config",
        "/repository/data//" + ID,
        "https://127.0.0.1/repository/config",
        "http://elsewhere/repository/config",
        "*",
        "repository/config",
        "/repository\\config",
        "/repository/config#x",
        "/.seatrial/users/../status",
        "/.seatrial/users/a%2fb",
    ],
)
def test_an_odd_target_is_400(shared_server: LiveServer, target: str) -> None:
    assert status_of(shared_server, target) == 400


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/repository",
        "/other/config",
        "/repository/config/",
        "/repository/state/" + ID,
        "/repository/data/" + ID[:-1],
        "/repository/data/" + ID + "0",
        "/repository/data/" + "A" * 64,
        "/repository/data/00/" + ID,
        "/repository/data/.upload-1-1",
        "/repository/config?create=true",
        "/repository/?create=false",
        "/repository/" + "a" * 8000,
        "/.seatrial",
        "/.seatrial/",
        "/.seatrial/users/",
        "/.seatrial/users/a/b",
        "/.seatrial/users/" + "a" * 200,
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_target_is_404(shared_server: LiveServer, target: str, method: str) -> None:
    assert status_of(shared_server, target, method) == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_no_upload_reaches_outside_the_repository(make_server: Callable[..., LiveServer], method: str) -> None:
    server = make_server().start()
    before = {path for path in server.home.rglob("*") if path != server.access_log}
    for path in (
        "repository/../evil",
        "evil",
        "repository/data/../../evil",
        "repository/%2e%2e/evil",
        "repository/evil",
        "repository/keys/evil",
    ):
        target = f"/{path}"
        assert status_of(server, target, method, "Content-Length: 4\r\n", b"evil") in (400, 404, 405)
    assert {path for path in server.home.rglob("*") if path != server.access_log} == before


def test_a_header_beyond_its_limit_is_431(shared_server: LiveServer) -> None:
    assert status_of(shared_server, "/repository/config", extra="X-Long: " + "a" * 40_000 + "\r\n") == 431


def test_endless_headers_end_early(shared_server: LiveServer) -> None:
    with shared_server.raw() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        sent = 0
        with suppress(OSError):
            while sent < 50 << 20:
                connection.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")
                sent += 1000
    assert sent < 10 << 20


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("path", "limit"), [("data", "data_bytes"), ("index", "other_bytes")])
def test_a_body_beyond_its_limit_is_413_and_leaves_nothing(
    make_server: Callable[..., LiveServer], chunked: bool, path: str, limit: str
) -> None:
    limits = Limits(data_bytes=200_000, other_bytes=100_000, failure_delay_s=0.0)
    size = getattr(limits, limit)
    server = make_server(limits=limits).start()
    before = server.files()
    body: object = iter([b"x" * 1000] * (size // 1000 + 1)) if chunked else b"x" * (size + 1)
    with server.speaker() as admin:
        assert admin.ask("POST", f"{path}/{ID}", body).status == 413
    assert eventually(lambda: server.files() <= before)
    with server.speaker() as admin:
        admin.put(path, b"y" * size)


def test_announcing_a_huge_body_is_refused_before_it_is_sent(shared_server: LiveServer) -> None:
    assert status_of(shared_server, f"/repository/data/{ID}", "POST", f"Content-Length: {1 << 50}\r\n") == 413


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: -1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: " + "9" * 5000 + "\r\n",
        "Transfer-Encoding: gzip\r\n",
    ],
)
def test_a_length_that_makes_no_sense_is_refused(shared_server: LiveServer, header: str) -> None:
    assert status_of(shared_server, f"/repository/data/{ID}", "POST", header, b"x") in (400, 413, 501)


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
def test_a_malformed_chunk_is_400_and_leaves_nothing(shared_server: LiveServer, method: str) -> None:
    before = shared_server.files()
    broken = b"5\r\nhello\r\nnot a length\r\n"
    assert status_of(shared_server, f"/repository/data/{ID}", method, "Transfer-Encoding: chunked\r\n", broken) == 400
    assert eventually(lambda: shared_server.files() <= before)


def test_garbage_after_a_head_on_one_connection_is_400_with_its_words(shared_server: LiveServer) -> None:
    with shared_server.raw() as connection:
        connection.sendall(f"HEAD /repository/config HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\nGARBAGE\r\n\r\n".encode())
        connection.settimeout(10)
        answers = read_all(connection)
    assert b"HTTP/1.1 400" in answers
    assert " defect " not in shared_server.log()


def ended_within(connection: socket.socket, timeout_s: float) -> bool:
    """Whether the server closes the connection."""
    connection.settimeout(timeout_s)
    try:
        return read_all(connection) is not None
    except TimeoutError:
        return False


@pytest.fixture
def impatient(make_server: Callable[..., LiveServer]) -> LiveServer:
    return make_server(limits=IMPATIENT).start()


def test_a_peer_that_never_says_hello_is_cut_off(impatient: LiveServer) -> None:
    with impatient.plain() as connection:
        assert ended_within(connection, 5)
    assert eventually(lambda: "cut-off waiting_for=header" in impatient.log())


def test_a_peer_that_is_silent_after_the_handshake_is_cut_off(impatient: LiveServer) -> None:
    with impatient.raw() as connection:
        assert ended_within(connection, 5)


def trickle(connection: socket.socket, data: bytes, pause_s: float) -> int:
    """Send byte by byte until it is over or the connection is; how many were sent."""
    never = threading.Event()
    for sent, byte in enumerate(data):
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return sent
        SYSTEM_CLOCK.wait(never, pause_s)
    return len(data)


def test_a_header_that_trickles_is_cut_off_however_busy_it_looks(impatient: LiveServer) -> None:
    with impatient.raw() as connection:
        assert trickle(connection, b"GET /repository/config HTTP/1.1\r\n" + b"X: yyyy\r\n" * 1000, 0.02) < 200


def test_a_body_that_trickles_is_cut_off_and_leaves_nothing(impatient: LiveServer) -> None:
    before = impatient.files()
    with impatient.raw() as connection:
        connection.sendall(f"POST /repository/data/{ID} HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}Content-Length: 100000\r\n\r\n".encode())
        assert trickle(connection, b"x" * 100_000, 0.02) < 500
    assert eventually(lambda: "cut-off waiting_for=body" in impatient.log())
    assert eventually(lambda: impatient.files() <= before)


def test_a_peer_that_does_not_read_its_answer_is_cut_off(impatient: LiveServer) -> None:
    with impatient.speaker() as admin:
        name = admin.put("data", b"z" * (16 << 20))
    with impatient.raw() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /repository/data/{name} HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\n".encode())
        assert eventually(lambda: "cut-off waiting_for=reader" in impatient.log())


def test_an_idle_connection_ends_without_a_warning(impatient: LiveServer) -> None:
    with impatient.speaker() as admin:
        admin.ask("GET", "locks/")
        assert ended_within(admin.connection.sock, 5)
    assert "cut-off" not in impatient.log()


def test_a_slow_but_honest_body_is_not_cut_off(make_server: Callable[..., LiveServer]) -> None:
    server = make_server(limits=Limits(body_silence_s=0.5, body_rate_bytes_s=100, tick_s=0.05)).start()
    data = b"a" * 1000

    def slowly() -> Iterator[bytes]:
        never = threading.Event()
        for start in range(0, 1000, 100):
            SYSTEM_CLOCK.wait(never, 0.15)  # 1.5 s in all, three times the longest silence
            yield data[start : start + 100]

    with server.speaker() as admin:
        assert admin.ask("POST", f"data/{blob_name(data)}", slowly()).status == 200


def test_plain_http_gets_no_answer_and_hurts_nobody(shared_server: LiveServer, admin: Speaker) -> None:
    with shared_server.plain() as connection:
        connection.sendall(b"GET /repository/config HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in read_all(connection)
    assert admin.ask("GET", "locks/").status == 200


def test_three_wrong_passwords_close_the_connection(shared_server: LiveServer) -> None:
    request = b"GET /repository/config HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n\r\n"
    answer = exchange(shared_server, request * 10)
    assert answer.count(b"HTTP/1.1 401 ") == 3
    assert answer.count(b"Connection: close") == 1


def test_connections_beyond_the_limit_get_503_and_the_others_go_on(make_server: Callable[..., LiveServer]) -> None:
    server = make_server(limits=Limits(connections=5, tick_s=0.05, failure_delay_s=0.0)).start()
    assert eventually(lambda: open_connections(server) == 1)
    with ExitStack() as stack:
        speakers = [stack.enter_context(server.speaker()) for _ in range(5)]
        assert [speaker.ask("GET", "locks/").status for speaker in speakers] == [200] * 5
        with server.speaker() as late:
            reply = late.ask("GET", "locks/")
            assert (reply.status, reply.headers["Connection"]) == (503, "close")
        assert [speaker.ask("GET", "locks/").status for speaker in speakers] == [200] * 5
        speakers[0].close()

        def room() -> bool:
            with server.speaker() as late:
                return late.ask("GET", "locks/").status == 200

        assert eventually(room)


def open_connections(server: LiveServer) -> int:
    import msgspec

    with server.speaker() as admin:
        count: int = msgspec.json.decode(admin.ask("GET", "!/.seatrial/status").body)["connections"]
        return count


def test_silent_strangers_make_room_for_honest_clients(make_server: Callable[..., LiveServer]) -> None:
    server = make_server(limits=Limits(connections=50, unproven=20, unproven_s=0.1, header_s=60, tick_s=0.02)).start()
    with ExitStack() as stack:
        strangers = [stack.enter_context(server.plain()) for _ in range(20)]

        def let_in() -> bool:
            with server.speaker() as honest:
                return honest.ask("GET", "locks/").status == 200

        assert eventually(let_in)
        assert ended_within(strangers[0], 5)


def test_a_flood_of_wrong_passwords_starves_nobody(make_server: Callable[..., LiveServer]) -> None:
    server = make_server(limits=Limits()).start()
    stop = threading.Event()
    refused = [0] * 16

    def flood(number: int) -> None:
        while not stop.is_set():
            with suppress(OSError, http.client.HTTPException), server.speaker("mallory", "guess") as stranger:
                for _ in range(3):
                    refused[number] += stranger.ask("GET", "config").status == 401

    def median_s(honest: Speaker) -> float:
        times = []
        for _ in range(60):
            began = SYSTEM_CLOCK.monotonic_s()
            assert honest.ask("GET", f"data/{name}").status == 200
            times.append(SYSTEM_CLOCK.monotonic_s() - began)
        return median(times)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(16)]
    with server.speaker() as honest:
        name = honest.put("data", b"d" * 4096)
        alone_s = median_s(honest)
        began_s = SYSTEM_CLOCK.monotonic_s()
        for thread in threads:
            thread.start()
        try:
            assert eventually(lambda: sum(refused) >= 32)
            flooded_s = median_s(honest)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    # The flood's own threads take the processor from the client here too; 16 of them unbraked would cost far more than this.
    assert flooded_s < max(10 * alone_s, 0.05), f"{alone_s * 1e3:.1f} ms alone, {flooded_s * 1e3:.1f} ms in the flood"
    lines_max = 20 * (SYSTEM_CLOCK.monotonic_s() - began_s + 2)
    assert 0 < server.log().count(" denied ") <= lines_max, "logged, at a bounded rate"


PIECES = [b"/", b"..", b".", b"%2e", b"%00", b"repository", b"data", b"config", b"?", b"\\"]
REQUEST_LIKE = st.builds(
    lambda method, target, version, headers, body: b"%s %s HTTP/%s\r\n%s\r\n%s" % (method, target, version, b"".join(headers), body),
    st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE", b"PUT", b"OPTIONS", b"G\x00T", b""]),
    st.one_of(
        st.sampled_from([b"/repository/config", b"/repository/data/" + ID.encode(), b"/repository/?create=true", b"/.seatrial/status"]),
        st.binary(max_size=40),
        st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
    ),
    st.sampled_from([b"1.1", b"1.0", b"2", b"9.9", b""]),
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"Host: x\r\n",
                    AUTHORIZATION.encode(),
                    b"Content-Length: 5\r\n",
                    b"Content-Length: 0\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Range: bytes=5-1\r\n",
                    b"Range: bytes=-\r\n",
                    b"Expect: 100-continue\r\n",
                    b"Connection: close\r\n",
                    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
                    b" folded\r\n",
                ]
            ),
            st.binary(max_size=30).map(lambda junk: junk + b"\r\n"),
        ),
        max_size=6,
    ),
    st.one_of(st.binary(max_size=60), st.just(b"0\r\n\r\n"), st.just(b"5\r\nhello\r\n0\r\n\r\n")),
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    limits = Limits(header_s=0.3, body_silence_s=0.3, idle_s=0.3, linger_s=0.1, tick_s=0.05, failure_delay_s=0.0)
    server = LiveServer(tmp_path_factory.mktemp("fuzzed"), limits=limits).start()
    yield server
    assert server.alive(), server.log()
    assert server.stop() == 0
    for mark in (" defect ", "Traceback", "ERROR"):
        assert mark not in server.log()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=200), REQUEST_LIKE, st.lists(REQUEST_LIKE, max_size=3).map(b"".join)))
def test_no_bytes_whatever_break_the_server(fuzzed: LiveServer, data: bytes) -> None:
    with fuzzed.raw() as connection:
        with suppress(OSError):
            connection.sendall(data)
            socket.socket.shutdown(connection, socket.SHUT_WR)
        answer = read_all(connection)
    for line in answer.split(b"\r\n"):
        assert not line.startswith(b"HTTP/1.1 5") or line.startswith(b"HTTP/1.1 501"), (data, answer)
    assert b"PRIVATE KEY" not in answer
    assert outside(fuzzed) == {"access.log", "ready.json", "server.log", "repository", "state"}


def outside(server: LiveServer) -> set[str]:
    return {path.name for path in Path(server.home).iterdir()}
