"""The server on a cluster: over HTTPS, what its administrator does to nodes, and what everybody is answered then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from seatrial.history.frames import ClusterFrame, ServerFrame
from seatrial.targets.embedded.server.config import ClusterConfig
from tests.support.embedded import CLIENT, CLIENT_PASSWORD, LiveServer, Speaker, blob_name
from tests.support.waiting import eventually

CLUSTER = ClusterConfig(nodes=3, replication=3, write_consistency="quorum", read_consistency="quorum", node_memory_bytes=8 << 20)

UP, DOWN = b'{"wanted": "up"}', b'{"wanted": "down"}'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    live = LiveServer(tmp_path, cluster=CLUSTER).start()
    yield live
    assert live.stop() == 0


def cluster(admin: Speaker) -> ClusterFrame:
    frame = msgspec.json.decode(admin.ask("GET", "!/.seatrial/status").body, type=ServerFrame).cluster
    assert frame is not None
    return frame


def states(admin: Speaker) -> list[str]:
    return [node.state for node in cluster(admin).nodes]


def test_nodes_are_stopped_and_started_and_nothing_is_lost(server: LiveServer) -> None:
    with server.speaker() as admin:
        name = admin.put("data", b"a pack")
        assert admin.ask("PUT", "!/.seatrial/nodes/n1", DOWN).status == 200
        assert states(admin) == ["down", "up", "up"]
        assert admin.ask("GET", f"data/{name}").body == b"a pack"
        second = admin.put("data", b"another")
        assert admin.names("data") == {name, second}
        assert admin.ask("PUT", "!/.seatrial/nodes/n1", UP).status == 200
        assert eventually(lambda: states(admin) == ["up"] * 3)
        frame = cluster(admin)
        assert [(change.node, change.state) for change in frame.changes[3:]] == [("n1", "down"), ("n1", "recovering"), ("n1", "up")]
        assert (frame.replication, frame.ring_places, sum(node.ring_places for node in frame.nodes)) == (3, 192, 192)
        assert eventually(lambda: [node.keys for node in cluster(admin).nodes] == [3, 3, 3])
    assert "node" in server.log()


@pytest.mark.parametrize(
    ("wanted", "ways"), [("drained", ["draining", "down", "recovering", "up"]), ("split", ["split", "recovering", "up"])]
)
def test_a_node_is_drained_or_split_and_comes_back(server: LiveServer, wanted: str, ways: list[str]) -> None:
    with server.speaker() as admin:
        name = admin.put("data", b"a pack")
        assert admin.ask("PUT", "!/.seatrial/nodes/n2", f'{{"wanted": "{wanted}"}}'.encode()).status == 200
        assert eventually(lambda: states(admin)[1] in ("down", "split"))
        second = admin.put("data", b"another")
        assert admin.names("data") == {name, second}
        assert admin.ask("PUT", "!/.seatrial/nodes/n2", UP).status == 200
        assert eventually(lambda: states(admin) == ["up"] * 3)
        assert [change.state for change in cluster(admin).changes[3:]] == ways
        assert admin.ask("PUT", "!/.seatrial/nodes/n2", b'{"wanted": "away"}').status == 400


def test_a_listing_that_may_lack_something_is_a_server_error(server: LiveServer) -> None:
    with server.speaker() as admin:
        name = admin.put("snapshots", b"a snapshot")
        for node in ("n1", "n2"):
            assert admin.ask("PUT", f"!/.seatrial/nodes/{node}", DOWN).status == 200
        assert admin.ask("GET", "snapshots/").status == 500
        assert admin.ask("GET", f"snapshots/{name}").status == 500
        assert admin.ask("POST", f"data/{blob_name(b'x')}", b"x").status == 500
        assert admin.ask("DELETE", f"snapshots/{name}").status == 500


def test_a_full_node_is_told_as_507_and_what_was_there_stays(server: LiveServer) -> None:
    with server.speaker() as admin:
        first = admin.put("data", b"1" * (5 << 20))
        more = b"2" * (5 << 20)
        reply = admin.ask("POST", f"data/{blob_name(more)}", more)
        assert reply.status == 507
        assert b"memory of node n" in reply.body
        assert admin.names("data") == {first}
        assert admin.ask("DELETE", f"data/{first}").status == 200
        assert admin.put("data", more)


def test_only_the_administrator_breaks_nodes_and_only_those_there_are(server: LiveServer) -> None:
    server.add_client()
    with server.speaker(CLIENT, CLIENT_PASSWORD) as client:
        assert client.ask("PUT", "!/.seatrial/nodes/n1", DOWN).status == 403
        assert client.ask("PUT", "!/.seatrial/nodes/n1", UP).status == 403
    with server.speaker() as admin:
        assert admin.ask("PUT", "!/.seatrial/nodes/n9", DOWN).status == 404
        assert admin.ask("GET", "!/.seatrial/nodes/n1").status == 405
        assert admin.ask("PUT", "!/.seatrial/nodes/../x", DOWN).status == 400
        assert states(admin) == ["up"] * 3


def test_a_store_of_files_has_no_nodes(tmp_path: Path) -> None:
    live = LiveServer(tmp_path).start()
    try:
        with live.speaker() as admin:
            assert admin.ask("PUT", "!/.seatrial/nodes/n1", DOWN).status == 404
            assert msgspec.json.decode(admin.ask("GET", "!/.seatrial/status").body, type=ServerFrame).cluster is None
    finally:
        live.stop()
