"""The HTTP wire format byte for byte: what goes over the socket in both directions, seen from the other end of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.cluster import DistMemory, GossipMember, HTTPLimits, HTTPTransport, Item
from tests.support.cluster_http import Start

JSON = b"application/json; charset=utf-8"


class Peer:
    """Takes one request, keeps its bytes, gives the answer it was made with. Threading: one thread besides the test's."""

    def __init__(self, answer: bytes) -> None:
        self.heard = b""
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.settimeout(10)
            while not self._whole():
                self.heard += connection.recv(65_536)
            connection.sendall(self._answer)

    def _whole(self) -> bool:
        head, end, body = self.heard.partition(b"\r\n\r\n")
        if not end:
            return False
        lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return len(body) >= (lengths[0] if lengths else 0)

    def close(self) -> None:
        self._thread.join()
        self._listening.close()

    @property
    def line(self) -> bytes:
        return self.heard.split(b"\r\n", 1)[0]

    @property
    def body(self) -> bytes:
        return self.heard.partition(b"\r\n\r\n")[2]


@pytest.fixture
def sent() -> Iterator[Callable[..., Peer]]:
    """``sent(call, answer)``: what a transport's call puts on the wire to a peer that answers ``answer``."""
    peers: list[Peer] = []

    def ask(call: Callable[[HTTPTransport], object], answer: bytes, content_type: bytes = JSON, **options: Any) -> Peer:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (content_type, len(answer))
        peer = Peer(head + answer)
        peers.append(peer)
        transport = HTTPTransport(lambda _: f"http://{peer.address}", **options)
        call(transport)
        transport.close()
        peer.close()
        return peer

    yield ask
    for peer in peers:
        peer.close()


def test_a_set_is_these_bytes(sent: Callable[..., Peer]) -> None:
    item = Item("k", "v1", 1.5, 7, "A")
    peer = sent(lambda transport: transport.forward_set("B", item, True), b"{}")
    assert peer.line == b"POST /internal/set HTTP/1.1"
    assert b"\r\nContent-Type: application/json\r\n" in peer.heard
    assert peer.body == b'{"key":"k","value":"v1","expiration_ms":1500,"version":7,"origin":"A","replicate":true}'
    packed = sent(
        lambda transport: transport.forward_set("B", Item("k", b"\x00\xff"), False), b"{}", limits=HTTPLimits(compression_threshold=4096)
    )
    assert packed.body == (
        b'{"key":"k","value":"AP8=","expiration_ms":0,"version":0,"origin":"","replicate":false,"value_encoding":"base64"}'
    )
    assert b"Content-Encoding" not in packed.heard


def test_reads_removes_probes_and_listings_are_these_lines(sent: Callable[..., Peer]) -> None:
    lines: list[tuple[Callable[[HTTPTransport], object], bytes, bytes]] = [
        (lambda to: to.forward_get("B", "a key/ä"), b'{"found":false}', b"GET /internal/get?key=a+key%2F%C3%A4 HTTP/1.1"),
        (lambda to: to.forward_remove("B", "k", True), b"OK", b"DELETE /internal/del?key=k&replicate=true HTTP/1.1"),
        (
            lambda to: to.forward_remove("B", "k", False, version=9, origin="A"),
            b"OK",
            b"DELETE /internal/del?key=k&replicate=false&version=9&origin=A HTTP/1.1",
        ),
        (lambda to: to.health("B"), b"ok", b"GET /health HTTP/1.1"),
        (lambda to: to.indirect_health("B", "C"), b"ok", b"GET /internal/probe?target=C HTTP/1.1"),
        (lambda to: to.fetch_merkle("B"), b'{"root":null,"leaf_hashes":null,"chunk_size":128}', b"GET /internal/merkle HTTP/1.1"),
        (
            lambda to: to.fetch_merkle("B", "A"),
            b'{"root":null,"leaf_hashes":null,"chunk_size":128}',
            b"GET /internal/merkle?scope=A HTTP/1.1",
        ),
        (lambda to: to.list_keys("B", "a*"), b'{"keys":[],"next_cursor":""}', b"GET /internal/keys?cursor=0&q=a%2A HTTP/1.1"),
        (lambda to: to.list_tombstones("B"), b'{"tombstones":{}}', b"GET /internal/tombstones HTTP/1.1"),
    ]
    for call, answer, line in lines:
        assert sent(call, answer).line == line


def test_gossip_is_these_bytes(sent: Callable[..., Peer]) -> None:
    peer = sent(lambda transport: transport.gossip("B", [GossipMember("A", "127.0.0.1:1", "suspect", 3)]), b"OK")
    assert peer.line == b"POST /internal/gossip HTTP/1.1"
    assert peer.body == b'[{"id":"A","address":"127.0.0.1:1","state":"suspect","incarnation":3}]'


def exchange(node: DistMemory, request: bytes) -> tuple[bytes, bytes, bytes]:
    """(status line, content type, body) of the answer to these bytes."""
    host, port = node.local_node_address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while data := connection.recv(65_536):
            heard += data
    head, _, body = heard.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return status, next(line[14:] for line in headers if line.startswith(b"Content-Type: ")), body


def asked(line: bytes, body: bytes = b"") -> bytes:
    return line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_answers_are_these_bytes(start: Start) -> None:
    node = start("A", shard_count=1)
    text = b"text/plain; charset=utf-8"
    expected = [
        (b"GET /health", b"", b"HTTP/1.1 200 OK", text, b"ok"),
        (b"GET /internal/get?key=k", b"", b"HTTP/1.1 200 OK", JSON, b'{"found":false}'),
        (b"GET /internal/keys?cursor=1", b"", b"HTTP/1.1 200 OK", JSON, b'{"keys":[],"next_cursor":""}'),
        (b"GET /internal/merkle", b"", b"HTTP/1.1 200 OK", JSON, b'{"root":null,"leaf_hashes":null,"chunk_size":128}'),
        (b"POST /internal/set", b'{"key":"k","value":1}', b"HTTP/1.1 200 OK", JSON, b'{"result":"applied"}'),
        (b"GET /internal/keys", b"", b"HTTP/1.1 200 OK", JSON, b'{"keys":["k"],"next_cursor":"","truncated":false}'),
        (b"POST /internal/gossip", b"[]", b"HTTP/1.1 200 OK", text, b"OK"),
        (b"DELETE /internal/del?key=k&replicate=T", b"", b"HTTP/1.1 200 OK", text, b"OK"),
        (b"GET /internal/get?key=k", b"", b"HTTP/1.1 200 OK", JSON, b'{"found":false,"tombstone":{"version":1,"origin":"A"}}'),
        (b"GET /internal/tombstones", b"", b"HTTP/1.1 200 OK", JSON, b'{"tombstones":{"k":{"version":1,"origin":"A"}}}'),
        (b"GET /internal/get", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"missing cache key"}'),
        (b"DELETE /internal/del", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"missing cache key"}'),
        (b"DELETE /internal/del?key=k&replicate=yes", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"invalid replicate"}'),
        (b"GET /internal/keys?cursor=x", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"invalid cursor"}'),
        (b"GET /internal/keys?limit=x", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"invalid limit"}'),
        (b"GET /internal/probe", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"missing target"}'),
        (b"GET http://[/health", b"", b"HTTP/1.1 400 Bad Request", JSON, b'{"error":"invalid request target"}'),
        (b"POST /dist/drain", b"", b"HTTP/1.1 200 OK", JSON, b'{"draining":true}'),
        (b"GET /health", b"", b"HTTP/1.1 503 Service Unavailable", text, b"draining"),
    ]
    for line, body, *answer in expected:
        assert list(exchange(node, asked(line, body))) == answer, line
