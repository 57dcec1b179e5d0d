"""Merkle anti-entropy: pulling from a peer what differs."""

from __future__ import annotations

import builtins
import threading
from dataclasses import dataclass
from functools import partial

from seatrial.cluster.attempts import attempt
from seatrial.cluster.backoff import AutoSyncBackoff
from seatrial.cluster.core import NodeCore
from seatrial.cluster.errors import NoTransportError
from seatrial.cluster.items import Tombstone
from seatrial.cluster.merkle import MerkleEntry, MerkleTree, build_sorted
from seatrial.cluster.shards import Applied
from seatrial.cluster.transport import Transport


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one pull found: whether the two agreed, differing leaves, keys that were missing here, items pulled, tombstones adopted."""

    clean: bool
    diff_leaves: int
    missing: int
    pulled: int
    tombstoned: int


@dataclass(slots=True)
class _Tally:
    pulled: int = 0
    tombstoned: int = 0


class Sync:
    """Anti-entropy of one node.

    Threading: any thread; ``_ticking`` lets one tick run at a time and guards ``_turn``, ``backoff`` and ``last_error``.
    """

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._ticking = threading.Lock()
        self._turn = 0
        self.last_error = ""
        self.backoff = AutoSyncBackoff(core.options.merkle_max_backoff_factor)
        core.counters.set("auto_sync_backoff_factor", self.backoff.factor)

    def tree(self, scope: str = "") -> MerkleTree:
        """The tree of this node's keys, or of those that it owns together with ``scope``."""
        return build_sorted(self._entries(scope), self._core.options.merkle_chunk_size, scope)

    def pull(self, peer: str, *, owned_only: bool = False) -> SyncResult:
        """Adopt what a peer has newer. Raises NoTransportError, or what fetching its tree raised."""
        core = self._core
        transport = core.transport
        if transport is None:
            raise NoTransportError
        remote = self._fetch(transport, peer, core.id if owned_only else "")
        scoped = owned_only and remote.scope == core.id
        started = core.clock.monotonic_s()
        mine = self._entries(peer if scoped else "")
        local = build_sorted(mine, core.options.merkle_chunk_size)
        self._note("merkle_build_nanos", started)
        started = core.clock.monotonic_s()
        differing = local.diff_leaf_ranges(remote)
        self._note("merkle_diff_nanos", started)
        tally = _Tally()
        missing: list[str] = []
        if local.leaf_hashes != remote.leaf_hashes:  # equal trees hold the same keys and tombstones
            missing = self._missing(transport, peer, mine, owned_only)
            self._adopt_tombstones(transport, peer, owned_only, tally)
        size = local.chunk_size
        changed = [key for index in differing for key, _, _ in mine[index * size : (index + 1) * size]]
        for key in [*changed, *missing]:
            if core.lifecycle.is_set():
                break
            if not owned_only or self._shared(key, peer):
                self._reconcile(transport, peer, key, tally)
        if owned_only and not scoped:
            clean = not tally.pulled and not tally.tombstoned
        else:
            clean = not differing and not missing and not tally.tombstoned
        if not clean:
            core.counters.add("merkle_syncs")
        return SyncResult(clean, len(differing), len(missing), tally.pulled, tally.tombstoned)

    def tick(self) -> bool:
        """Pull from the next peers in turn; True where at least one was asked and none had anything new."""
        core = self._core
        with self._ticking:
            started = core.clock.monotonic_s()
            peers = self._next_peers()
            error_text, asked, dirty = "", 0, False
            for peer in peers:
                if core.lifecycle.is_set():
                    break
                result, error = attempt(partial(self.pull, owned_only=True), peer)
                if result is None:
                    error_text, dirty = str(error), True
                    continue
                asked += 1
                dirty = dirty or not result.clean
            self._note("last_auto_sync_nanos", started)
            self.last_error = error_text
            core.counters.add("auto_sync_loops")
            clean = asked > 0 and not dirty
            self._back_off(clean)
            return clean

    def _back_off(self, clean: bool) -> None:
        core, before = self._core, self.backoff.factor
        self.backoff.update(clean)
        if self.backoff.factor != before:
            core.log.info("merkle auto-sync backoff factor changed", extra={"from": before, "to": self.backoff.factor, "clean": clean})
        core.counters.set("auto_sync_backoff_factor", self.backoff.factor)
        core.counters.set("auto_sync_clean_ticks", self.backoff.clean_ticks)

    def _next_peers(self) -> builtins.list[str]:
        core = self._core
        peers = [node.id for node in core.membership.list() if node.id != core.id]
        count = core.options.merkle_auto_sync_peers
        if count <= 0 or count >= len(peers):
            return peers
        start = self._turn % len(peers)
        self._turn = start + count
        return [*peers[start:], *peers[:start]][:count]

    def _fetch(self, transport: Transport, peer: str, scope: str) -> MerkleTree:
        started = self._core.clock.monotonic_s()
        tree, error = attempt(transport.fetch_merkle, peer, scope)
        self._note("merkle_fetch_nanos", started)
        if error is not None:
            self._core.log.warning("merkle sync fetch failed", extra={"peer_id": peer, "err": str(error)})
            raise error
        return tree if tree is not None else MerkleTree()

    def _note(self, name: str, started: float) -> None:
        self._core.counters.set(name, int((self._core.clock.monotonic_s() - started) * 1e9))

    def _entries(self, scope: str) -> builtins.list[MerkleEntry]:
        entries = self._core.shards.entries()
        if scope:
            entries = [entry for entry in entries if self._shared(entry.key, scope)]
        entries.sort()
        return entries

    def _shared(self, key: str, peer: str) -> bool:
        owners = self._core.ring.owners(key)
        return self._core.id in owners and peer in owners

    def _missing(self, transport: Transport, peer: str, mine: builtins.list[MerkleEntry], owned_only: bool) -> builtins.list[str]:
        remote, _ = attempt(transport.list_keys, peer)
        cap = self._core.options.list_keys_cap
        listed = (remote or [])[:cap] if cap else remote or []
        held = {entry.key for entry in mine}
        return sorted(key for key in set(listed) - held if not owned_only or self._shared(key, peer))

    def _adopt_tombstones(self, transport: Transport, peer: str, owned_only: bool, tally: _Tally) -> None:
        tombs, _ = attempt(transport.list_tombstones, peer)
        for key, tomb in (tombs or {}).items():
            if not owned_only or self._shared(key, peer):
                tally.tombstoned += self._bury(key, tomb)

    def _bury(self, key: str, tomb: Tombstone) -> bool:
        # ``at`` is of the peer's monotonic clock; here it is young.
        return self._core.bury(key, Tombstone(tomb.version, tomb.origin, self._core.clock.monotonic_s()))

    def _reconcile(self, transport: Transport, peer: str, key: str, tally: _Tally) -> None:
        core = self._core
        entry, error = attempt(transport.forward_entry, peer, key)
        if error is not None or entry is None:
            return
        item, tomb = entry
        if item is not None:
            if core.apply(item) is Applied.CHANGED:
                core.counters.add("merkle_keys_pulled")
                tally.pulled += 1
        elif tomb is not None:
            tally.tombstoned += self._bury(key, tomb)
        elif core.options.merkle_infer_deletes and peer in core.ring.owners(key):
            shard = core.shards.of(key)
            if shard.entry(key)[0] is not None:
                shard.delete_unversioned(key, core.versions, core.id, core.clock.monotonic_s())
                tally.tombstoned += 1
