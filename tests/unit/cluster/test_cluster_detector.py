"""Probing, indirect probing, gossip and refutation."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster import (
    BackendNotFoundError,
    DistMemory,
    GossipMember,
    InProcessTransport,
    Membership,
    Node,
    NodeState,
    Ring,
    node_id_for,
    setup_in_process_cluster_rf,
)
from tests.support.still_clock import StillClock


def state(node: DistMemory, member: str) -> NodeState | None:
    held = node.membership.get(member)
    return held.state if held else None


def lone(name: str, transport: InProcessTransport, request: pytest.FixtureRequest, **options: Any) -> DistMemory:
    clock = options.get("clock", StillClock())
    membership = Membership(Ring(), clock=clock)
    node = DistMemory(local_node=Node.new(name, f"{name}:0"), membership=membership, transport=transport, **options | {"clock": clock})
    request.addfinalizer(node.stop)
    transport.register(node)
    return node


def test_a_silent_member_is_suspected_once_then_forgotten(request: pytest.FixtureRequest) -> None:
    """Row 6, F7: the suspicion is counted once where time-out and failed probe coincide."""
    clock = StillClock()
    node = lone("A", InProcessTransport(), request, clock=clock, heartbeat_suspect_after=1, heartbeat_dead_after=4)
    node.membership.upsert(Node.new("B", "B:0"))
    clock.advance(2)
    node.run_heartbeat_tick()
    assert state(node, "B") == NodeState.SUSPECT
    clock.advance(3)
    node.run_heartbeat_tick()
    assert (state(node, "B"), node.metrics().nodes_suspect) == (NodeState.SUSPECT, 1)
    clock.advance(2)
    node.run_heartbeat_tick()
    metrics = node.metrics()
    assert (state(node, "B"), metrics.nodes_removed, metrics.nodes_dead, metrics.heartbeat_failure) == (None, 1, 1, 2)
    assert node.membership_snapshot()["version"] >= 3


def test_a_member_that_answers_again_is_alive(request: pytest.FixtureRequest) -> None:
    transport = InProcessTransport()
    node = lone("A", transport, request)
    lone("B", transport, request)
    node.membership.upsert(Node.new("B", "B:0"))
    node.membership.mark("B", NodeState.SUSPECT)
    node.run_heartbeat_tick()
    assert (state(node, "B"), node.metrics().heartbeat_success) == (NodeState.ALIVE, 1)


def test_a_sample_probes_that_many_others(request: pytest.FixtureRequest) -> None:
    """F36."""
    node = lone("A", InProcessTransport(), request, heartbeat_sample=2)
    for name in "BCDE":
        node.membership.upsert(Node.new(name, f"{name}:0"))
    node.run_heartbeat_tick()
    assert node.metrics().heartbeat_failure == 2
    assert state(node, "A") == NodeState.ALIVE


class Partitioned(InProcessTransport):
    """Direct probes to ``cut`` fail."""

    cut = ""

    def health(self, node_id: str, timeout: float | None = None) -> None:
        if node_id == self.cut:
            raise BackendNotFoundError
        super().health(node_id, timeout)


def test_a_relay_reaches_what_a_direct_probe_does_not() -> None:
    """Row 36."""
    with setup_in_process_cluster_rf(3, 3, indirect_probe_k=2) as cluster:
        a, _, c = cluster.nodes
        direct = Partitioned()
        for node in cluster:
            direct.register(node)
        direct.cut = c.local_node_id
        a.set_transport(direct)
        assert a.indirect_probe_reachable(c.local_node_id)
        a.run_heartbeat_tick()
        metrics = a.metrics()
        assert metrics.indirect_probe_success == 2
        assert metrics.indirect_probe_refuted == 1
        assert state(a, c.local_node_id) == NodeState.ALIVE


def test_an_unreachable_target_is_unreachable_through_relays_too() -> None:
    """Row 37."""
    with setup_in_process_cluster_rf(3, 3, indirect_probe_k=2) as cluster:
        a, _, c = cluster.nodes
        cluster.transport.unregister(c.local_node_id)
        assert not a.indirect_probe_reachable(c.local_node_id)
        assert a.metrics().indirect_probe_failure > 0


def test_without_relays_asked_for_nothing_is_counted() -> None:
    """Row 38."""
    with setup_in_process_cluster_rf(3, 3) as cluster:
        a, _, c = cluster.nodes
        assert not a.indirect_probe_reachable(c.local_node_id)
        metrics = a.metrics()
        assert (metrics.indirect_probe_success, metrics.indirect_probe_failure, metrics.indirect_probe_refuted) == (0, 0, 0)


def test_one_gossip_back_clears_a_suspicion(request: pytest.FixtureRequest) -> None:
    """Extra 7, F8; row 75 in process."""
    transport = InProcessTransport()
    a, b = lone("A", transport, request), lone("B", transport, request)
    a.membership.upsert(Node.new("B", "B:0"))
    b.membership.upsert(Node.new("A", "A:0"))
    for _ in range(3):
        a.membership.mark("B", NodeState.ALIVE)
        a.membership.mark("B", NodeState.SUSPECT)
    a.run_gossip_tick()
    b.run_gossip_tick()
    assert state(a, "B") == NodeState.ALIVE
    before = b.membership.get("B")
    b.accept_gossip([GossipMember("B", "B:0", "dead", 1)])
    assert b.membership.get("B") == before


def test_gossip_brings_news_and_ignores_what_is_old(request: pytest.FixtureRequest) -> None:
    """Row 74 in process."""
    transport = InProcessTransport()
    a, b = lone("A", transport, request), lone("B", transport, request)
    a.membership.upsert(Node.new("B", "B:0"))
    a.membership.upsert(Node("C", "C:0", NodeState.DEAD, 5))
    a.run_gossip_tick()
    while b.membership.get("C") is None:
        a.run_gossip_tick()
    assert state(b, "C") == NodeState.DEAD
    b.accept_gossip([GossipMember("C", "C:0", "alive", 5)])
    assert state(b, "C") == NodeState.DEAD
    b.accept_gossip([GossipMember("C", "C:0", "no such state", 6)])
    assert state(b, "C") == NodeState.ALIVE


def test_bare_addresses_end_as_one_member_each(request: pytest.FixtureRequest) -> None:
    """Extra 10, F17: ghosts of this node and of others do not stay."""
    transport = InProcessTransport()
    names = ["A", "B", "C"]
    nodes = [lone(name, transport, request) for name in names]
    for node in nodes:
        for name in names:
            node.add_peer(f"{name}:0")
    for node in nodes:
        for other in nodes:
            node.accept_gossip(other.membership.list())
    assert [sorted(member.id for member in node.membership.list()) for node in nodes] == [names] * 3


def test_a_derived_id_gives_way_and_observers_see_it_die_first(request: pytest.FixtureRequest) -> None:
    """Section 27.5."""
    node = lone("A", InProcessTransport(), request)
    node.add_peer("B:0")
    seen: list[tuple[str, NodeState]] = []
    node.membership.on_state_change(lambda member, state, _version: seen.append((member, state)))
    node.accept_gossip([GossipMember("B", "B:0", "alive", 1)])
    node.accept_gossip([GossipMember(node_id_for("B:0"), "B:0", "alive", 9)])
    assert seen == [(node_id_for("B:0"), NodeState.DEAD), ("B", NodeState.ALIVE)]


def test_a_guess_that_comes_while_the_explicit_id_takes_its_place_does_not_stay(request: pytest.FixtureRequest) -> None:
    """Two peers tell of one address at the same time, or a user does."""
    node = lone("A", InProcessTransport(), request)
    node.add_peer("B:0")
    guess = node_id_for("B:0")

    def meanwhile(member: str, state: NodeState, _version: int) -> None:
        if (member, state) == (guess, NodeState.DEAD):
            node.accept_gossip([GossipMember(guess, "B:0", "alive", 1)])
            node.add_peer("B:0")

    node.membership.on_state_change(meanwhile)
    node.accept_gossip([GossipMember("B", "B:0", "alive", 1)])
    assert [member.id for member in node.membership.list()] == ["A", "B"]


def test_ticks_without_a_transport_do_nothing(request: pytest.FixtureRequest) -> None:
    """F35."""
    node = lone("A", InProcessTransport(), request)
    node.membership.upsert(Node.new("B", "B:0"))
    node.set_transport(None)
    node.run_heartbeat_tick()
    node.run_gossip_tick()
    node.replay_hints()
    assert (node.metrics().heartbeat_failure, state(node, "B")) == (0, NodeState.ALIVE)
    assert not node.indirect_probe_reachable("B")
