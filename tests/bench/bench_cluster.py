"""The cluster in process: sets and gets, large values, joining, rebalancing, memory per key."""

from __future__ import annotations

import tracemalloc

from seatrial.cluster import Consistency, DistMemory, InProcessTransport, Item, Membership, Node, Ring, setup_in_process_cluster_rf
from tests.bench.harness import Row, at_least, at_most, median_s, seconds

OPERATIONS = 2_000
LARGE = 200
MIB = 1024 * 1024
JOINING = 100
MOVED = 100_000
KEPT = 20_000


def run() -> list[Row]:
    """All rows."""
    return [*_operations(1), *_operations(3), _large_values(), _joining(), _rebalance(), _memory()]


def _operations(replication: int) -> list[Row]:
    quorum = {"read_consistency": Consistency.QUORUM, "write_consistency": Consistency.QUORUM}
    with setup_in_process_cluster_rf(3, replication, **quorum) as cluster:
        node = cluster.nodes[0]
        keys = [key for key in (f"key-{number}" for number in range(3 * OPERATIONS)) if node.ring.lookup(key)[0] == node.local_node_id]
        put_us = median_s(lambda: [node.set(Item(key, b"value")) for key in keys]) / len(keys) * 1e6
        get_us = median_s(lambda: [node.get(key) for key in keys]) / len(keys) * 1e6
        if node.metrics().write_quorum_failures or node.get(keys[0]) is None:
            raise AssertionError("a write was not kept")
    aims = (at_most(40), at_most(15)) if replication == 3 else (None, None)
    name = f"quorum of RF {replication}, on the primary"
    return [
        Row(name=f"set, {name}", measured=put_us, unit="us", aim=aims[0], note=f"{1e6 / put_us:,.0f}/s"),
        Row(name=f"get, {name}", measured=get_us, unit="us", aim=aims[1], note=f"{1e6 / get_us:,.0f}/s"),
    ]


def _large_values() -> Row:
    value = bytes(MIB)
    with setup_in_process_cluster_rf(3, 3) as cluster:
        took_s = median_s(lambda: [cluster.nodes[0].put(f"large-{number}", value) for number in range(LARGE)])
        if cluster.nodes[1].count() != LARGE:
            raise AssertionError("a value was not replicated")
    return Row(
        name="set of 1 MiB values, RF 3", measured=LARGE / took_s, unit="MiB/s", aim=at_least(500), note="values are shared, not copied"
    )


def _joining() -> Row:
    transport = InProcessTransport()
    nodes: list[DistMemory] = []

    def join() -> None:
        for number in range(JOINING):
            membership = Membership(Ring(replication=3))
            node = DistMemory(local_node=Node.new(f"N{number}", f"n{number}:0"), membership=membership, transport=transport, seed=number)
            transport.register(node)
            nodes.append(node)
            if number:
                membership.upsert(Node.new("N0", "n0:0"))
                nodes[0].membership.upsert(Node.new(node.local_node_id, node.local_node_address))
        while any(len(node.membership.list()) < JOINING for node in nodes):
            for node in nodes:
                node.run_gossip_tick()

    try:
        took_s = seconds(join)
        if len({tuple(node.ring.vnode_hashes()) for node in nodes}) != 1:
            raise AssertionError("the rings differ")
    finally:
        for node in nodes:
            node.stop()
    return Row(name=f"{JOINING} nodes join and agree by gossip", measured=took_s, unit="s", note="each builds its own ring")


def _rebalance() -> Row:
    ring = Ring(replication=1)
    membership, transport = Membership(ring), InProcessTransport()

    def node(name: str) -> DistMemory:
        made = DistMemory(local_node=Node.new(name, f"{name}:0"), membership=membership, transport=transport)
        transport.register(made)
        return made

    with node("A") as first:
        for number in range(MOVED):
            first.debug_inject(Item(f"key-{number}", number, version=1, origin="A"))
        with node("B") as second:
            took_s = seconds(first.run_rebalance_tick)
            moved = second.count()
            if first.count() + moved != MOVED or not moved:
                raise AssertionError("keys were lost")
    return Row(name=f"rebalance of {MOVED:,} keys to a second node", measured=took_s, unit="s", note=f"{moved:,} moved")


def _memory() -> Row:
    with setup_in_process_cluster_rf(1, 1) as cluster:
        node = cluster.nodes[0]
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(KEPT):
            node.put(f"key-{number}", b"")
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return Row(name="memory of a key on one node", measured=(after - before) / KEPT, unit="B", note="empty value, key included")
