"""What crosses the boundary of a node is a copy (section 5)."""

from __future__ import annotations

from seatrial.cluster import ApplyResult, Consistency, Item, setup_in_process_cluster_rf


def test_nobody_shares_an_item_with_a_node_that_coordinates_replicates_or_answers() -> None:
    with setup_in_process_cluster_rf(2, 2, read_consistency=Consistency.QUORUM, write_consistency=Consistency.QUORUM) as cluster:
        primary, replica = (cluster.by_id(owner) for owner in cluster.ring.lookup("key"))
        assert primary is not None
        assert replica is not None
        to = cluster.transport
        own = Item("key", "first")
        primary.set(own)
        sent, asked = Item("key", "second", version=7, origin="zz"), Item("key", "third")
        assert to.forward_set(replica.local_node_id, sent, False) is ApplyResult.APPLIED
        assert to.forward_set(primary.local_node_id, asked, True) is ApplyResult.APPLIED
        assert (sent.last_access, asked.version, asked.origin, asked.last_access) == (0.0, 0, "", 0.0)
        for mine in (own, sent, asked, primary.get("key"), to.forward_get(replica.local_node_id, "key")):
            assert mine is not None
            mine.value, mine.version, mine.access_count = "mine", 1_000, 9
        held = [node.local_entry("key")[0] for node in cluster]
        assert [(item.value, item.version, item.access_count) for item in held if item] == [("third", 8, 0)] * 2
