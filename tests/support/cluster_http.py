"""Nodes of a cluster over sockets, and plain requests to them."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.cluster import DistMemory, HTTPLimits, HTTPTransport, allocate_port, stop_on_cleanup

Start = Callable[..., DistMemory]
"""Starts a node that stops with the test."""
PATIENCE_S = 60.0
"""For a call that must succeed: the default is for clusters that go on without a peer, and a busy machine may take longer."""
_CLIENTS: dict[DistMemory, list[HTTPTransport]] = {}
"""Of nodes that run."""


def patient(**limits: Any) -> HTTPLimits:
    """Limits that no busy machine reaches."""
    return HTTPLimits(read_timeout=PATIENCE_S, write_timeout=PATIENCE_S, client_timeout=PATIENCE_S, **limits)


def two(start: Start, **options: Any) -> tuple[DistMemory, DistMemory]:
    """A and B that own every key."""
    addresses = {"A": allocate_port(), "B": allocate_port()}
    a, b = (
        start(name, address=addresses[name], seeds=[f"{other}@{addresses[other]}"], replication=2, **options)
        for name, other in (("A", "B"), ("B", "A"))
    )
    return a, b


def ask(node: DistMemory, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(node.local_node_address, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def to(node: DistMemory, **options: Any) -> HTTPTransport:
    """A client of its own to that node, closed when the test that started the node ends."""
    client = HTTPTransport(lambda _: f"http://{node.local_node_address}", **{"limits": patient()} | options)
    _CLIENTS.setdefault(node, []).append(client)
    return client


def value(node: DistMemory, key: str) -> Any:
    found = node.get(key)
    return None if found is None else found.value


def starter(request: pytest.FixtureRequest) -> Start:
    """A ``Start`` for one test: what a fixture of that name returns."""

    def build(name: str = "A", **options: Any) -> DistMemory:
        node = DistMemory(node_id=name, **{"address": allocate_port(), "http_limits": patient()} | options)
        stop_on_cleanup(request, node)
        request.addfinalizer(lambda: [client.close() for client in _CLIENTS.pop(node, [])])
        return node

    return build
