"""Reads, writes, deletes, anti-entropy and listings of clusters in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seatrial.cluster import (
    ApplyResult,
    ClusterError,
    Consistency,
    DistCluster,
    DistMemory,
    InvalidExpirationError,
    InvalidKeyError,
    Item,
    NilValueError,
    Node,
    NotOwnerError,
    NoTransportError,
    QuorumFailedError,
    find_owner_key,
)
from tests.support.still_clock import StillClock

Make = Callable[..., DistCluster]
QUORUM = {"read_consistency": Consistency.QUORUM, "write_consistency": Consistency.QUORUM}


def owned(cluster: DistCluster, *order: int, prefix: str = "key-") -> str:
    """A key whose owners are those nodes (by number from 0), in that order."""
    key = find_owner_key(cluster.nodes[0], prefix, [cluster.nodes[number].local_node_id for number in order], 20_000)
    assert key is not None
    return key


def value(node: DistMemory, key: str) -> Any:
    found = node.get(key)
    return None if found is None else found.value


def held(node: DistMemory, key: str) -> Item | None:
    return node.local_entry(key)[0]


def test_sets_are_forwarded_and_replicated(make: Make) -> None:
    """Row 1."""
    cluster = make(2, 2)
    keys = ["alpha", "bravo", "charlie", "delta", "echo"]
    for key in keys:
        primary = cluster.by_id(cluster.ring.lookup(key)[0])
        assert primary is not None
        primary.put(key, key)
    assert all(value(node, key) == key for node in cluster for key in keys)
    assert any(cluster.nodes[1].local_contains(key) for key in keys)


def test_a_remove_reaches_the_replicas(make: Make) -> None:
    """Row 23."""
    cluster = make(2, 2)
    key = owned(cluster, 1, 0)
    cluster.nodes[1].put(key, "v")
    assert value(cluster.nodes[0], key) == "v"
    cluster.nodes[1].remove(key)
    assert [value(node, key) for node in cluster] == [None, None]


def test_a_read_mends_the_replica_that_lost_its_copy(make: Make) -> None:
    """Row 24."""
    cluster = make(2, 2)
    key = owned(cluster, 0, 1)
    cluster.nodes[0].put(key, "v")
    replica = cluster.nodes[1]
    replica.debug_drop_local(key)
    assert value(replica, key) == "v"
    assert replica.local_contains(key)
    assert replica.metrics().read_repair == 1


def test_versions_decide_a_quorum_read_and_a_lost_replica_may_fail_a_write(make: Make) -> None:
    """Row 27."""
    cluster = make(3, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    cluster.nodes[0].put(key, "new")
    cluster.nodes[1].debug_inject(Item(key, "old", version=0, origin="zz"))
    assert value(cluster.nodes[0], key) == "new"
    mended = held(cluster.nodes[1], key)
    assert mended is not None
    assert mended.value == "new"
    cluster.transport.unregister(cluster.nodes[2].local_node_id)
    cluster.nodes[0].put(key, "newer")
    assert value(cluster.nodes[1], key) == "newer"


def test_a_quorum_write_counts_its_acks(make: Make) -> None:
    """Row 28."""
    cluster = make(3, 2, **QUORUM)
    key = owned(cluster, 0, 1)
    cluster.nodes[0].put(key, "v")
    metrics = cluster.nodes[0].metrics()
    assert (metrics.write_attempts, metrics.write_acks, metrics.write_quorum_failures, metrics.replica_fanout_set) == (1, 2, 0, 1)


def test_a_sync_pulls_all_keys(make: Make) -> None:
    """Row 30."""
    cluster = make(2, 1)
    a, b = cluster.nodes
    for number in range(5):
        a.debug_inject(Item(f"m-{number}", number, version=number + 1, origin="A"))
    result = b.sync_with(a.local_node_id)
    assert (result.clean, result.missing, result.pulled) == (False, 5, 5)
    for number in range(5):
        copy = held(b, f"m-{number}")
        assert copy is not None
        assert copy.version >= number + 1
    assert b.metrics().merkle_syncs == 1
    assert b.metrics().merkle_keys_pulled == 5
    assert b.sync_with(a.local_node_id).clean


def test_empty_nodes_sync(make: Make) -> None:
    """Row 31."""
    a, b = make(2, 2).nodes
    assert a.sync_with(b.local_node_id).clean
    assert b.sync_with(a.local_node_id).clean


def test_equal_versions_of_different_origins_end_with_the_smaller_one(make: Make) -> None:
    """Row 32. Hashed without their origins, as section 12.1 has it, they would stand beside each other for ever."""
    a, b = make(2, 2, merkle_chunk_size=4).nodes
    for number in range(10):
        a.debug_inject(Item(f"nd:{number}", 1, version=number + 1, origin="A"))
        b.debug_inject(Item(f"nd:{number}", 1, version=number + 1, origin="B"))
    assert a.sync_with(b.local_node_id).pulled == 0
    assert b.sync_with(a.local_node_id).pulled == 10
    assert {item.origin for node in (a, b) for item in node.list()} == {"A"}
    assert a.sync_with(b.local_node_id).clean
    assert b.sync_with(a.local_node_id).clean


def test_a_single_missing_key_is_pulled_with_its_bytes(make: Make) -> None:
    """Row 33."""
    a, b = make(2, 2).nodes
    a.debug_inject(Item("only", b"\x00\xffraw", version=3, origin="A"))
    b.sync_with(a.local_node_id)
    assert value(b, "only") == b"\x00\xffraw"


def test_an_older_write_of_a_peer_loses(make: Make) -> None:
    """Extra 1, F1."""
    cluster = make(2, 2)
    replica = cluster.nodes[1]
    replica.debug_inject(Item("k", "v5", version=5, origin="A"))
    assert cluster.transport.forward_set(replica.local_node_id, Item("k", "v1", version=1, origin="A"), False) is ApplyResult.STALE
    assert cluster.transport.forward_set(replica.local_node_id, Item("k", "v5", version=5, origin="A"), False) is ApplyResult.APPLIED
    assert value(replica, "k") == "v5"


def test_a_late_write_does_not_bring_a_deleted_key_back_and_a_new_one_does(make: Make) -> None:
    """Extra 2, F2."""
    cluster = make(2, 2)
    a, b = cluster.nodes
    key = owned(cluster, 0, 1)
    a.put(key, "old")
    old = held(a, key)
    assert old is not None
    a.remove(key)
    assert cluster.transport.forward_set(b.local_node_id, old, False) is ApplyResult.STALE
    assert value(b, key) is None
    cluster.transport.unregister(b.local_node_id)
    with pytest.raises(QuorumFailedError, match=r"^consistency quorum not achieved$"):
        a.put(key, "again")
    cluster.transport.register(b)
    assert b.sync_with(a.local_node_id).pulled == 1
    assert value(b, key) == "again"


def test_a_promoted_write_beats_what_the_old_primary_has(make: Make) -> None:
    """Extra 3, F3."""
    cluster = make(3, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    for number in range(5):
        cluster.nodes[0].put(key, f"v{number}")
    cluster.transport.unregister(cluster.nodes[0].local_node_id)
    cluster.nodes[1].put(key, "promoted")
    assert cluster.nodes[1].metrics().write_forward_promotion == 1
    cluster.transport.register(cluster.nodes[0])
    assert [value(node, key) for node in cluster] == ["promoted"] * 3


def test_a_forwarded_write_is_versioned_by_its_coordinator_and_its_quorum_is_the_callers(make: Make) -> None:
    """Extra 4, F4."""
    cluster = make(4, 3, write_consistency=Consistency.ALL)
    key = owned(cluster, 0, 1, 2)
    item = Item(key, "v", version=99, origin="nobody")
    cluster.nodes[3].set(item)
    stored = held(cluster.nodes[2], key)
    assert stored is not None
    assert (stored.version, stored.origin) == (1, cluster.nodes[0].local_node_id)
    cluster.transport.unregister(cluster.nodes[2].local_node_id)
    with pytest.raises(QuorumFailedError):
        cluster.nodes[3].put(key, "w")


def test_a_sync_with_a_node_that_never_had_a_key_leaves_it(make: Make) -> None:
    """Extra 5, F5."""
    a, b = make(2, 2).nodes
    a.debug_inject(Item("mine", 1, version=1, origin="A"))
    a.sync_with(b.local_node_id)
    assert a.local_contains("mine")


def test_deletes_can_be_inferred_for_peers_that_tell_no_tombstones(make: Make) -> None:
    a, b = make(2, 2, merkle_infer_deletes=True).nodes
    a.debug_inject(Item("mine", 1, version=1, origin="A"))
    assert a.sync_with(b.local_node_id).tombstoned == 1
    assert not a.local_contains("mine")


def test_a_sync_adopts_tombstones_the_other_way_round(make: Make) -> None:
    """F5: a deletion travels as a tombstone, and is not clean while it does."""
    cluster = make(2, 2, write_consistency=Consistency.ONE)
    a, b = cluster.nodes
    key = owned(cluster, 0, 1)
    a.put(key, 1)
    cluster.transport.unregister(b.local_node_id)
    a.remove(key)
    cluster.transport.register(b)
    result = b.sync_with(a.local_node_id)
    assert (result.clean, result.tombstoned) == (False, 1)
    assert not b.local_contains(key)
    assert b.sync_with(a.local_node_id).clean


def test_auto_sync_keeps_every_key_on_its_owner_and_gets_clean(make: Make) -> None:
    """Extra 6, F6."""
    cluster = make(3, 1, merkle_max_backoff_factor=2)
    for number in range(60):
        cluster.nodes[0].put(f"as-{number}", number)
    for _ in range(10):
        assert all(node.run_auto_sync_tick() for node in cluster)
    for number in range(60):
        key = f"as-{number}"
        assert [node.local_node_id for node in cluster if node.local_contains(key)] == cluster.ring.lookup(key)
    assert [node.metrics().auto_sync_clean_ticks for node in cluster] == [10, 10, 10]


def test_auto_sync_reports_its_last_error_and_recovers(make: Make) -> None:
    cluster = make(2, 2)
    a, b = cluster.nodes
    cluster.transport.unregister(b.local_node_id)
    assert not a.run_auto_sync_tick()
    assert a.metrics().last_auto_sync_error == "backend not found"
    cluster.transport.register(b)
    assert a.run_auto_sync_tick()
    assert a.metrics().last_auto_sync_error == ""
    assert a.metrics().auto_sync_loops == 2


def test_a_node_that_owns_nothing_can_write_while_the_primary_is_down(make: Make) -> None:
    """Extra 12, F42."""
    cluster = make(4, 3)
    key = owned(cluster, 0, 1, 2)
    cluster.transport.unregister(cluster.nodes[0].local_node_id)
    cluster.nodes[3].put(key, "v")
    assert value(cluster.nodes[2], key) == "v"
    assert cluster.nodes[3].metrics().forward_set == 2
    cluster.nodes[3].remove(key)
    assert value(cluster.nodes[2], key) is None
    for owner in cluster.nodes[1:3]:
        cluster.transport.unregister(owner.local_node_id)
    with pytest.raises(ClusterError, match="backend not found"):
        cluster.nodes[3].put(key, "v")


def test_a_deleted_key_stays_a_miss_on_the_deleter_when_the_old_primary_returns(make: Make) -> None:
    """Extra 13, F43, at every consistency level."""
    for level in Consistency:
        cluster = make(3, 3, read_consistency=level)
        key = owned(cluster, 0, 1, 2)
        cluster.nodes[0].put(key, "v")
        cluster.transport.unregister(cluster.nodes[0].local_node_id)
        cluster.nodes[1].remove(key)
        cluster.transport.register(cluster.nodes[0])
        assert value(cluster.nodes[1], key) is None
        assert not cluster.nodes[1].local_contains(key)


def test_a_remote_tombstone_hides_a_staler_copy_from_a_quorum(make: Make) -> None:
    """Section 27.4."""
    cluster = make(4, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    for number in (1, 2):
        cluster.nodes[number].debug_inject(Item(key, "old", version=1, origin="A"))
    cluster.transport.forward_remove(cluster.nodes[0].local_node_id, key, False, version=2, origin="A")
    assert value(cluster.nodes[3], key) is None


def test_a_healthy_quorum_read_repairs_only_whom_it_did_not_ask(make: Make) -> None:
    """F25, F26."""
    cluster = make(3, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    cluster.nodes[0].put(key, "v")
    assert value(cluster.nodes[0], key) == "v"
    metrics = cluster.nodes[0].metrics()
    assert (metrics.read_repair, metrics.read_primary_promote, metrics.version_conflicts) == (1, 0, 0)
    cluster.nodes[2].debug_drop_local(key)
    assert value(cluster.nodes[0], key) == "v"
    assert cluster.nodes[2].local_contains(key)


def test_a_quorum_counts_holders(make: Make) -> None:
    cluster = make(3, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    cluster.nodes[2].debug_inject(Item(key, "v", version=1, origin="A"))
    assert value(cluster.nodes[0], key) is None
    assert cluster.nodes[0].metrics().replica_get_miss == 2


def test_reads_side_by_side_find_the_newest(make: Make) -> None:
    cluster = make(3, 3, read_consistency=Consistency.ALL, parallel_reads=True)
    key = owned(cluster, 0, 1, 2)
    cluster.nodes[0].put(key, "v")
    cluster.nodes[1].debug_inject(Item(key, "newest", version=9, origin="B"))
    assert value(cluster.nodes[2], key) == "newest"
    assert [value(node, key) for node in cluster] == ["newest"] * 3


def test_a_promoted_read_is_counted_once(make: Make) -> None:
    """F25."""
    cluster = make(4, 3)
    key = owned(cluster, 0, 1, 2)
    cluster.nodes[0].put(key, "v")
    cluster.transport.unregister(cluster.nodes[0].local_node_id)
    assert value(cluster.nodes[3], key) == "v"
    assert cluster.nodes[3].metrics().read_primary_promote == 1


def test_a_write_below_its_quorum_stays_and_is_told(make: Make) -> None:
    cluster = make(2, 2, write_consistency=Consistency.ALL)
    key = owned(cluster, 0, 1)
    cluster.transport.unregister(cluster.nodes[1].local_node_id)
    with pytest.raises(QuorumFailedError):
        cluster.nodes[0].put(key, "v")
    assert cluster.nodes[0].local_contains(key)
    assert cluster.nodes[0].metrics().write_quorum_failures == 1


def test_a_peer_that_is_no_owner_refuses_a_replica(make: Make) -> None:
    """F24."""
    cluster = make(4, 2)
    key = owned(cluster, 0, 1)
    stranger = cluster.nodes[2]
    assert cluster.transport.forward_set(stranger.local_node_id, Item(key, 1, version=1, origin="A"), False) is ApplyResult.REFUSED
    assert not stranger.local_contains(key)
    assert stranger.metrics().write_apply_refused == 1


def test_expired_items_are_misses_until_touched(make: Make) -> None:
    """F21, section 27.16: reading does not extend a life, touching does."""
    clock = StillClock()
    cluster = make(1, 1, clock=clock)
    node = cluster.nodes[0]
    node.put("k", "v", ttl=10)
    clock.advance(6)
    assert value(node, "k") == "v"
    assert node.touch("k")
    clock.advance(6)
    assert value(node, "k") == "v"
    clock.advance(6)
    assert value(node, "k") is None
    assert node.local_contains("k")
    assert not node.touch("nothing")


def test_tombstones_are_compacted_by_age(make: Make) -> None:
    clock = StillClock()
    cluster = make(1, 1, clock=clock, tombstone_ttl=10)
    node = cluster.nodes[0]
    node.put("k", "v")
    node.remove("k")
    assert (node.metrics().tombstones_active, node.compact_tombstones()) == (1, 0)
    clock.advance(10)
    assert (node.compact_tombstones(), node.metrics().tombstones_active) == (1, 0)


def test_bad_items_are_refused_by_name(make: Make) -> None:
    node = make(1, 1).nodes[0]
    with pytest.raises(InvalidKeyError, match=r"^invalid key$"):
        node.put("  ", 1)
    with pytest.raises(NilValueError, match=r"^nil value$"):
        node.put("k", None)
    item = Item("k", 1, expiration=-1)
    with pytest.raises(InvalidExpirationError, match=r"^expiration cannot be negative$"):
        node.set(item)
    assert item.expiration == 0
    assert node.metrics().write_attempts == 0
    assert sum(node.latency_histograms()["set"]) == 0


def test_the_writers_item_learns_its_version_and_later_changes_do_not_leak(make: Make) -> None:
    node = make(1, 1).nodes[0]
    item = Item("k", "v")
    node.set(item)
    assert (item.version, item.origin) == (1, node.local_node_id)
    item.value = "changed"
    found = node.get("k")
    assert found is not None
    assert found.value == "v"
    found.value = "changed"
    assert value(node, "k") == "v"


def test_without_a_transport_only_own_keys_can_be_written(make: Make) -> None:
    cluster = make(2, 1)
    a, b = cluster.nodes
    a.set_transport(None)
    with pytest.raises(NotOwnerError, match=r"^not ring owner$"):
        a.put(owned(cluster, 1), 1)
    a.put(owned(cluster, 0), 1)
    with pytest.raises(NoTransportError, match=r"^no transport$"):
        a.sync_with(b.local_node_id)


def test_lists_counts_filters_and_clears_are_local(make: Make) -> None:
    cluster = make(2, 2)
    a, b = cluster.nodes
    for number in range(4):
        a.put(f"c-{number}", number)
    assert (a.count(), b.count()) == (4, 4)
    assert [item.value for item in a.list(lambda item: item.value > 1, lambda item: item.value < 3)] == [2]
    a.clear()
    assert (a.count(), b.count()) == (0, 4)
    a.set_capacity(-1)
    a.set_capacity(7)
    assert a.capacity == 7


def test_latencies_count_each_public_operation(make: Make) -> None:
    node = make(1, 1).nodes[0]
    node.put("k", 1)
    node.get("k")
    node.get("other")
    node.remove("k")
    assert {operation: sum(counts) for operation, counts in node.latency_histograms().items()} == {"set": 1, "get": 2, "remove": 1}


def promoted_while_away(make: Make) -> tuple[DistCluster, str]:
    """A cluster whose primary missed five writes, and is back without having heard of them."""
    cluster = make(3, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    cluster.transport.unregister(cluster.nodes[0].local_node_id)
    for number in range(5):
        cluster.nodes[1].put(key, number)
    cluster.transport.register(cluster.nodes[0])
    return cluster, key


def test_a_primary_that_was_away_writes_above_what_it_missed(make: Make) -> None:
    """An acknowledged write is not shadowed by older ones of a promoted replica."""
    cluster, key = promoted_while_away(make)
    cluster.nodes[0].put(key, "after")
    assert [value(node, key) for node in cluster] == ["after"] * 3
    metrics = cluster.nodes[0].metrics()
    assert (metrics.write_attempts, metrics.write_acks, metrics.replica_fanout_set) == (1, 3, 2)


def test_a_primary_that_was_away_deletes_what_it_missed(make: Make) -> None:
    """A deleted key does not come back from replicas that were ahead."""
    cluster, key = promoted_while_away(make)
    cluster.nodes[0].remove(key)
    assert [value(node, key) for node in cluster] == [None] * 3
    assert not any(node.local_contains(key) for node in cluster)


def test_an_owner_that_calls_a_write_stale_and_cannot_be_asked_why_has_not_acknowledged_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, key = promoted_while_away(make)
    monkeypatch.setattr("seatrial.cluster.writes.Writes._learn", lambda *_: False)
    with pytest.raises(QuorumFailedError):
        cluster.nodes[0].put(key, "after")
    assert value(cluster.nodes[0], key) == 4


def test_without_the_second_try_a_delete_would_be_lost(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.cluster.writes._TOMBSTONES_TRIED", 1)
    cluster, key = promoted_while_away(make)
    cluster.nodes[0].remove(key)
    assert cluster.nodes[1].local_contains(key)


@pytest.mark.parametrize("writes", [1, 5])
def test_a_primary_that_lost_its_memory_writes_above_its_former_self(make: Make, writes: int) -> None:
    """Its clock begins anew: what it wrote before has the same origin, and at first the same versions."""
    cluster = make(3, 3, **QUORUM)
    key = owned(cluster, 0, 1, 2)
    for number in range(writes):
        cluster.nodes[0].put(key, number)
    cluster.nodes[0].stop()
    options: dict[str, Any] = {"membership": cluster.membership, "transport": cluster.transport, **QUORUM}
    with DistMemory(local_node=Node.new("", "n1:0"), **options) as again:
        cluster.transport.register(again)
        again.put(key, "after")
        assert [value(node, key) for node in (again, *cluster.nodes[1:])] == ["after"] * 3
        assert again.metrics().write_acks == 3
        again.remove(key)
        assert [value(node, key) for node in (again, *cluster.nodes[1:])] == [None] * 3
