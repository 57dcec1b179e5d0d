"""Keys move to where the ring says they belong, once, and are not lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster import (
    ApplyResult,
    Chaos,
    Consistency,
    DistMemory,
    InProcessTransport,
    Item,
    Membership,
    Node,
    Ring,
    setup_in_process_cluster_rf,
)
from tests.support.still_clock import StillClock

RATE = 20


class Group:
    """Nodes of one process, each with a ring of its own."""

    def __init__(self, request: pytest.FixtureRequest, replication: int = 1, **options: Any) -> None:
        self.transport, self.nodes = InProcessTransport(), dict[str, DistMemory]()
        self._request, self._replication, self._options = request, replication, options

    def add(self, name: str, *knows: str) -> DistMemory:
        membership = Membership(Ring(replication=self._replication))
        node = DistMemory(local_node=Node.new(name, f"{name}:0"), membership=membership, transport=self.transport, **self._options)
        self._request.addfinalizer(node.stop)
        self.transport.register(node)
        self.nodes[name] = node
        for peer in knows:
            membership.upsert(Node.new(peer, f"{peer}:0"))
        return node

    def meet(self, name: str) -> None:
        for node in self.nodes.values():
            if node.local_node_id != name:
                node.membership.upsert(Node.new(name, f"{name}:0"))

    def figures(self, *names: str) -> list[int]:
        return [sum(getattr(node.metrics(), name) for node in self.nodes.values()) for name in names]


def counters_of_moves(node: DistMemory) -> tuple[int, int, int, int]:
    metrics = node.metrics()
    return metrics.rebalanced_keys, metrics.rebalanced_primary, metrics.rebalance_batches, metrics.rebalanced_replica_diff


@pytest.mark.parametrize("traffic", [False, True])
def test_an_idle_cluster_moves_nothing_with_and_without_traffic(traffic: bool) -> None:
    """Rows 19, 20."""
    loops = {"heartbeat_interval": 0.05, "gossip_interval": 0.05}
    with setup_in_process_cluster_rf(5, 3, **loops) as cluster:
        for number in range(20):
            cluster.nodes[number % 5].put(f"idle-{number}", number)
        for tick in range(20):
            if traffic:
                for number in range(RATE):
                    cluster.nodes[(tick + number) % 5].put(f"t-{tick}-{number}", number)
            for node in cluster:
                node.run_rebalance_tick()
        assert [counters_of_moves(node) for node in cluster] == [(0, 0, 0, 0)] * 5


def test_a_newcomer_gets_its_share_once(request: pytest.FixtureRequest) -> None:
    """Row 80, with the counters flat afterwards."""
    group = Group(request)
    a, b = group.add("A", "B"), group.add("B", "A")
    for number in range(300):
        a.put(f"join-{number}", number)
    c = group.add("C", "A", "B")
    group.meet("C")
    a.run_rebalance_tick()
    b.run_rebalance_tick()
    assert c.count() > 0
    assert [node.count() for node in (a, b, c)] == [len([k for k in range(300) if a.ring.lookup(f"join-{k}")[0] == name]) for name in "ABC"]
    assert max(node.count() for node in (a, b, c)) < 240
    moved = group.figures("rebalanced_keys", "rebalanced_primary")
    assert moved == [c.count(), c.count()]
    for _ in range(3):
        for node in (a, b, c):
            node.run_rebalance_tick()
    assert group.figures("rebalanced_keys", "rebalanced_primary") == moved


def test_small_batches_on_one_worker_are_throttled(request: pytest.FixtureRequest) -> None:
    """Row 81."""
    slow = Chaos(seed=1)
    group = Group(request, rebalance_batch_size=8, rebalance_max_concurrent=1, chaos=slow)
    a = group.add("A")
    for number in range(400):
        a.put(f"t-{number}", number)
    slow.set_latency(0.0005, 1)
    c = group.add("C", "A")
    group.meet("C")
    a.run_rebalance_tick()
    metrics = a.metrics()
    assert metrics.rebalance_throttle > 0
    assert metrics.rebalance_batches == -(-c.count() // 8)
    assert a.count() + c.count() == 400


def test_keys_of_a_node_that_leaves_move_on(request: pytest.FixtureRequest) -> None:
    """Row 82."""
    group = Group(request, replication=2, write_consistency=Consistency.ALL)
    for name in "ABC":
        group.add(name, *({"A", "B", "C"} - {name}))
    a, b = group.nodes["A"], group.nodes["B"]
    for number in range(90):
        a.put(f"leave-{number}", number)
    for node in (a, b):
        node.membership.remove("C")
    for node in (a, b):
        node.run_rebalance_tick()
    assert sum(group.figures("rebalanced_keys")) > 0
    assert a.count() == b.count() == 90


def test_a_new_replica_is_completed(request: pytest.FixtureRequest) -> None:
    """Row 83."""
    group = Group(request, replication=2)
    a, b = group.add("A", "B"), group.add("B", "A")
    for number in range(60):
        a.put(f"rd-{number}", number)
    c = group.add("C", "A", "B")
    group.meet("C")
    a.run_rebalance_tick()
    b.run_rebalance_tick()
    assert {f"rd-{number}" for number in range(60) if c.is_owner(f"rd-{number}")} == {item.key for item in c.list()}
    assert sum(group.figures("rebalanced_replica_diff")) > 0


def test_a_limited_tick_goes_on_in_the_next(request: pytest.FixtureRequest) -> None:
    """Row 84, F39: what was not sent is not forgotten."""
    group = Group(request, replication=2, replica_diff_max_per_tick=1)
    a, b = group.add("A", "B"), group.add("B", "A")
    for number in range(20):
        a.put(f"rd-{number}", number)
    c = group.add("C", "A", "B")
    group.meet("C")
    a.run_rebalance_tick()
    assert a.metrics().rebalance_replica_diff_throttle == 1
    for _ in range(40):
        a.run_rebalance_tick()
        b.run_rebalance_tick()
    assert {f"rd-{number}" for number in range(20) if c.is_owner(f"rd-{number}")} == {item.key for item in c.list()}


def lost_key(node: DistMemory) -> str:
    return next(key for key in (f"lost-{number}" for number in range(1000)) if node.ring.lookup(key) == ["C"])


def test_an_unreachable_new_primary_leaves_the_copy_here(request: pytest.FixtureRequest) -> None:
    """Extra 8, F12."""
    group = Group(request)
    a = group.add("A", "C")
    key = lost_key(a)
    a.debug_inject(Item(key, "only", version=1, origin="A"))
    a.run_rebalance_tick()
    assert a.local_contains(key)
    assert a.metrics().rebalanced_primary == 1
    c = group.add("C", "A")
    a.run_rebalance_tick()
    assert not a.local_contains(key)
    assert c.local_contains(key)


def test_an_accepted_hint_stands_for_the_copy_and_brings_it_home_when_it_expires(request: pytest.FixtureRequest) -> None:
    """F12 and section 27.1."""
    clock = StillClock()
    group = Group(request, hint_ttl=5, clock=clock)
    a = group.add("A", "C")
    key = lost_key(a)
    a.debug_inject(Item(key, "only", version=1, origin="A"))
    a.run_rebalance_tick()
    assert (a.local_contains(key), a.hinted_queue_size("C"), a.metrics().migration_hint_queued) == (False, 1, 1)
    clock.advance(6)
    a.replay_hints()
    assert (a.local_contains(key), a.metrics().migration_hint_expired) == (True, 1)
    c = group.add("C", "A")
    a.run_rebalance_tick()
    assert (a.local_contains(key), c.local_contains(key)) == (False, True)


def test_a_refused_key_is_parked_until_the_members_change(request: pytest.FixtureRequest) -> None:
    group = Group(request)
    a = group.add("A", "C")
    key = lost_key(a)
    c = group.add("C", *[f"X{number}" for number in range(40)])
    assert not c.is_owner(key)
    a.debug_inject(Item(key, "only", version=1, origin="A"))
    for _ in range(3):
        a.run_rebalance_tick()
    assert (a.local_contains(key), a.metrics().rebalanced_primary) == (True, 1)
    for number in range(40):
        c.membership.remove(f"X{number}")
    a.membership.upsert(Node.new("A", "A:0"))
    a.run_rebalance_tick()
    assert (a.local_contains(key), c.local_contains(key)) == (False, True)


def test_members_that_change_while_a_key_is_being_refused_end_its_parking(request: pytest.FixtureRequest) -> None:
    group = Group(request)
    a = group.add("A", "C")
    key = lost_key(a)

    class Changing(InProcessTransport):
        refusals = 0

        def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult:
            self.refusals += 1
            a.membership.upsert(Node.new("A", "A:0"))
            return ApplyResult.REFUSED

    changing = Changing()
    a.set_transport(changing)
    a.debug_inject(Item(key, "only", version=1, origin="A"))
    for _ in range(2):
        a.run_rebalance_tick()
    assert (changing.refusals, a.local_contains(key)) == (2, True)


def test_a_handed_over_copy_waits_out_its_grace(request: pytest.FixtureRequest) -> None:
    """F37: it is migrated once, then shed."""
    clock = StillClock()
    group = Group(request, removal_grace=10, clock=clock)
    a, c = group.add("A", "C"), group.add("C", "A")
    key = lost_key(a)
    a.debug_inject(Item(key, "v", version=1, origin="A"))
    for _ in range(3):
        a.run_rebalance_tick()
    assert (a.local_contains(key), c.local_contains(key), a.metrics().rebalanced_primary) == (True, True, 1)
    clock.advance(10)
    a.run_rebalance_tick()
    assert not a.local_contains(key)


@pytest.mark.parametrize("a_tick_between", [False, True])
def test_a_grace_ends_when_the_key_belongs_here_again(request: pytest.FixtureRequest, a_tick_between: bool) -> None:
    """What was written here in between, or what the other has forgotten since, is handed over again and not shed."""
    clock = StillClock()
    group = Group(request, removal_grace=10, clock=clock)
    a, c = group.add("A", "C"), group.add("C", "A")
    key = lost_key(a)
    a.debug_inject(Item(key, "old", version=1, origin="A"))
    a.run_rebalance_tick()
    assert c.local_contains(key)
    a.membership.remove("C")
    if a_tick_between:
        c.debug_drop_local(key)
        a.run_rebalance_tick()
    else:
        a.put(key, "new")
    a.membership.upsert(Node.new("C", "C:0"))
    for _ in range(2):
        a.run_rebalance_tick()
        clock.advance(10)
    a.run_rebalance_tick()
    moved = c.local_entry(key)[0]
    assert moved is not None
    assert moved.value == ("old" if a_tick_between else "new")
    assert not a.local_contains(key)


def test_a_migrated_key_is_fanned_out_by_its_new_primary(request: pytest.FixtureRequest) -> None:
    """Section 8.5.3: a migration carries replicate."""
    group = Group(request, replication=2)
    nodes = {name: group.add(name, *(set("ABC") - {name})) for name in "ABC"}
    key = next(key for key in (f"m-{number}" for number in range(1000)) if nodes["A"].ring.lookup(key) == ["B", "C"])
    assert nodes["A"].transport is not None
    assert nodes["A"].transport.forward_set("B", Item(key, "v", version=4, origin="A"), True) is ApplyResult.APPLIED
    assert nodes["C"].local_contains(key)
