"""Clusters over HTTP: spreading, gossip, losses, rebalancing."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.cluster import Chaos, Consistency, DistMemory, GossipMember, NodeState, allocate_port, http_server
from tests.support.cluster_http import Start, ask, two
from tests.support.driven_clock import DrivenClock
from tests.support.waiting import eventually

DAY_S = 86_400.0


def three(start: Start, bare: bool = False, **options: Any) -> list[DistMemory]:
    addresses = {name: allocate_port() for name in "ABC"}
    seeds = {
        name: [address if bare else f"{other}@{address}" for other, address in addresses.items() if other != name] for name in addresses
    }
    return [start(name, address=addresses[name], seeds=seeds[name], **options) for name in addresses]


def test_seeds_with_ids_spread_a_write(start: Start) -> None:
    """Row 73."""
    nodes = three(start, replication=3)
    nodes[0].put("k", "v")
    assert all(node.local_contains("k") for node in nodes)


def test_gossip_adds_a_member(start: Start) -> None:
    """Row 74."""
    a, b = two(start)
    a.membership.upsert(a.membership.list()[0].new("C", "127.0.0.1:1"))
    assert a.transport is not None
    a.transport.gossip("B", [GossipMember.of(node) for node in a.membership.list()])
    assert b.membership.get("C") is not None


def test_a_false_claim_is_refuted(start: Start) -> None:
    """Row 75."""
    node = start("swim-self")
    claim = json.dumps([{"id": "swim-self", "address": node.local_node_address, "state": "suspect", "incarnation": 1}]).encode()
    assert ask(node, "POST", "/internal/gossip", claim) == (200, b"OK")
    held = node.membership.get("swim-self")
    assert held is not None
    assert (held.state, held.incarnation) == (NodeState.ALIVE, 2)


def test_bare_seeds_that_gossip_end_with_explicit_ids_only(start: Start) -> None:
    """Extra 10, F17."""
    nodes = three(start, bare=True, gossip_interval=0.02)
    assert eventually(
        lambda: all(sorted(member.id for member in node.membership.list()) == ["A", "B", "C"] for node in nodes), timeout_s=60
    )


def test_lost_calls_become_hints_that_are_replayed_once_all_is_well(start: Start) -> None:
    """Row 76."""
    chaos = Chaos(seed=7)
    options: dict[str, Any] = {"write_consistency": Consistency.ONE, "hint_ttl": 60, "hint_replay_interval": 0.05, "chaos": chaos}
    a, b = two(start, **options)
    chaos.set_drop_rate(0.8)
    for number in range(200):
        a.put(f"chaos-{number}", number)
    assert a.metrics().chaos_drops > 0
    assert all(node.metrics().hinted_queued > 0 for node in (a, b)), "b keeps hints for what a sent it and it could not send back"
    chaos.set_drop_rate(0)
    assert eventually(lambda: all(node.metrics().hinted_replayed == node.metrics().hinted_queued for node in (a, b)), timeout_s=60)
    assert a.count() == b.count() == 200


def test_without_chaos_nothing_is_lost(start: Start) -> None:
    """Row 77."""
    node = start()
    node.put("k", "v")
    assert (node.metrics().chaos_drops, node.metrics().chaos_latencies) == (0, 0)


def test_a_draining_node_is_suspected_and_then_forgotten(start: Start) -> None:
    """Section 14, with loops that run over sockets."""
    clock = DrivenClock()
    a, b = two(start, heartbeat_interval=1.0, heartbeat_suspect_after=6.0, heartbeat_dead_after=DAY_S, clock=clock)
    assert eventually(lambda: clock.advance(1.0) or a.metrics().heartbeat_success > 0, timeout_s=60)
    b.drain()
    assert eventually(
        lambda: clock.advance(1.0) or [node.state for node in a.membership.list()] == [NodeState.ALIVE, NodeState.SUSPECT], timeout_s=60
    )
    assert eventually(lambda: a.metrics().nodes_suspect >= 1, timeout_s=60)  # more than once where a probe was late before
    assert a.metrics().nodes_removed == 0
    clock.advance(DAY_S)
    assert eventually(lambda: clock.advance(1.0) or a.membership.get("B") is None, timeout_s=60)
    assert eventually(lambda: a.metrics().nodes_removed == 1, timeout_s=60)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the thread that accepts may not be told of a socket that was shut down")
def test_a_node_that_stops_does_not_wait_for_its_listener_to_look_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_POLL_S", 60.0)
    node = start()
    assert ask(node, "GET", "/health") == (200, b"ok")
    began_s = SYSTEM_CLOCK.monotonic_s()
    node.stop()
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 30
