"""The HTTP transport and listener: clusters of sockets, the wire, limits, auth, life cycle."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.cluster import (
    ApplyResult,
    BackendNotFoundError,
    Consistency,
    DistMemory,
    DrainingError,
    GossipMember,
    HTTPAuth,
    HTTPLimits,
    HTTPTransport,
    InsecureAuthConfigError,
    Item,
    QuorumFailedError,
    ResponseTooLargeError,
    TransportError,
    allocate_port,
    find_owner_key,
)
from tests.support.cluster_http import Start, ask, patient, to, two, value
from tests.support.waiting import eventually

# --- drain


def test_draining_turns_health_and_refuses_writes_once_for_all(start: Start) -> None:
    """Rows 39, 40."""
    node = start()
    node.put("k", "v")
    assert ask(node, "GET", "/health") == (200, b"ok")
    node.drain()
    node.drain()
    assert ask(node, "GET", "/health") == (503, b"draining")
    assert node.is_draining
    assert node.metrics().drains == 1
    writes: list[Callable[[], None]] = [lambda: node.put("k", "w"), lambda: node.remove("k"), node.remove]
    for write in writes:
        with pytest.raises(DrainingError, match=r"^dist node is draining$"):
            write()
    assert value(node, "k") == "v"


def test_draining_by_request(start: Start) -> None:
    """Row 41."""
    node = start()
    assert ask(node, "POST", "/dist/drain") == (200, b'{"draining":true}')
    assert ask(node, "POST", "/dist/drain")[0] == 200
    assert ask(node, "GET", "/health")[0] == 503


# --- keys


def test_the_cursor_walks_all_shards(start: Start) -> None:
    """Row 42."""
    node = start()
    for number in range(64):
        node.put(f"cursor-key-{number}", number)
    seen: list[str] = []
    cursor = "0"
    while cursor:
        status, body = ask(node, "GET", f"/internal/keys?cursor={cursor}")
        page = json.loads(body)
        assert status == 200
        seen += page["keys"]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(f"cursor-key-{number}" for number in range(64))
    assert ask(node, "GET", "/internal/keys?cursor=8") == (200, b'{"keys":[],"next_cursor":""}')


def test_a_page_that_is_cut_names_its_own_shard_again(start: Start) -> None:
    """Row 43."""
    node = start()
    for number in range(256):
        node.put(f"limit-key-{number}", number)
    page = json.loads(ask(node, "GET", "/internal/keys?cursor=0&limit=1")[1])
    assert (len(page["keys"]), page["truncated"], page["next_cursor"]) == (1, True, "0")


# --- the wire


def test_pages_of_keys_on_the_wire_are_these_bytes(start: Start) -> None:
    node = start(shard_count=2)
    node.debug_inject(Item("e", 1, version=1, origin="A"))
    pages = [ask(node, "GET", f"/internal/keys?cursor={cursor}")[1] for cursor in (0, 1)]
    assert b'{"keys":["e"],"next_cursor":"1","truncated":false}' in pages or b'{"keys":["e"],"next_cursor":"","truncated":false}' in pages


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", "/internal/get", None, 400, "missing cache key"),
        ("GET", "/internal/cache/get", None, 400, "missing cache key"),
        ("DELETE", "/internal/del", None, 400, "missing cache key"),
        ("DELETE", "/internal/del?key=k&replicate=maybe", None, 400, "invalid replicate"),
        ("DELETE", "/internal/cache/remove?key=k&version=-1", None, 400, "invalid version"),
        ("DELETE", f"/internal/del?key=k&version={'9' * 5000}", None, 400, "invalid version"),
        ("GET", "/internal/keys?cursor=x", None, 400, "invalid cursor"),
        ("GET", "/internal/keys?limit=-1", None, 400, "invalid limit"),
        ("GET", "/internal/keys?q=[", None, 400, "list-keys: invalid glob pattern: syntax error in pattern"),
        ("GET", "/internal/probe", None, 400, "missing target"),
        ("GET", "/internal/probe?target=ghost", None, 404, "backend not found"),
        ("POST", "/internal/set", b'{"key":" ","value":1}', 400, "invalid key"),
        ("POST", "/internal/cache/set", b'{"key":"k","value":null}', 400, "nil value"),
        ("GET", "/nothing", None, 404, "not found"),
        ("GET", "/internal/set", None, 405, "method not allowed"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(start: Start, method: str, path: str, body: bytes | None, status: int, text: str) -> None:
    """Section 20.2; F46 for blank keys and null values."""
    answer = ask(start(), method, path, body)
    assert answer == (status, json.dumps({"error": text}, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[1]",
        b'{"key":1,"value":1}',
        b'{"key":"k","value":1,"version":-1}',
        b'{"key":"k","value":"!","value_encoding":"base64"}',
    ],
)
def test_a_bad_body_is_a_bad_request(start: Start, body: bytes) -> None:
    node = start()
    assert ask(node, "POST", "/internal/set", body)[0] == 400
    assert ask(node, "POST", "/internal/gossip", b"{")[0] == 400
    assert ask(node, "POST", "/internal/set", body, {"Content-Encoding": "gzip"})[0] == 400
    assert node.count() == 0


def test_a_probe_reaches_or_not(start: Start) -> None:
    a, b = two(start)
    assert ask(a, "GET", "/internal/probe?target=B") == (200, b"ok")
    to(a).indirect_health("A", "B", 1.0)
    b.drain()
    assert ask(a, "GET", "/internal/probe?target=B")[0] == 502
    with pytest.raises(TransportError):
        to(a).indirect_health("A", "B")
    a.set_transport(None)
    assert ask(a, "GET", "/internal/probe?target=B")[0] == 503


def test_bytes_and_times_survive_the_way(start: Start) -> None:
    """Extra 11, F16 and F21."""
    a, b = two(start)
    a.put("k", b"\x00\xff", ttl=5)
    for node in (a, b):
        node.debug_drop_local("k") if node is b else None
        found = node.get("k")
        assert found is not None
        assert (found.value, found.expiration) == (b"\x00\xff", 5.0)
    direct = to(a).forward_get("A", "k")
    assert direct is not None
    assert (direct.value, direct.expiration, direct.version) == (b"\x00\xff", 5.0, 1)


def test_every_call_of_the_transport_works_over_sockets(start: Start) -> None:
    a, b = two(start)
    client = to(b)
    assert client.forward_set("B", Item("k", {"a": [1, "x"]}, version=3, origin="A"), False) is ApplyResult.APPLIED
    assert client.forward_set("B", Item("k", 1, version=2, origin="A"), False) is ApplyResult.STALE
    assert value(b, "k") == {"a": [1, "x"]}
    assert client.list_keys("B", "k*") == ["k"]
    assert client.fetch_merkle("B", "A") == b.build_merkle_tree("A")
    client.forward_remove("B", "k", False, version=9, origin="A")
    tomb = client.forward_entry("B", "k")[1]
    assert tomb is not None
    assert (tomb.version, tomb.origin) == (9, "A")
    assert client.list_tombstones("B")["k"].version == 9
    client.health("B", 1.0)
    client.gossip("B", [GossipMember("C", "c:1", "alive", 1)])
    assert b.membership.get("C") is not None
    client.close()
    with pytest.raises(TransportError, match="JSON"):
        client.forward_set("B", Item("k", {1, 2}), False)
    with pytest.raises(BackendNotFoundError):
        HTTPTransport(lambda _: None).health("B")
    with pytest.raises(TransportError, match="absolute"):
        HTTPTransport(lambda _: "ftp://x").health("B")
    a.stop()
    with pytest.raises(TransportError):
        to(a).health("A", 1.0)


def test_a_quorum_failure_travels_back(start: Start) -> None:
    """F4 over HTTP."""
    a, b = two(start, write_consistency=Consistency.ALL)
    key = find_owner_key(a, "k", ["A", "B"], 1000)
    assert key is not None
    b.disable_http()
    with pytest.raises(QuorumFailedError):
        to(a).forward_set("A", Item(key, 1), True)
    b.enable_http()
    assert to(a).forward_set("A", Item(key, 1), True) is ApplyResult.APPLIED


def test_a_listener_that_could_not_start_a_thread_serves_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each connection that it dropped for want of a thread must not cost it a place for ever."""
    node = start(http_limits=patient(concurrency=1))
    begin = threading.Thread.start

    def no_thread(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name:
            raise RuntimeError("can't start new thread")
        begin(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(node, "GET", "/health")

    def serves() -> bool:
        try:
            return ask(node, "GET", "/health") == (200, b"ok")
        except (OSError, http.client.HTTPException):
            return False

    assert eventually(serves, timeout_s=60)
    assert capsys.readouterr().err == ""


def test_a_node_that_is_given_no_transport_and_listens_anew_has_one_pool(start: Start) -> None:
    a, b = two(start)
    first = a.transport
    assert first is not None
    first.health("B")
    a.disable_http()
    a.set_transport(None)
    a.enable_http()
    assert a.transport is first
    assert b.transport is not first


# --- auth


def test_a_token_is_required_on_every_path(start: Start) -> None:
    """Rows 44, 45, 46."""
    node = start(http_auth=HTTPAuth("secret"))
    assert ask(node, "GET", "/health") == (401, b'{"error":"unauthorized"}')
    assert ask(node, "POST", "/internal/set", b'{"key":"k","value":1}')[0] == 401
    assert ask(node, "GET", "/health", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert ask(node, "GET", "/health", headers={"Authorization": "Bearer secret"}) == (200, b"ok")
    assert node.count() == 0


def test_nodes_with_one_token_replicate(start: Start) -> None:
    """Row 47."""
    a, b = two(start, http_auth=HTTPAuth("secret"))
    a.put("k", "v")
    assert b.local_contains("k")


def test_a_signer_without_a_verifier_is_refused_before_any_traffic() -> None:
    """Row 48."""
    signed: list[str] = []
    auth = HTTPAuth(client_sign=lambda _headers, _method, url: signed.append(url))
    threads = set(threading.enumerate())
    with pytest.raises(InsecureAuthConfigError):
        DistMemory(node_id="A", address=allocate_port(), http_auth=auth)
    with pytest.raises(InsecureAuthConfigError):
        HTTPTransport(lambda _: None, auth=auth)
    assert signed == []
    assert not set(threading.enumerate()) - threads  # fewer there may be: one of an earlier test was about to end


def test_anonymous_requests_can_be_opted_in(start: Start) -> None:
    """Row 49."""
    node = start(http_auth=HTTPAuth(client_sign=lambda _headers, _method, _url: None, allow_anonymous_inbound=True))
    assert ask(node, "GET", "/health")[0] == 200


def test_a_signer_replaces_the_token_outbound_only(start: Start) -> None:
    """Row 50."""

    def sign(headers: Any, method: str, url: str) -> None:
        headers["Authorization"] = "Bearer secret"
        headers["X-Signed"] = method

    a, b = two(start, http_auth=HTTPAuth("secret", client_sign=sign))
    assert ask(a, "GET", "/health")[0] == 401
    a.put("k", "v")
    assert b.local_contains("k")


def test_a_verifier_of_ones_own_replaces_the_token(start: Start) -> None:
    """Row 51."""
    called: list[str] = []

    def verify(request: Any) -> None:
        called.append(request.path)
        if request.path != "/health" and "x-pass" not in request.headers:
            raise PermissionError("no pass")

    node = start(http_auth=HTTPAuth("secret", server_verify=verify))
    assert ask(node, "GET", "/health")[0] == 200
    assert ask(node, "GET", "/internal/keys")[0] == 401
    assert ask(node, "GET", "/internal/keys", headers={"X-Pass": "1"})[0] == 200
    assert called == ["/health", "/internal/keys", "/internal/keys"]


# --- limits


@pytest.mark.parametrize("threshold", [256, 0])
def test_values_arrive_with_and_without_compression(start: Start, threshold: int) -> None:
    """Rows 52, 53."""
    a, b = two(start, http_limits=patient(compression_threshold=threshold))
    payload = bytes(range(256)) * 4
    a.put("k", payload)
    found = b.local_entry("k")[0]
    assert found is not None
    assert found.value == payload


def test_large_bodies_are_refused_packed_and_plain(start: Start) -> None:
    """Row 54; the decompressed size is bounded too."""
    node = start(http_limits=patient(body_limit=1024))
    body = json.dumps({"key": "k", "value": "x" * 2000}).encode()
    assert ask(node, "POST", "/internal/set", body)[0] == 413
    packed = gzip.compress(body)
    assert len(packed) < 1024
    assert ask(node, "POST", "/internal/set", packed, {"Content-Encoding": "gzip"})[0] == 413
    small = gzip.compress(b'{"key":"k","value":"v"}')
    assert ask(node, "POST", "/internal/set", small, {"Content-Encoding": "gzip"}) == (200, b'{"result":"applied"}')
    assert ask(node, "POST", "/internal/set", small[:-4], {"Content-Encoding": "gzip"})[0] == 400
    assert ask(node, "POST", "/internal/set", None, {"Transfer-Encoding": "chunked"})[0] == 411


def test_a_large_response_is_refused(start: Start) -> None:
    """Row 55."""
    node = start(shard_count=1)
    for number in range(200):
        node.put(f"a-rather-long-key-{number}", 1)
    with pytest.raises(ResponseTooLargeError):
        to(node, limits=patient(response_limit=1024)).list_keys("A")


def test_default_limits_serve(start: Start) -> None:
    """Row 56."""
    a, _ = two(start, http_limits=HTTPLimits(body_limit=0, response_limit=-1, client_timeout=0))
    a.put("k", "v")
    assert value(a, "k") == "v"
    assert a.options.http_limits == HTTPLimits()


def test_stopping_without_time_is_fast_and_frees_the_port(start: Start) -> None:
    """Rows 57, 58."""
    node = start(heartbeat_interval=60, gossip_interval=60, rebalance_interval=60)
    idle = http.client.HTTPConnection(node.local_node_address, timeout=60)
    idle.request("GET", "/health")
    assert idle.getresponse().read() == b"ok"
    assert not node.lifecycle.is_set()
    started = SYSTEM_CLOCK.monotonic_s()
    node.stop(0)
    node.stop(0)
    assert SYSTEM_CLOCK.monotonic_s() - started < 30  # waiting for the idle connection would take a minute; a busy machine takes its time
    assert node.lifecycle.is_set()
    idle.close()
    again = start("A2", address=node.local_node_address)
    assert ask(again, "GET", "/health") == (200, b"ok")


def test_no_thread_of_a_node_outlives_it(start: Start) -> None:
    before = set(threading.enumerate())
    a, b = two(start, heartbeat_interval=0.01, gossip_interval=0.01, rebalance_interval=0.01, merkle_auto_sync_interval=0.01)
    a.put("k", "v")
    a.stop()
    b.stop()
    assert eventually(lambda: not {thread for thread in threading.enumerate() if thread.name.startswith("cluster")} - before, timeout_s=60)


def test_a_call_after_the_close_leaves_no_connection(start: Start) -> None:
    client = to(start())
    client.close()
    client.health("A")
    assert len(client._pool.pools) == 0


def test_a_close_ends_the_connections_although_an_error_of_a_call_is_kept(start: Start) -> None:
    both = threading.Barrier(2)
    node = start(http_auth=HTTPAuth(server_verify=lambda request: request.path == "/internal/keys" and both.wait(30)))
    client = to(node)
    side_by_side = [threading.Thread(target=client.list_keys, args=("A",)) for _ in range(2)]
    for thread in side_by_side:
        thread.start()
    for thread in side_by_side:
        thread.join()
    port = int(node.local_node_address.rpartition(":")[2])

    def open_to_it() -> int:
        return sum(bool(each.raddr) and each.raddr.port == port for each in psutil.Process().net_connections("inet"))

    assert open_to_it() == 2
    node.stop()
    with pytest.raises(TransportError) as kept:
        client.health("A")
    assert open_to_it() == 1, "one was found to be dead, the other not"
    client.close()
    assert open_to_it() == 0, kept


def test_a_node_that_hears_nothing_lives_on(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Section 6.1(5): a failed bind is logged and swallowed."""
    caplog.set_level(logging.INFO)
    node = start("P", address="P", logger=logging.getLogger("cluster-test"))
    assert node.transport is None
    assert "dist HTTP listener bind failed" in caplog.messages
    node.put("k", "v")
    assert value(node, "k") == "v"
