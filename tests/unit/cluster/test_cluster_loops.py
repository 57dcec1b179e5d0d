"""What the background loops do and do not do in real time, and what a management surface shows of a node."""

from __future__ import annotations

import itertools
import threading
from typing import Any, NoReturn

import pytest

from seatrial.cluster import (
    BackendNotFoundError,
    Consistency,
    DistMemory,
    Event,
    InProcessTransport,
    Item,
    Membership,
    Node,
    QuorumFailedError,
    Ring,
    find_owner_key,
    setup_in_process_cluster_rf,
)
from tests.support.driven_clock import DrivenClock
from tests.support.waiting import eventually

TICKS = 15


class Counting(DistMemory):
    """Counts its rounds of rebalancing."""

    def __init__(self, **options: Any) -> None:
        self.rounds = 0
        super().__init__(**options)

    def run_rebalance_tick(self) -> None:
        super().run_rebalance_tick()
        self.rounds += 1


def moves(node: DistMemory) -> tuple[int, ...]:
    metrics = node.metrics()
    return metrics.rebalanced_keys, metrics.rebalanced_primary, metrics.rebalance_batches, metrics.rebalanced_replica_diff


@pytest.mark.parametrize("traffic", [False, True])
def test_running_loops_move_nothing_with_and_without_traffic(request: pytest.FixtureRequest, traffic: bool) -> None:
    """Rows 19, 20."""
    transport = InProcessTransport()
    options: dict[str, Any] = {"membership": Membership(Ring(replication=3)), "transport": transport}
    options |= {"heartbeat_interval": 0.05, "gossip_interval": 0.05, "rebalance_interval": 0.02}
    nodes: list[Counting] = []
    for number in range(5):
        nodes.append(Counting(local_node=Node.new("", f"n{number}:0"), **options))
        request.addfinalizer(nodes[-1].stop)
        transport.register(nodes[-1])
    for number in range(20):
        nodes[number % 5].put(f"idle-{number}", number)
    before = [node.rounds for node in nodes]
    written = itertools.count()

    def enough() -> bool:
        if traffic:
            number = next(written)
            nodes[number % 5].put(f"traffic-{number}", number)
        return all(node.rounds >= rounds + TICKS for node, rounds in zip(nodes, before, strict=True))

    assert eventually(enough, timeout_s=60, look_again_s=0.002)
    assert [moves(node) for node in nodes] == [(0, 0, 0, 0)] * 5
    assert eventually(lambda: all(node.metrics().heartbeat_success > 0 for node in nodes), timeout_s=60)  # loops of their own


class Ending(InProcessTransport):
    """Each call is the last before the node stops, and fails."""

    def __init__(self, lifecycle: threading.Event) -> None:
        super().__init__()
        self.calls, self._lifecycle = 0, lifecycle

    def _end(self) -> NoReturn:
        self.calls += 1
        self._lifecycle.set()
        raise BackendNotFoundError

    def forward_set(self, node_id: str, item: Item, replicate: bool) -> NoReturn:
        self._end()

    def fetch_merkle(self, node_id: str, scope: str = "") -> NoReturn:
        self._end()

    def health(self, node_id: str, timeout: float | None = None) -> NoReturn:
        self._end()


@pytest.mark.parametrize("begin", ["replay_hints", "run_auto_sync_tick", "run_rebalance_tick", "run_heartbeat_tick"])
def test_a_node_that_stops_leaves_the_rest_of_a_round(begin: str) -> None:
    """Else its threads outlive it by the time-out of each call to peers that hang."""
    options: dict[str, Any] = {"membership": Membership(Ring(replication=3)), "hint_ttl": 60, "write_consistency": Consistency.ONE}
    with DistMemory(local_node=Node.new("A", "local"), **options) as node:
        keys = [f"k{number}" for number in range(60)]
        for key in keys:
            node.put(key, 1)
        for name in "BC":
            node.membership.upsert(Node.new(name, f"{name}:0"))
        mine = [key for key in keys if node.ring.lookup(key)[0] == "A"]
        assert len(mine) > 1
        for key in mine[:2]:
            node.put(key, 2)
        ending = Ending(node.lifecycle)
        node.set_transport(ending)
        getattr(node, begin)()
        assert ending.calls == 1
        assert node.hinted_queue_size("B") >= 2, "what was not tried waits"


def test_a_write_with_a_replica_gone_works_or_fails_for_want_of_a_quorum() -> None:
    """Row 27, its second half, at every level."""
    for level in Consistency:
        with setup_in_process_cluster_rf(3, 3, write_consistency=level) as cluster:
            key = find_owner_key(cluster.nodes[0], "k", [node.local_node_id for node in cluster], 20_000)
            assert key is not None
            cluster.nodes[1].debug_inject(Item(key, "older", version=0, origin="zz"))
            cluster.transport.unregister(cluster.nodes[2].local_node_id)
            if level is Consistency.ALL:
                with pytest.raises(QuorumFailedError):
                    cluster.nodes[0].put(key, "v")
            else:
                cluster.nodes[0].put(key, "v")
            found = cluster.nodes[1].get(key)
            assert found is not None
            assert found.value == "v"


def test_what_a_management_surface_shows_of_a_node() -> None:
    """Row 70: its figures, members, ring and owners, as a Go peer names them; the address is none to listen on, which is tolerated."""
    with DistMemory(address="local", node_id="A", replication=2, virtual_nodes=16) as node:
        node.add_peer("peer:1")
        view = node.members_view()
        assert (view["replication"], view["virtualNodes"], len(view["members"])) == (2, 16, 2)
        assert set(view["members"][0]) == {"ID", "Address", "State", "Incarnation"}
        ring = node.ring_view()
        assert ring["count"] == len(ring["vnodes"]) == 32
        figures = node.metrics().to_wire()
        assert (figures["ForwardGet"], figures["MembersAlive"]) == (0, 2)
        assert set(node.debug_owners("k")) == {member["ID"] for member in view["members"]}


def test_a_stream_of_events_begins_with_a_heartbeat_and_goes_on_live() -> None:
    """Row 71: members and heartbeat frames, then what happens."""
    clock = DrivenClock()
    with DistMemory(node_id="A", clock=clock) as node, node.event_bus.subscribe() as events:
        node.add_peer("peer:1")
        first = events.get(timeout=60)
        seen: list[Event | None] = []
        assert eventually(lambda: clock.advance(1.0) or seen.append(events.get(timeout=0.05)) or seen[-1], timeout_s=60)
        beat = seen[-1]
        assert first is not None
        assert beat is not None
        assert (first.type, len(first.payload["members"])) == ("members", 2)
        assert (beat.type, beat.payload["nodesRemoved"]) == ("heartbeat", 0)
        node.remove_peer("peer:1")
        later = next(event for event in events if event.type == "members")
        assert [member["ID"] for member in later.payload["members"]] == ["A"]
        assert first.version < beat.version < later.version
