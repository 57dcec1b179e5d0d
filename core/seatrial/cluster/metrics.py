"""What a node counts: the recorder, the frozen view, and the names under which peers and dashboards know each figure."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def _figure(otel: str, kind: str = "counter", unit: str = "1") -> Any:
    return field(default=0, metadata={"otel": otel, "kind": kind, "unit": unit})


def _gauge(otel: str, unit: str = "1") -> Any:
    return _figure(otel, "gauge", unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistMetrics:
    """A node's figures. Each is exact; they are not of one moment. ``*_nanos`` are durations of the last run, in nanoseconds."""

    forward_get: int = _figure("dist.forward.get")
    forward_set: int = _figure("dist.forward.set")
    forward_remove: int = _figure("dist.forward.remove")
    replica_fanout_set: int = _figure("dist.replica.fanout.set")
    replica_fanout_remove: int = _figure("dist.replica.fanout.remove")
    read_repair: int = _figure("dist.read.repair")
    read_repair_batched: int = _figure("dist.read.repair.batched")
    read_repair_coalesced: int = _figure("dist.read.repair.coalesced")
    replica_get_miss: int = _figure("dist.replica.get.miss")
    heartbeat_success: int = _figure("dist.heartbeat.success")
    heartbeat_failure: int = _figure("dist.heartbeat.failure")
    indirect_probe_success: int = _figure("dist.heartbeat.indirect_probe.success")
    indirect_probe_failure: int = _figure("dist.heartbeat.indirect_probe.failure")
    indirect_probe_refuted: int = _figure("dist.heartbeat.indirect_probe.refuted")
    drains: int = _figure("dist.drains")
    nodes_suspect: int = _figure("dist.nodes.suspect")
    nodes_dead: int = _figure("dist.nodes.dead")
    nodes_removed: int = _figure("dist.nodes.removed")
    version_conflicts: int = _figure("dist.version.conflicts")
    version_tie_breaks: int = _figure("dist.version.tie_breaks")
    read_primary_promote: int = _figure("dist.read.primary_promote")
    hinted_queued: int = _figure("dist.hinted.queued", unit="{hint}")
    hinted_replayed: int = _figure("dist.hinted.replayed", unit="{hint}")
    hinted_expired: int = _figure("dist.hinted.expired", unit="{hint}")
    hinted_dropped: int = _figure("dist.hinted.dropped", unit="{hint}")
    hinted_global_dropped: int = _figure("dist.hinted.global_dropped", unit="{hint}")
    hinted_bytes: int = _gauge("dist.hinted.bytes", "By")
    migration_hint_queued: int = _figure("dist.migration.queued", unit="{hint}")
    migration_hint_replayed: int = _figure("dist.migration.replayed", unit="{hint}")
    migration_hint_expired: int = _figure("dist.migration.expired", unit="{hint}")
    migration_hint_dropped: int = _figure("dist.migration.dropped", unit="{hint}")
    migration_hint_last_age_nanos: int = _gauge("dist.migration.last_age_ns", "ns")
    merkle_syncs: int = _figure("dist.merkle.syncs")
    merkle_keys_pulled: int = _figure("dist.merkle.keys_pulled")
    merkle_build_nanos: int = _gauge("dist.merkle.last_build_ns", "ns")
    merkle_diff_nanos: int = _gauge("dist.merkle.last_diff_ns", "ns")
    merkle_fetch_nanos: int = _gauge("dist.merkle.last_fetch_ns", "ns")
    auto_sync_loops: int = _figure("dist.auto_sync.loops")
    last_auto_sync_nanos: int = _gauge("dist.auto_sync.last_ns", "ns")
    last_auto_sync_error: str = ""
    auto_sync_clean_ticks: int = _figure("dist.auto_sync.clean_ticks")
    auto_sync_backoff_factor: int = _gauge("dist.auto_sync.backoff_factor")
    chaos_drops: int = _figure("dist.chaos.drops")
    chaos_latencies: int = _figure("dist.chaos.latencies")
    tombstones_active: int = _gauge("dist.tombstones.active")
    tombstones_purged: int = _figure("dist.tombstones.purged")
    write_attempts: int = _figure("dist.write.attempts")
    write_acks: int = _figure("dist.write.acks")
    write_quorum_failures: int = _figure("dist.write.quorum_failures")
    write_forward_promotion: int = _figure("dist.write.forward_promotion")
    write_apply_refused: int = _figure("dist.write.apply_refused")
    rebalanced_keys: int = _figure("dist.rebalance.keys")
    rebalance_batches: int = _figure("dist.rebalance.batches")
    rebalance_throttle: int = _figure("dist.rebalance.throttle")
    rebalance_last_nanos: int = _gauge("dist.rebalance.last_ns", "ns")
    rebalanced_replica_diff: int = _figure("dist.rebalance.replica_diff")
    rebalance_replica_diff_throttle: int = _figure("dist.rebalance.replica_diff_throttle")
    rebalanced_primary: int = _figure("dist.rebalance.primary")
    membership_version: int = _gauge("dist.membership.version")
    members_alive: int = _gauge("dist.members.alive")
    members_suspect: int = _gauge("dist.members.suspect")
    members_dead: int = _gauge("dist.members.dead")

    def to_wire(self) -> dict[str, int | str]:
        """As ``/dist/metrics`` of a Go peer names them: ``ForwardGet``, ``MembersAlive``, ..."""
        return {"".join(word.title() for word in each.name.split("_")): getattr(self, each.name) for each in fields(self)}

    def otel(self) -> dict[str, int]:
        """By OpenTelemetry name; the one figure that is a text is not in it."""
        return {each.metadata["otel"]: getattr(self, each.name) for each in fields(self) if each.metadata}


class Counters:
    """The recorder behind ``DistMetrics``; its names are that record's fields.

    Threading: any thread; ``_lock`` guards ``_values``. An unknown name is a KeyError.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = {each.name: 0 for each in fields(DistMetrics) if each.metadata}

    def add(self, name: str, n: int = 1) -> None:
        """Count ``n`` more."""
        with self._lock:
            self._values[name] += n

    def set(self, name: str, value: int) -> None:
        """Set a gauge."""
        with self._lock:
            self._values[name]
            self._values[name] = value

    def get(self, name: str) -> int:
        """One figure."""
        with self._lock:
            return self._values[name]

    def view(self, others: Mapping[str, Any]) -> DistMetrics:
        """All figures, with ``others`` in place of those that are not counted but looked up."""
        with self._lock:
            return DistMetrics(**(self._values | dict(others)))
