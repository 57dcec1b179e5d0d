"""Hinted handoff, and the queue of read repairs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.cluster import (
    ApplyResult,
    BackendNotFoundError,
    Consistency,
    Counters,
    DistCluster,
    DistMemory,
    HintQueue,
    HintSource,
    InProcessTransport,
    Item,
    Membership,
    Node,
    QuorumFailedError,
    RepairQueue,
    Ring,
    Tombstone,
    find_owner_key,
)
from seatrial.cluster.hints import Homes
from tests.support.still_clock import StillClock
from tests.support.waiting import eventually

Make = Callable[..., DistCluster]


class Stub(InProcessTransport):
    """Answers every set with ``answer``, or raises it; notes what was sent."""

    def __init__(self, answer: ApplyResult | Exception | None = None) -> None:
        super().__init__()
        self.answer = answer
        self.sent: list[tuple[str, str, bool]] = []

    def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
        self.sent.append((node_id, item.key, replicate))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def queue(counters: Counters, clock: StillClock | None = None, **caps: Any) -> HintQueue:
    return HintQueue(10.0, counters=counters, clock=(clock or StillClock()).monotonic_s, **caps)


def test_global_caps_bound_what_waits(make: Make) -> None:
    """Row 8."""
    cluster = make(2, 2, hint_ttl=60, hint_max_total=3, hint_max_bytes=64, write_consistency=Consistency.ONE)
    a, b = cluster.nodes
    cluster.transport.unregister(b.local_node_id)
    for number in range(30):
        a.put(f"cap-key-{number}", "x" * 30)
    metrics = a.metrics()
    assert metrics.hinted_queued > 0
    assert metrics.hinted_global_dropped > 0
    assert 0 < metrics.hinted_bytes <= 64
    assert a.hinted_queue_size(b.local_node_id) <= 3


def test_a_hint_waits_for_a_replica_that_comes_later() -> None:
    """Row 9; the failed bind on address P is swallowed, and without transport each replica gets a hint (section 27.7)."""
    membership = Membership(Ring(replication=2))
    nodes = {name: Node.new(name, name) for name in ("P", "R")}
    for node in nodes.values():
        membership.upsert(node)
    options: dict[str, Any] = {"membership": membership, "hint_ttl": 60, "write_consistency": Consistency.ONE}
    with (
        DistMemory(local_node=nodes["P"], **options) as primary,
        DistMemory(local_node=nodes["R"], **options) as replica,
    ):
        assert primary.transport is None
        key = find_owner_key(primary, "hint-", ["P", "R"], 1000)
        assert key is not None
        primary.put(key, "v")
        transport = InProcessTransport()
        transport.register(primary)
        primary.set_transport(transport)
        primary.replay_hints()
        assert primary.hinted_queue_size("R") == 1
        transport.register(replica)
        primary.replay_hints()
        assert replica.local_contains(key)
        metrics = primary.metrics()
        assert (metrics.hinted_queued, metrics.hinted_replayed, metrics.hinted_dropped, metrics.hinted_bytes) == (1, 1, 0, 0)


def test_a_transport_error_queues_a_hint_that_a_replay_delivers(make: Make) -> None:
    """Row 10."""
    cluster = make(2, 2, hint_ttl=60, hint_replay_interval=0.01, write_consistency=Consistency.ONE)
    a, b = cluster.nodes
    key = find_owner_key(a, "k", [a.local_node_id, b.local_node_id], 1000)
    assert key is not None
    cluster.transport.unregister(b.local_node_id)
    a.put(key, "v")
    assert a.metrics().hinted_queued == 1
    cluster.transport.register(b)
    assert eventually(lambda: a.metrics().hinted_replayed == 1, timeout_s=60)
    found = b.get(key)
    assert found is not None
    assert found.value == "v"


def test_a_delete_that_a_replica_missed_is_delivered_later(make: Make) -> None:
    """F11."""
    cluster = make(2, 2, hint_ttl=60)
    a, b = cluster.nodes
    key = find_owner_key(a, "k", [a.local_node_id, b.local_node_id], 1000)
    assert key is not None
    a.put(key, "v")
    cluster.transport.unregister(b.local_node_id)
    a.remove(key)
    assert b.local_contains(key)
    cluster.transport.register(b)
    a.replay_hints()
    assert not b.local_contains(key)


def test_a_hint_of_a_deleted_key_does_not_bring_it_back(make: Make) -> None:
    """Extra 2, F2, by way of a hint."""
    cluster = make(2, 2, hint_ttl=60)
    a, b = cluster.nodes
    key = find_owner_key(a, "k", [a.local_node_id, b.local_node_id], 1000)
    assert key is not None
    cluster.transport.unregister(b.local_node_id)
    with pytest.raises(QuorumFailedError):
        a.put(key, "v")
    cluster.transport.register(b)
    a.remove(key)
    a.replay_hints()
    assert not b.local_contains(key)
    assert b.get(key) is None


def test_the_oldest_of_a_node_gives_way_and_a_full_queue_evicts_nothing() -> None:
    """F10."""
    counters = Counters()
    hints = queue(counters, max_per_node=2, max_bytes=20)
    for number in range(3):
        assert hints.queue("A", Item(f"k{number}", "12345"), HintSource.REPLICATION)
    assert [entry.item.key for entry in hints.entries("A")] == ["k1", "k2"]
    assert (counters.get("hinted_dropped"), hints.total, hints.bytes, counters.get("hinted_bytes")) == (1, 2, 14, 14)
    assert not hints.queue("A", Item("big", "x" * 20), HintSource.REPLICATION)
    assert (hints.total, hints.bytes, counters.get("hinted_global_dropped"), counters.get("hinted_dropped")) == (2, 14, 1, 1)
    assert not HintQueue(0, counters=counters).queue("A", Item("k", 1), HintSource.REPLICATION)


def test_migration_hints_are_counted_apart() -> None:
    """White box: TestMigrationHint queue, replay age, global-cap drop."""
    counters, clock = Counters(), StillClock()
    hints = queue(counters, clock, max_total=1)
    assert hints.queue("A", Item("k", 1), HintSource.MIGRATION)
    assert not hints.queue("B", Item("k2", 1), HintSource.MIGRATION)
    clock.advance(2)
    stub = Stub(ApplyResult.APPLIED)
    hints.replay(stub)
    assert stub.sent == [("A", "k", True)]
    figures = ("migration_hint_queued", "migration_hint_dropped", "migration_hint_replayed", "hinted_replayed", "hinted_global_dropped")
    assert [counters.get(name) for name in figures] == [1, 1, 1, 1, 1]
    assert counters.get("migration_hint_last_age_nanos") == 2_000_000_000
    assert hints.total == hints.bytes == 0


@pytest.mark.parametrize("error", [RuntimeError("any"), BackendNotFoundError()])
def test_a_hint_stays_on_any_error(error: Exception) -> None:
    """White box: TestMigrationHint keep on any error, keep on not-found."""
    counters = Counters()
    hints = queue(counters)
    hints.queue("A", Item("k", 1), HintSource.MIGRATION)
    hints.replay(Stub(error))
    assert hints.size_for("A") == 1
    assert counters.get("hinted_replayed") == counters.get("hinted_expired") == 0


def test_an_old_hint_expires_and_a_migrated_key_comes_home() -> None:
    """White box: TestMigrationHint expiry; section 27.1."""
    counters, clock = Counters(), StillClock()
    home: list[str] = []
    homes = Homes(local=lambda: "me", primary=lambda _key: "A", give_back=lambda item: home.append(item.key))
    hints = queue(counters, clock, homes=homes)
    hints.queue("A", Item("moved", 1), HintSource.MIGRATION)
    hints.queue("A", Item("copied", 1), HintSource.REPLICATION)
    clock.advance(11)
    stub = Stub()
    hints.replay(stub)
    assert stub.sent == []
    assert home == ["moved"]
    assert (counters.get("hinted_expired"), counters.get("migration_hint_expired"), hints.total) == (2, 1, 0)


def test_a_refused_replica_hint_is_done_and_a_refused_migration_goes_to_the_current_primary() -> None:
    """Section 27.1."""
    counters = Counters()
    primary = ["A"]
    home: list[str] = []
    homes = Homes(local=lambda: "me", primary=lambda _key: primary[0], give_back=lambda item: home.append(item.key))
    hints = queue(counters, homes=homes)
    hints.queue("A", Item("copied", 1), HintSource.REPLICATION)
    hints.queue("A", Item("moved", 1), HintSource.MIGRATION)
    hints.replay(Stub(ApplyResult.REFUSED))
    assert (counters.get("hinted_replayed"), hints.size_for("A")) == (1, 1)
    primary[0] = "B"
    hints.replay(Stub(ApplyResult.REFUSED))
    assert (hints.size_for("A"), hints.size_for("B"), hints.total, hints.bytes) == (0, 1, 1, 6)
    primary[0] = "me"
    hints.replay(Stub(ApplyResult.REFUSED))
    assert (home, hints.total, hints.bytes) == (["moved"], 0, 0)


def test_a_hint_queued_during_a_replay_is_not_lost() -> None:
    counters = Counters()
    hints = queue(counters)

    class Requeue(Stub):
        def forward_remove(self, node_id: str, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
            hints.queue("A", Item("later", 1), HintSource.REPLICATION)

    hints.queue("A", Item("gone"), HintSource.REPLICATION, tombstone=Tombstone(3, "me", 0.0))
    hints.replay(Requeue())
    assert [entry.item.key for entry in hints.entries("A")] == ["later"]


def test_hints_follow_a_node_to_its_explicit_id() -> None:
    """Section 27.5."""
    hints = queue(Counters())
    hints.queue("derived", Item("k", 1), HintSource.REPLICATION)
    hints.move("derived", "explicit")
    assert (hints.size_for("derived"), hints.size_for("explicit"), hints.total) == (0, 1, 1)


def repairs(stub: Stub | None, size: int = 100, interval: float = 60.0) -> tuple[RepairQueue, Counters]:
    counters = Counters()
    return RepairQueue(interval, size, lambda: stub, counters), counters


def test_repairs_of_one_key_are_merged_to_the_highest() -> None:
    """White box: TestRepairQueue coalescing, per-peer independence."""
    stub = Stub()
    waiting, counters = repairs(stub)
    for version in (1, 3, 2, 3):
        waiting.enqueue("A", Item("k", version, version=version, origin="x"))
    waiting.enqueue("B", Item("k", 1, version=1, origin="x"))
    assert (waiting.pending(), counters.get("read_repair_coalesced")) == (2, 3)
    waiting.flush_peer("A")
    assert (stub.sent, waiting.pending(), counters.get("read_repair_batched")) == ([("A", "k", False)], 1, 1)
    waiting.stop()
    assert ("B", "k", False) in stub.sent


def test_a_batch_is_sent_side_by_side() -> None:
    """White box: TestRepairQueue parallel flush: each of six sends ends only once all six are under way."""
    together = threading.Barrier(6, timeout=30)

    class Meeting(Stub):
        def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
            together.wait()
            return super().forward_set(node_id, item, replicate)

    stub = Meeting()
    waiting, counters = repairs(stub)
    for number in range(6):
        waiting.enqueue("A", Item(f"k{number}", 1, version=1))
    waiting.flush_all()
    assert len(stub.sent) == counters.get("read_repair_batched") == 6
    assert not together.broken


def test_a_full_batch_goes_at_once_and_stop_sends_the_rest() -> None:
    """White box: TestRepairQueue size threshold, stop drains, no transport drops, failed sends count."""
    stub = Stub(RuntimeError("down"))
    waiting, counters = repairs(stub, size=2)
    waiting.start()
    for number in range(3):
        waiting.enqueue("A", Item(f"k{number}", 1, version=1))
    assert eventually(lambda: counters.get("read_repair_batched") == 2, timeout_s=60)
    waiting.stop()
    waiting.stop()
    assert counters.get("read_repair_batched") == 3
    dropped, none_sent = repairs(None)
    dropped.enqueue("A", Item("k", 1))
    dropped.flush_all()
    assert (dropped.pending(), none_sent.get("read_repair_batched")) == (0, 0)


def test_many_threads_lose_no_repair() -> None:
    """White box: TestRepairQueue concurrency."""
    stub = Stub()
    waiting, counters = repairs(stub, size=7)
    threads = [
        threading.Thread(target=lambda n=n: [waiting.enqueue(f"P{n % 2}", Item(f"{n}-{i}", 1, version=1)) for i in range(50)], daemon=True)
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    waiting.stop()
    assert len(stub.sent) == counters.get("read_repair_batched") == 200


def test_a_batched_repair_heals_a_replica(make: Make) -> None:
    """Row 16."""
    quorum = {"read_consistency": Consistency.QUORUM, "read_repair_batch_interval": 0.05, "read_repair_batch_size": 16}
    cluster = make(3, 3, **quorum)
    key = "rr-batch-key"
    owners = [cluster.by_id(owner) for owner in cluster.ring.lookup(key)]
    primary, _, last = owners
    assert primary is not None
    assert last is not None
    primary.put(key, "v")
    last.debug_drop_local(key)
    primary.get(key)
    assert eventually(lambda: last.local_contains(key), timeout_s=60)
    assert eventually(lambda: primary.metrics().read_repair_batched > 0, timeout_s=60)
