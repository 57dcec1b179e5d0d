"""Is everything there, and is it what was written? Reads on where it finds damage, and names packs, blobs, snapshots and paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from seatrial.context import Context
from seatrial.targets.embedded.repository.crypto import sha256
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.locks import HeldLock
from seatrial.targets.embedded.repository.packs import Blob, BlobType, pack_size, parse_header
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.snapshots import Snapshot, confirm_vanished, load_snapshot
from seatrial.targets.embedded.repository.store import Entry, Kind, label
from seatrial.targets.embedded.repository.trees import NODE_TYPES, Node, blob_id, name_of, read_trees
from seatrial.targets.protocols import Verification

PROBLEMS_MAX = 200
PATHS_PER_SNAPSHOT = 5
_DAMAGE = (Cause.CORRUPT, Cause.GONE, Cause.MISSING, Cause.UNSUPPORTED)
"""Everything else says something about the way to the repository, not about the repository."""


class Check:
    """One verification, under a lock, shared or exclusive. Owner: one operation. Memory: one pack, the shape of all trees."""

    def __init__(self, ctx: Context, repository: Repository, lock: HeldLock) -> None:
        self._ctx, self._repository, self._lock = ctx, repository, lock
        self._problems: list[str] = []
        self._dropped = 0
        self._damaged: dict[tuple[BlobType, bytes], str] = {}
        """Blobs that cannot be read, and why."""
        self._children: dict[bytes, list[tuple[str, bytes]]] = {}
        """By tree: (name, tree) of each directory below."""
        self._faults: defaultdict[bytes, list[str]] = defaultdict(list)
        """By tree: what is wrong in it."""

    def run(self, *, read_data: bool) -> Verification:
        """Structure, and with ``read_data`` every byte. Raises for a store that does not answer, not for damage."""
        # In the order of a reader: whatever a snapshot listed now refers to is in an index listed later, and in a pack listed last.
        snapshots = self._snapshots()
        self._index()
        packs = self._repository.index.packs()
        stored = {entry.name: entry.size for entry in self._entries(Kind.PACK)}
        sound = self._packs(packs, stored)
        if read_data:
            self._ctx.progress.start("read packs", len(sound), "packs")
            for name in sound:
                self._read_pack(name, packs[name])
                self._ctx.progress.advance(1)
        self._trees({blob_id(snapshot.tree, label(Kind.SNAPSHOT, name)) for name, snapshot in snapshots.items()})
        for name, snapshot in sorted(snapshots.items()):
            self._judge_snapshot(name, bytes.fromhex(snapshot.tree))
        read = "read in full" if read_data else "not read"
        lines = [
            f"{len(snapshots)} snapshots, {len(self._children)} trees, {len(packs)} packs in the index ({read})",
            f"{len(stored.keys() - packs.keys())} packs that no index names (no damage: a prune deletes them)",
        ]
        if self._dropped:
            lines.append(f"{self._dropped} further problems are not shown")
        return Verification(clean=not self._problems, problems=self._problems, output="\n".join(lines + self._problems))

    def _problem(self, text: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(text)
        else:
            self._dropped += 1

    def _damage(self, error: RepositoryError) -> None:
        """Note damage; anything else is not for us."""
        if error.cause not in _DAMAGE:
            raise error
        self._problem(str(error))

    def _entries(self, kind: Kind) -> Iterable[Entry]:
        try:
            return self._repository.store.entries(self._ctx, kind)
        except RepositoryError as error:
            self._damage(error)
            return ()

    # --- files

    def _snapshots(self) -> dict[str, Snapshot]:
        found: dict[str, Snapshot] = {}
        vanished: dict[str, RepositoryError] = {}
        for entry in self._entries(Kind.SNAPSHOT):
            self._step()
            try:
                found[entry.name] = load_snapshot(self._ctx, self._repository, entry.name)
                blob_id(found[entry.name].tree, label(Kind.SNAPSHOT, entry.name))
            except RepositoryError as error:
                found.pop(entry.name, None)
                if error.cause is Cause.MISSING:
                    vanished[entry.name] = error  # deletions need no exclusive lock
                else:
                    self._damage(error)
        try:
            confirm_vanished(self._ctx, self._repository, vanished)
        except RepositoryError as error:
            self._damage(error)
        return found

    def _index(self) -> None:
        listed = list(self._entries(Kind.INDEX))
        try:
            self._repository.refresh_index(self._ctx, listed)
        except RepositoryError as error:
            if error.cause not in _DAMAGE:
                raise
            self._repository.refresh_index(self._ctx, self._sound_indexes(listed))

    def _sound_indexes(self, listed: list[Entry]) -> list[Entry]:
        """One by one, to name all that are damaged."""
        sound: list[Entry] = []
        for entry in listed:
            self._step()
            try:
                self._repository.refresh_index(self._ctx, [*sound, entry])
                sound.append(entry)
            except RepositoryError as error:
                self._damage(error)
        return sound

    def _packs(self, packs: dict[str, list[Blob]], stored: dict[str, int]) -> list[str]:
        """Packs against the listing; names of those worth reading."""
        sound = []
        for name, blobs in sorted(packs.items()):
            where, size = label(Kind.PACK, name), stored.get(name)
            fault = ""
            if size is None:
                fault = "is missing; the index names it"
            elif size != pack_size(blobs):
                fault = f"has {size} bytes, by the index it must have {pack_size(blobs)}"
            elif any(blob.offset != end for blob, end in zip(blobs, _ends(blobs), strict=False)):
                fault = "has gaps or overlaps between its blobs, by the index"
            if fault:
                self._problem(f"{where}: {fault}")
            if size is None:
                self._mark_damaged(blobs, f"its pack {name} is missing")
            else:
                sound.append(name)
        return sound

    def _mark_damaged(self, blobs: Iterable[Blob], why: str) -> None:
        for blob in blobs:
            self._damaged[blob.type, blob.id] = why

    def _read_pack(self, name: str, blobs: list[Blob]) -> None:
        self._step()
        where = label(Kind.PACK, name)
        try:
            pack = self._repository.store.get(self._ctx, Kind.PACK, name)
        except RepositoryError as error:
            self._damage(error)
            self._mark_damaged(blobs, f"its pack {name} cannot be read")
            return
        if sha256(pack) != name:
            self._problem(f"{where}: its {len(pack)} bytes are not what its name says")
        try:
            header = parse_header(self._repository.key, pack, where)
            if set(header) != set(blobs):
                self._problem(f"{where}: header and index disagree about its blobs")
        except RepositoryError as error:
            error.where = where
            self._damage(error)
        view = memoryview(pack)
        for blob in blobs:
            try:
                self._repository.open_blob(name, blob, view[blob.offset : blob.offset + blob.length])
            except RepositoryError as error:
                self._damage(error)
                self._mark_damaged([blob], f"damaged in pack {name}")

    def _step(self) -> None:
        self._ctx.check()
        self._lock.keep(self._ctx)

    # --- trees

    def _trees(self, roots: set[bytes]) -> None:
        level = roots
        self._ctx.progress.start("trees", unit="trees")
        while level:
            below: set[bytes] = set()
            for tree, nodes in self._readable(level):
                self._step()
                self._ctx.progress.advance(1)
                self._children[tree] = []
                for node in nodes:
                    self._node(tree, node)
                below.update(child for _, child in self._children[tree])
            level = below - self._children.keys()

    def _readable(self, level: set[bytes]) -> Iterator[tuple[bytes, list[Node]]]:
        """The trees of a level that can be read; the others are noted as damaged, so that the level is first read in one go."""
        done: set[bytes] = set()
        try:
            for tree, nodes in read_trees(self._ctx, self._repository, level):
                done.add(tree)
                yield tree, nodes
            return
        except RepositoryError as error:
            if error.cause not in _DAMAGE:
                raise
        for tree in level - done:
            try:
                yield from read_trees(self._ctx, self._repository, [tree])
            except RepositoryError as error:
                if error.cause not in _DAMAGE:
                    raise
                self._children[tree] = []
                self._faults[tree].append(f"unreadable: {error}")

    def _node(self, tree: bytes, node: Node) -> None:
        where = f"tree {tree.hex()}"
        try:
            name_of(node, where)
            if node.type not in NODE_TYPES:
                self._faults[tree].append(f"{node.name}: an entry of type {node.type!r}")
            if node.type == "dir":
                self._children[tree].append((node.name, blob_id(node.subtree, where)))
            elif node.type == "file":
                self._content(tree, node, where)
        except RepositoryError as error:
            self._faults[tree].append(str(error))

    def _content(self, tree: bytes, node: Node, where: str) -> None:
        if node.content is None:
            self._faults[tree].append(f"{node.name}: a file without a content list")
            return
        for text in node.content:
            data_id = blob_id(text, where)
            why = self._damaged.get((BlobType.DATA, data_id))
            if self._repository.index.find(BlobType.DATA, data_id) is None:
                why = "in no index"
            if why is not None:
                self._faults[tree].append(f"{node.name}: data blob {text[:16]}: {why}")
                return

    def _judge_snapshot(self, name: str, root: bytes) -> None:
        """Name a snapshot that reaches something damaged, with the first paths hit."""
        if not self._faults:
            return
        seen, waiting = {root}, [("", root)]
        found: list[str] = []
        while waiting:
            path, tree = waiting.pop()
            found.extend(f"{path}/{fault}" for fault in self._faults.get(tree, ()))
            for child_name, child in self._children.get(tree, ()):
                if child not in seen:
                    seen.add(child)
                    waiting.append((f"{path}/{child_name}", child))
        for fault in found[:PATHS_PER_SNAPSHOT]:
            self._problem(f"{label(Kind.SNAPSHOT, name)}: {fault}")
        if len(found) > PATHS_PER_SNAPSHOT:
            self._problem(f"{label(Kind.SNAPSHOT, name)}: {len(found) - PATHS_PER_SNAPSHOT} further entries are hit")


def _ends(blobs: list[Blob]) -> Iterator[int]:
    """Where each blob has to begin."""
    end = 0
    for blob in blobs:
        yield end
        end = blob.offset + blob.length
