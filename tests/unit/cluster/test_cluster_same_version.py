"""Two writes of one version, by writers that knew nothing of one another: what anti-entropy makes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.cluster import Consistency, DistCluster, Item
from tests.support.cluster_http import Start, two, value

Make = Callable[..., DistCluster]


def test_a_delete_reaches_who_holds_an_item_of_its_version(make: Make) -> None:
    a, b = make(2, 2).nodes
    a.debug_inject(Item("k", 1, version=1, origin=a.local_node_id))
    assert b.transport is not None
    b.transport.forward_remove(b.local_node_id, "k", False, version=1, origin="B")
    assert a.sync_with(b.local_node_id).tombstoned == 1
    assert not a.local_contains("k")
    assert a.sync_with(b.local_node_id).clean


def test_two_tombstones_of_one_version_are_no_difference(make: Make) -> None:
    a, b = make(2, 2).nodes
    for node, origin in ((a, "A"), (b, "B")):
        assert node.transport is not None
        node.transport.forward_remove(node.local_node_id, "k", False, version=1, origin=origin)
    assert a.sync_with(b.local_node_id).clean


def test_a_peer_that_does_not_tell_origins_is_compared_by_versions_alone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = make(2, 2).nodes
    a.debug_inject(Item("k", 1, version=1, origin="A"))
    b.debug_inject(Item("k", 1, version=1, origin="B"))
    told = b.build_merkle_tree()
    told.origin_hashes.clear()
    monkeypatch.setattr(b, "build_merkle_tree", lambda _scope="": told)
    assert a.sync_with(b.local_node_id).clean


def test_an_acknowledged_write_that_shares_its_version_with_another_outlives_the_loss_of_its_writer(make: Make) -> None:
    """As the model of a register found it: the writer could not reach the other, and knew of no version, so it gave its first one."""
    cluster = make(3, 3, read_consistency=Consistency.QUORUM, write_consistency=Consistency.QUORUM)
    other, writer = sorted(cluster.nodes[:2], key=lambda node: node.local_node_id, reverse=True)
    third = cluster.nodes[2]
    other.debug_inject(Item("k", "old", version=1, origin=other.local_node_id))
    for holder in (writer, third):
        holder.debug_inject(Item("k", "new", version=1, origin=writer.local_node_id))
    writer.debug_drop_local("k")
    writer.debug_inject(Item("k", "old", version=1, origin=other.local_node_id))  # the other's hint for it
    for node in cluster:
        node.run_auto_sync_tick()
    assert [item and item.value for item, _ in (node.local_entry("k") for node in cluster)] == ["new"] * 3


def test_two_values_of_one_version_meet_over_sockets(start: Start) -> None:
    a, b = two(start)
    for node, origin in ((a, "A"), (b, "B")):
        node.debug_inject(Item("k", origin.encode(), version=1, origin=origin))
    assert b.sync_with(a.local_node_id).pulled == 1
    assert value(b, "k") == b"A"
    assert a.sync_with(b.local_node_id).clean
