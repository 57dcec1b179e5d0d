"""Collecting garbage: find what the snapshots need, copy it out of packs that hold little else, delete the rest.

Safe at every moment: nothing that an index names is deleted before an index without it is in place, and read back.

    mark -> plan -> delete packs that no index names -> copy used blobs into new packs -> new index -> delete old index -> delete packs

Killed anywhere, what remains is a repository with too much in it (and our lock). On any doubt about what is there, it refuses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from seatrial.context import Context
from seatrial.targets.embedded.repository.errors import corrupt
from seatrial.targets.embedded.repository.index import BLOBS_PER_FILE_MAX, Location, PackBlobs
from seatrial.targets.embedded.repository.locks import HeldLock
from seatrial.targets.embedded.repository.packs import Blob, BlobType, pack_size
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.snapshots import decode_snapshot
from seatrial.targets.embedded.repository.store import Entry, Kind, label
from seatrial.targets.embedded.repository.trees import blob_id, read_trees
from seatrial.targets.embedded.repository.writer import BlobWriter
from seatrial.targets.protocols import GcStats

INDEX_FILES_SPARE = 8
"""So many more index files than needed are tolerated before a prune that has nothing else to do merges them."""

_BlobKey = tuple[BlobType, bytes]


@dataclass(slots=True)
class _Plan:
    keep: list[PackBlobs] = field(default_factory=list)
    repack: list[Location] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    """Packs that the old index names and the new one does not."""
    unindexed: list[str] = field(default_factory=list)
    rewrite_index: bool = False


class Prune:
    """One garbage collection, under an exclusive lock. Owner: one operation."""

    def __init__(self, ctx: Context, repository: Repository, lock: HeldLock, *, max_unused_percent: int = 0) -> None:
        if not lock.exclusive:
            raise ValueError("a prune needs an exclusive lock")
        self._ctx, self._repository, self._lock = ctx, repository, lock
        self._max_unused_percent = max_unused_percent
        self._seen: dict[Kind, Sequence[Entry]] = {}
        self.changed = False
        """Whether something was written or deleted: from here on a failure leaves a prune half done."""

    def run(self) -> GcStats:
        """CORRUPT where something that the snapshots need is missing or damaged: then nothing has been deleted."""
        used = self._mark()
        stored = {entry.name: entry.size for entry in self._list(Kind.PACK)}
        plan = self._plan(used, stored)
        if not (plan.repack or plan.delete or plan.unindexed or plan.rewrite_index):
            return GcStats()
        self._assert_unchanged()
        self.changed = True
        self._delete(Kind.PACK, plan.unindexed)
        writer = BlobWriter(self._repository, self._lock)
        if plan.rewrite_index:
            self._rewrite(plan, writer)
        self._delete(Kind.PACK, plan.delete)
        gone = [*plan.unindexed, *plan.delete]
        freed = sum(stored[name] for name in gone) - sum(writer.packs.values())
        return GcStats(
            freed_bytes=max(0, freed), repacked_bytes=sum(location.blob.length for location in plan.repack), deleted_packs=len(gone)
        )

    def _list(self, kind: Kind) -> Sequence[Entry]:
        """What is there, remembered. A place that does not exist is an error here: an empty answer means that all may go."""
        self._seen[kind] = self._repository.store.entries(self._ctx, kind)
        return self._seen[kind]

    # --- what the snapshots need

    def _mark(self) -> set[_BlobKey]:
        ctx, repository = self._ctx, self._repository
        ctx.progress.start("mark", unit="trees")
        roots: set[bytes] = set()
        for entry in self._list(Kind.SNAPSHOT):
            self._lock.keep(ctx)
            snapshot = decode_snapshot(repository.load_listed(ctx, Kind.SNAPSHOT, entry.name), entry.name)
            roots.add(blob_id(snapshot.tree, label(Kind.SNAPSHOT, entry.name)))
        repository.refresh_index(ctx, self._list(Kind.INDEX))
        used: set[_BlobKey] = {(BlobType.TREE, root) for root in roots}
        level = roots
        while level:
            below: set[bytes] = set()
            for tree, nodes in read_trees(ctx, repository, level):
                self._lock.keep(ctx)
                ctx.progress.advance(1)
                where = f"tree {tree.hex()}"
                for node in nodes:
                    used.update((BlobType.DATA, blob_id(text, where)) for text in node.content or ())
                    if node.subtree:
                        below.add(blob_id(node.subtree, where))
            level = {tree for tree in below if (BlobType.TREE, tree) not in used}
            used.update((BlobType.TREE, tree) for tree in level)
        return used

    # --- what to do about it

    def _plan(self, used: set[_BlobKey], stored: dict[str, int]) -> _Plan:
        packs = self._repository.index.packs()
        sound = {name for name, blobs in packs.items() if stored.get(name) == pack_size(blobs)}
        chosen = _choose_copies(used, packs, sound)
        needed: defaultdict[str, list[Blob]] = defaultdict(list)
        for key in used:
            location = chosen.get(key)
            if location is None:
                raise corrupt("a snapshot needs this blob, and no pack of the right size has it: nothing deleted", _name(key))
            needed[location.pack].append(location.blob)
        plan = _Plan(unindexed=sorted(stored.keys() - packs.keys()))
        partly: list[PackBlobs] = []
        for name, blobs in sorted(packs.items()):
            if name not in needed:
                plan.rewrite_index = True
                if name in stored:
                    plan.delete.append(name)
            elif len(needed[name]) == len(blobs):
                plan.keep.append(PackBlobs(name, blobs))
            else:
                partly.append(PackBlobs(name, blobs))
        self._choose_repacks(plan, partly, needed)
        files, blob_count = len(self._seen[Kind.INDEX]), sum(map(len, packs.values()))
        plan.rewrite_index |= bool(plan.repack) or files > INDEX_FILES_SPARE + 2 * blob_count // BLOBS_PER_FILE_MAX
        return plan

    def _choose_repacks(self, plan: _Plan, partly: list[PackBlobs], needed: dict[str, list[Blob]]) -> None:
        """Leave the packs with the smallest share of unused bytes alone, as long as the allowance covers them."""
        unused = {pack.name: sum(b.length for b in pack.blobs) - sum(b.length for b in needed[pack.name]) for pack in partly}
        used_bytes = sum(blob.length for blobs in needed.values() for blob in blobs)
        kept = self._max_unused_percent
        # unused / (unused + used) <= kept / 100
        allowance = float("inf") if kept >= 100 else used_bytes * kept / (100 - kept)
        for pack in sorted(partly, key=lambda pack: (unused[pack.name] / pack_size(pack.blobs), pack.name)):
            allowance -= unused[pack.name]
            if allowance >= 0:
                plan.keep.append(pack)
            else:
                plan.repack.extend(Location(pack.name, blob) for blob in needed[pack.name])
                plan.delete.append(pack.name)

    # --- doing it

    def _assert_unchanged(self) -> None:
        """Nobody may have changed anything while we hold the lock, so a listing that differs now was wrong, then or now: refuse."""
        self._lock.assert_held(self._ctx)
        for kind in (Kind.SNAPSHOT, Kind.INDEX, Kind.PACK):
            before = {entry.name for entry in self._seen[kind]}
            now = {entry.name for entry in self._repository.store.entries(self._ctx, kind)}
            if before != now:
                raise corrupt(
                    f"two listings under an exclusive lock differ ({len(now - before)} new, {len(before - now)} gone): nothing deleted",
                    kind.value,
                )

    def _rewrite(self, plan: _Plan, writer: BlobWriter) -> None:
        ctx, repository = self._ctx, self._repository
        ctx.progress.start("repack", sum(location.blob.length for location in plan.repack))
        for blob, _, sealed in repository.read_blobs(ctx, plan.repack):
            writer.copy(ctx, blob.type, blob.id, sealed, blob.uncompressed)
            self._lock.keep(ctx)
            ctx.progress.advance(blob.length)
        writer.write_index(ctx, plan.keep + writer.close_packs(ctx))
        self._verify_written(writer)
        self._delete(Kind.INDEX, [entry.name for entry in self._seen[Kind.INDEX]])

    def _verify_written(self, writer: BlobWriter) -> None:
        """An acknowledged upload that is not there must be found out before what it replaces is deleted."""
        ctx, repository = self._ctx, self._repository
        for name in writer.indexes:
            repository.load_listed(ctx, Kind.INDEX, name)
        stored = {entry.name: entry.size for entry in repository.store.entries(ctx, Kind.PACK)}
        listed = {entry.name for entry in repository.store.entries(ctx, Kind.INDEX)}
        lost = [name for name in writer.indexes if name not in listed]
        lost += [name for name, size in writer.packs.items() if stored.get(name) != size]
        if lost:
            raise corrupt(f"{len(lost)} acknowledged uploads are not there as sent, first {lost[0]}: old files kept", "prune")
        self._lock.assert_held(ctx)

    def _delete(self, kind: Kind, names: list[str]) -> None:
        self._ctx.progress.start("delete", len(names), "files")
        for name in names:
            self._ctx.check()
            self._lock.keep(self._ctx)
            self._repository.store.delete(self._ctx, kind, name)
            self._ctx.progress.advance(1)


def _choose_copies(used: set[_BlobKey], packs: dict[str, list[Blob]], sound: set[str]) -> dict[_BlobKey, Location]:
    """One copy of each used blob, out of sound packs; where there are several, in the pack that is needed most anyway."""
    copies: defaultdict[_BlobKey, list[Location]] = defaultdict(list)
    for name in sorted(sound):
        for blob in packs[name]:
            if (blob.type, blob.id) in used:
                copies[blob.type, blob.id].append(Location(name, blob))
    needed_bytes: defaultdict[str, int] = defaultdict(int)
    for places in copies.values():
        if len(places) == 1:
            needed_bytes[places[0].pack] += places[0].blob.length
    return {key: max(places, key=lambda place: (needed_bytes[place.pack], place.pack)) for key, places in copies.items()}


def _name(key: _BlobKey) -> str:
    return f"{key[0].word} blob {key[1].hex()}"
