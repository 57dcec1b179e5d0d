"""Rebalancing over sockets with the loops running: what a join, a leave and the limits do in real time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seatrial.cluster import DistMemory, Node, allocate_port
from tests.support.cluster_http import Start
from tests.support.waiting import eventually


def group(start: Start, names: str, **options: Any) -> list[DistMemory]:
    """Nodes that know one another and rebalance every 50 ms."""
    addresses = {name: allocate_port() for name in names}
    return [
        start(
            name,
            address=address,
            seeds=[f"{other}@{addresses[other]}" for other in names if other != name],
            **{"rebalance_interval": 0.05, "virtual_nodes": 32} | options,
        )
        for name, address in addresses.items()
    ]


def join(start: Start, name: str, others: Sequence[DistMemory], **options: Any) -> DistMemory:
    """A newcomer that knows the others, who then hear of it."""
    seeds = [f"{node.local_node_id}@{node.local_node_address}" for node in others]
    made = start(name, seeds=seeds, **{"rebalance_interval": 0.05, "virtual_nodes": 32} | options)
    for node in others:
        node.membership.upsert(Node.new(name, made.local_node_address))
    return made


def total(nodes: Sequence[DistMemory], name: str) -> int:
    return sum(getattr(node.metrics(), name) for node in nodes)


def fill(node: DistMemory, prefix: str, count: int) -> list[str]:
    keys = [f"{prefix}{number}" for number in range(count)]
    for key in keys:
        node.put(key, "v")
    return keys


def test_a_newcomer_gets_its_share_of_many_keys(start: Start) -> None:
    """Row 80."""
    a, b = group(start, "AB")
    keys = fill(a, "join-", 300)
    c = join(start, "C", [a, b])
    share = {key: a.ring.lookup(key)[0] for key in keys}
    wanted = {name: sum(owner == name for owner in share.values()) for name in "ABC"}
    assert wanted["C"] > 0
    assert max(wanted.values()) < 0.8 * len(keys)
    assert eventually(lambda: [node.count() for node in (a, b, c)] == [wanted[name] for name in "ABC"], timeout_s=60)
    assert eventually(lambda: total([a, b, c], "rebalanced_keys") >= wanted["C"], timeout_s=60)


def test_one_worker_with_small_batches_is_throttled_over_sockets(start: Start) -> None:
    """Row 81."""
    options = {"rebalance_batch_size": 8, "rebalance_max_concurrent": 1}
    a, b = group(start, "AB", **options)
    fill(a, "throttle-", 400)
    c = join(start, "C", [a, b], **options)
    assert eventually(lambda: total([a, b], "rebalance_throttle") > 0, timeout_s=60)
    assert eventually(lambda: a.count() + b.count() + c.count() == 400 and c.count() > 0, timeout_s=60)


def test_keys_of_a_node_that_was_removed_are_replicated_anew(start: Start) -> None:
    """Row 82."""
    nodes = group(start, "ABC", replication=2)
    a, b, _ = nodes
    keys = fill(a, "leave-", 60)
    for node in (a, b):
        node.membership.remove("C")
    assert eventually(lambda: all(node.local_contains(key) for node in (a, b) for key in keys), timeout_s=60)
    assert eventually(lambda: total([a, b], "rebalanced_keys") > 0, timeout_s=60)


def test_a_joining_replica_is_filled(start: Start) -> None:
    """Row 83."""
    a, b = group(start, "AB", replication=2)
    keys = fill(a, "diff-", 60)
    c = join(start, "C", [a, b], replication=2)
    wanted = {key for key in keys if c.is_owner(key)}
    assert wanted
    assert eventually(lambda: {item.key for item in c.list()} == wanted, timeout_s=60)
    # What B owns no more goes to its primary, which hands it to C as well: that may be earlier than the primary's own round.
    assert eventually(lambda: total([a, b], "rebalanced_replica_diff") > 0, timeout_s=60)


def test_a_limit_per_tick_is_counted_and_everything_comes_in_the_end(start: Start) -> None:
    """Row 84."""
    options = {"replication": 2, "replica_diff_max_per_tick": 1}
    a, b = group(start, "AB", **options)
    keys = fill(a, "limited-", 40)
    c = join(start, "C", [a, b], **options)
    assert eventually(lambda: total([a, b], "rebalance_replica_diff_throttle") > 0, timeout_s=60)
    wanted = {key for key in keys if c.is_owner(key)}
    assert eventually(lambda: {item.key for item in c.list()} == wanted, timeout_s=60)
