"""Logs, metrics, spans, views."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from seatrial.cluster import (
    Consistency,
    Counters,
    DistMemory,
    DistMetrics,
    Item,
    Span,
    allocate_port,
    setup_in_process_cluster_rf,
)
from tests.support.driven_clock import DrivenClock
from tests.support.waiting import eventually

LOGGER = logging.getLogger("seatrial-cluster-test")


def record(caplog: pytest.LogCaptureFixture, message: str) -> Any:
    return next(each for each in caplog.records if each.message == message)


def test_a_start_is_logged_with_the_clusters_shape(caplog: pytest.LogCaptureFixture) -> None:
    """Rows 61, 78, 79."""
    caplog.set_level(logging.INFO)
    with DistMemory(address=allocate_port(), virtual_nodes=8, rebalance_interval=60, logger=LOGGER) as node:
        node.add_peer("peer:1")
    started = record(caplog, "dist HTTP listener started")
    assert (started.node_id, started.component, started.addr, started.tls) == (
        node.local_node_id,
        "dist_memory",
        node.local_node_address,
        False,
    )
    joined = record(caplog, "cluster join: node starting")
    assert (joined.node_id, joined.replication, joined.virtual_nodes, joined.peers) == (node.local_node_id, 1, 8, [])
    assert record(caplog, "rebalance loop started").levelno == logging.INFO
    assert record(caplog, "peer added to membership").peer_addr == "peer:1"


def test_without_a_logger_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Row 62."""
    caplog.set_level(logging.DEBUG)
    with DistMemory(address=allocate_port()) as node:
        node.add_peer("peer:1")
    assert [each for each in caplog.records if getattr(each, "component", "") == "dist_memory"] == []


def test_metrics_have_opentelemetry_names() -> None:
    """Rows 63, 64, 65."""
    with DistMemory() as node:
        for number in range(3):
            node.put(f"k{number}", number)
        exported = node.metrics().otel()
    assert exported["dist.write.attempts"] == 3
    assert exported["dist.members.alive"] == 1
    assert len(exported) == len(DistMetrics.__slots__) - 1


def test_metrics_have_the_wire_names_of_the_peers() -> None:
    wire = DistMetrics(forward_get=2, last_auto_sync_error="x").to_wire()
    assert (wire["ForwardGet"], wire["LastAutoSyncError"], wire["MigrationHintLastAgeNanos"], wire["MembersAlive"]) == (2, "x", 0, 0)


def test_an_unknown_counter_is_an_error() -> None:
    counters = Counters()
    for use in (lambda: counters.add("no_such"), lambda: counters.set("no_such", 1), lambda: counters.get("no_such")):
        with pytest.raises(KeyError):
            use()


def test_spans_tell_sets_gets_and_replication_and_no_keys() -> None:
    """Rows 66, 67, 68."""
    spans: list[Span] = []
    with setup_in_process_cluster_rf(2, 2, on_span=spans.append, write_consistency=Consistency.QUORUM) as cluster:
        key = next(key for key in map(str, range(1000)) if cluster.ring.lookup(key)[0] == cluster.nodes[0].local_node_id)
        cluster.nodes[0].set(Item(key, "v"))
        cluster.nodes[0].get(key)
        cluster.nodes[0].get("absent")
        cluster.nodes[0].remove(key)
    by_name: dict[str, list[Span]] = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    (put,) = by_name["dist.set"]
    assert put.attributes == {"cache.key.length": len(key), "dist.consistency": "QUORUM", "dist.owners.count": 2, "dist.acks": 2}
    assert sorted(span.attributes["cache.hit"] for span in by_name["dist.get"]) == [False, True]
    (child,) = by_name["dist.replicate.set"]
    assert child.parent is put
    assert child.attributes["peer.id"] == cluster.nodes[1].local_node_id
    assert by_name["dist.remove"][0].attributes == {"dist.keys.count": 1}
    assert by_name["dist.replicate.remove"][0].parent is by_name["dist.remove"][0]
    assert all(span.end >= span.start > 0 and key not in span.attributes.values() for span in spans)


def test_a_failed_operation_ends_its_span_with_the_error() -> None:
    spans: list[Span] = []
    with DistMemory(on_span=spans.append) as node:
        node.drain()
        with pytest.raises(Exception, match="draining"):
            node.put("k", 1)
    assert str(spans[0].error) == "dist node is draining"


def test_without_a_callback_all_works() -> None:
    """Row 69."""
    with DistMemory() as node:
        node.put("k", "v")
        assert node.get("k") is not None


def test_views_show_members_and_ring() -> None:
    with setup_in_process_cluster_rf(2, 2) as cluster:
        view = cluster.nodes[0].members_view()
        assert (view["replication"], view["virtualNodes"]) == (2, 64)
        assert view["members"][0] == {"ID": cluster.nodes[0].local_node_id, "Address": "n1:0", "State": "alive", "Incarnation": 1}
        ring = cluster.nodes[0].ring_view()
        assert ring["count"] == len(ring["vnodes"]) == 128
        assert cluster.nodes[0].membership_snapshot() == {"version": 2, "counts": {"alive": 2, "suspect": 0, "dead": 0}}


def test_a_heartbeat_event_comes_every_second() -> None:
    clock = DrivenClock()
    with DistMemory(clock=clock) as node, node.event_bus.subscribe() as events:
        clock.advance(0.9)
        assert events.get(timeout=0.05) is None
        beats: list[Any] = []
        for _ in range(2):
            assert eventually(lambda: clock.advance(0.25) or beats.append(events.get(timeout=0.02)) or beats[-1], timeout_s=60)
        assert clock.monotonic_s() > 1.99
        beat = beats[-1]
        assert beat.type == "heartbeat"
        assert set(beat.payload) == {"heartbeatSuccess", "heartbeatFailure", "nodesRemoved", "readPrimaryPromote"}
