"""Membership, ring, chaos, back-off, the event bus, identities."""

from __future__ import annotations

import threading

import pytest

from seatrial.cluster import (
    AutoSyncBackoff,
    BackendNotFoundError,
    Chaos,
    ChaosDropError,
    DistMemory,
    DistOptions,
    EventBus,
    InProcessTransport,
    InvalidAddressError,
    Item,
    Membership,
    Node,
    NodeState,
    Ring,
    setup_in_process_cluster_rf,
    wrap_chaos,
)
from seatrial.cluster.consistency import Consistency
from tests.support.still_clock import StillClock


def members(*ids: str) -> Membership:
    made = Membership(Ring(replication=2))
    for node_id in ids:
        made.upsert(Node.new(node_id, f"{node_id}:0"))
    return made


def test_observers_are_told_of_real_changes_in_order_after_the_ring_stands() -> None:
    """White box: TestMembership_OnStateChange_FiresAfterMutation, FiresOnUpsertAndRemove, NoEventOnNoOpMark, MultipleObservers."""
    membership = members("A")
    seen: list[tuple[str, str, NodeState, int, int]] = []

    def observe(name: str) -> None:
        membership.on_state_change(lambda node, state, version: seen.append((name, node, state, version, len(membership.ring.lookup("k")))))

    observe("first")
    membership.on_state_change(None)
    observe("second")
    membership.upsert(Node.new("B", "B:0"))
    membership.mark("B", NodeState.ALIVE)
    membership.mark("B", NodeState.SUSPECT)
    assert membership.remove("B")
    assert not membership.remove("B")
    expected = [("B", NodeState.ALIVE, 2, 2), ("B", NodeState.SUSPECT, 3, 2), ("B", NodeState.DEAD, 4, 1)]
    assert seen == [(name, *event) for event in expected for name in ("first", "second")]


def test_an_observer_may_read_and_mutate_from_another_thread_and_a_broken_one_stops_nobody() -> None:
    """White box: TestMembership_OnStateChange_DoesNotBlockMutation."""
    membership = members("A")
    listed: list[int] = []

    def other_thread(node: str, state: NodeState, version: int) -> None:
        thread = threading.Thread(target=lambda: listed.append(len(membership.list())), daemon=True)
        thread.start()
        thread.join(30)

    def broken(node: str, state: NodeState, version: int) -> None:
        raise RuntimeError("broken observer")

    membership.on_state_change(broken)
    membership.on_state_change(other_thread)
    membership.upsert(Node.new("B", "B:0"))
    assert listed == [2]


def test_the_same_state_changes_nothing_and_another_bumps() -> None:
    """White box: TestMembership_Mark_NoBumpOnSameState, SameStateIsFullNoOp, BumpsOnTransition."""
    membership = members("A")
    before = membership.get("A")
    assert membership.mark("A", NodeState.ALIVE)
    after = membership.get("A")
    assert before is not None
    assert after is not None
    assert (membership.version, after.incarnation) == (1, before.incarnation)
    assert membership.mark("A", NodeState.SUSPECT)
    suspect = membership.get("A")
    assert suspect is not None
    assert (membership.version, suspect.incarnation, suspect.state) == (2, 2, NodeState.SUSPECT)
    assert not membership.mark("ghost", NodeState.ALIVE)


def test_a_refutation_always_bumps_above_the_claim() -> None:
    """White box: TestMembership_Refute_AlwaysBumps, GhostReturnsFalse."""
    membership = members("A")
    events: list[int] = []
    membership.on_state_change(lambda _node, _state, version: events.append(version))
    assert membership.refute("A")
    assert membership.refute("A", claimed=9)
    held = membership.get("A")
    assert held is not None
    assert (held.incarnation, held.state, len(events)) == (10, NodeState.ALIVE, 2)
    assert not membership.refute("ghost")
    assert len(events) == 2


def test_the_dead_leave_the_ring_and_come_back_to_it() -> None:
    membership = members("A", "B")
    membership.mark("B", NodeState.SUSPECT)
    assert set(membership.ring.lookup("k")) == {"A", "B"}
    membership.mark("B", NodeState.DEAD)
    assert membership.ring.lookup("k") == ["A"]
    membership.refute("B")
    assert set(membership.ring.lookup("k")) == {"A", "B"}


def test_owners_that_were_asked_for_before_are_not_told_once_the_members_have_changed() -> None:
    membership = members("A", "B", "C")
    keys = [f"k{number}" for number in range(200)]
    before = {key: membership.ring.lookup(key) for key in keys}
    membership.remove("B")
    assert {key: membership.ring.lookup(key) for key in keys} == {key: members("A", "C").ring.lookup(key) for key in keys}
    membership.upsert(Node.new("B", "B:0"))
    assert {key: membership.ring.lookup(key) for key in keys} == before


def test_concurrent_changes_leave_the_newest_ring() -> None:
    membership = members()
    workers = [
        threading.Thread(target=lambda n=n: [membership.upsert(Node.new(f"N{n}-{i}", f"h{n}:{i}")) for i in range(10)], daemon=True)
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert membership.version == 40
    assert {entry.split(":", 1)[1] for entry in membership.ring.vnode_hashes()} == {node.id for node in membership.list()}


def test_an_empty_ring_owns_nothing_and_a_small_one_gives_all_its_nodes() -> None:
    ring = Ring(replication=3, virtual_nodes=-1)
    assert ring.lookup("k") == []
    ring.build([Node.new("A", "A:0")])
    assert ring.lookup("k") == ["A"]
    assert ring.virtual_nodes_per_node == 64


@pytest.mark.parametrize("address", ["", "host", "host:", "a:b:c"])
def test_an_address_without_host_and_port_is_invalid(address: str) -> None:
    with pytest.raises(InvalidAddressError, match="invalid node address"):
        Node.new("A", address).validate()
    Node.new("A", "[::1]:80").validate()


class Counting(InProcessTransport):
    calls = 0

    def health(self, node_id: str, timeout: float | None = None) -> None:
        self.calls += 1


def test_chaos_drops_all_none_or_some_and_adds_up() -> None:
    """White box: TestChaos (drop 1, drop 0, concurrent totals, clamping, zero pass-through, None returns inner)."""
    inner, chaos = Counting(), Chaos(seed=1)
    assert wrap_chaos(inner, None) is inner
    wrapped = wrap_chaos(inner, chaos)
    assert wrap_chaos(wrapped, chaos) is wrapped
    wrapped.health("x")
    assert (inner.calls, chaos.drops, chaos.latencies) == (1, 0, 0)
    chaos.set_drop_rate(7)
    with pytest.raises(ChaosDropError, match="dist transport: chaos drop"):
        wrapped.health("x")
    assert (inner.calls, chaos.drops) == (1, 1)
    chaos.set_drop_rate(-1)
    wrapped.health("x")
    chaos.set_drop_rate(0.5)
    lock = threading.Lock()
    reached = [0]

    class Locked(InProcessTransport):
        def health(self, node_id: str, timeout: float | None = None) -> None:
            with lock:
                reached[0] += 1

    shared = wrap_chaos(Locked(), chaos)
    before = chaos.drops

    def hammer() -> None:
        for _ in range(100):
            try:
                shared.health("x")
            except ChaosDropError:
                continue

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert chaos.drops - before + reached[0] == 400
    assert 0 < reached[0] < 400


def test_a_split_parts_two_sides_both_ways_and_neither_side_in_itself() -> None:
    chaos = Chaos(seed=1)
    with setup_in_process_cluster_rf(4, 4, chaos=chaos) as cluster:
        ids = [node.local_node_id for node in cluster]
        chaos.split(ids[:2])
        reached = {(a, b) for a in range(4) for b in range(4) if a != b and _reaches(cluster.nodes[a], ids[b])}
        assert reached == {(0, 1), (1, 0), (2, 3), (3, 2)}
        assert chaos.drops == 8
        chaos.split(())
        assert all(_reaches(cluster.nodes[a], ids[b]) for a in range(4) for b in range(4) if a != b)
        assert chaos.drops == 8


def _reaches(node: DistMemory, peer: str) -> bool:
    assert node.transport is not None
    try:
        node.transport.health(peer)
    except ChaosDropError:
        return False
    return True


def test_chaos_delays_are_counted_and_end_with_the_node() -> None:
    """White box: TestChaos latency; F15: sleeps end early on stop."""
    from seatrial.clock import SYSTEM_CLOCK

    chaos, stopping = Chaos(seed=1), threading.Event()
    wrapped = wrap_chaos(Counting(), chaos, stopping)
    chaos.set_latency(0.02, 1)
    started = SYSTEM_CLOCK.monotonic_s()
    wrapped.health("x")
    assert SYSTEM_CLOCK.monotonic_s() - started >= 0.02
    assert chaos.latencies == 1
    chaos.set_latency(30, 1)
    stopping.set()
    wrapped.health("x")
    assert SYSTEM_CLOCK.monotonic_s() - started < 10


@pytest.mark.parametrize("factor", [0, 1, -5])
def test_backoff_of_one_and_below_is_off(factor: int) -> None:
    """White box: TestAdaptiveBackoff disabled, max 1, normalisation."""
    backoff = AutoSyncBackoff(factor)
    backoff.update(True)
    assert (backoff.factor, backoff.clean_ticks, backoff.next_delay(2.0)) == (0, 0, 2.0)
    assert DistOptions(merkle_max_backoff_factor=factor).normalised().merkle_max_backoff_factor == max(factor, 0)


def test_a_full_subscriber_loses_events_and_nobody_waits() -> None:
    bus = EventBus()
    with bus.subscribe() as slow:
        assert [bus.publish("x", number) for number in range(20)] == list(range(1, 21))
        assert (bus.dropped, bus.subscriber_count) == (4, 1)
        first = slow.get(timeout=1)
        assert first is not None
        assert (first.type, first.payload, first.version) == ("x", 0, 1)
        slow.close()
        slow.close()
        assert len(list(slow)) == 15
    assert bus.subscriber_count == 0
    assert slow.get(timeout=0.01) is None


def test_a_node_publishes_its_members_on_a_change() -> None:
    options = {"membership": members(), "transport": InProcessTransport(), "clock": StillClock()}  # whose heartbeat is no event in between
    with DistMemory(local_node=Node.new("A", "local"), **options) as node:
        with node.event_bus.subscribe() as events:
            node.add_peer("peer:1")
            event = events.get(timeout=30)
        assert event is not None
        assert [member["Address"] for member in event.payload["members"]] == ["local", "peer:1"]
        node.remove_peer("peer:1")
        assert len(node.membership.list()) == 1


def test_unregistered_peers_are_not_found() -> None:
    transport = InProcessTransport()
    transport.register(None)
    transport.unregister("nobody")
    with pytest.raises(BackendNotFoundError, match="backend not found"):
        transport.forward_set("nobody", Item("k", 1), False)


def test_options_from_a_mapping_are_all_applied() -> None:
    """F29."""
    options = DistOptions.from_mapping(
        {
            "node_id": "A",
            "bind_addr": "127.0.0.1:1",
            "replication": 3,
            "read_consistency": 2,
            "write_consistency": "all",
            "hint_replay": 0.5,
        }
    )
    assert (options.node_id, options.address, options.replication, options.hint_replay_interval) == ("A", "127.0.0.1:1", 3, 0.5)
    assert options.read_consistency is options.write_consistency is Consistency.ALL
    with pytest.raises(TypeError, match="no_such"):
        DistOptions.from_mapping({"no_such": 1})
    with pytest.raises(TypeError):
        DistMemory(no_such=1)


def test_a_stopped_node_no_longer_watches_a_shared_membership() -> None:
    with setup_in_process_cluster_rf(2, 2) as cluster:
        first = cluster.nodes[0]
        events = first.event_bus.subscribe()
        first.stop()
        cluster.membership.upsert(Node.new("X", "x:0"))
        event = events.get(timeout=0)
        while event is not None:
            assert event.type == "heartbeat"
            event = events.get(timeout=0)
        events.close()
