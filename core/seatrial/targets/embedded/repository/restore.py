"""Writing a snapshot's source directory back. Nothing is ever written outside the destination.

Level by level: directories first, then the content of files in batches ordered by pack, then hard links and symlinks, and last the
directories' own modes and times, deepest first. Every directory is one that we have just made, and names within a directory are
checked to be plain and unique, so that no name and no link leads out.
"""

# ruff: noqa: PTH101, PTH102, PTH118, PTH211 - paths are bytes or descriptors here: names need not be text

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from pathlib import Path

from seatrial.context import Context
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError, corrupt
from seatrial.targets.embedded.repository.index import Location
from seatrial.targets.embedded.repository.locks import HeldLock
from seatrial.targets.embedded.repository.packs import BlobType
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.snapshots import Snapshot
from seatrial.targets.embedded.repository.trees import (
    NODE_TYPES,
    Node,
    blob_id,
    decode_base64,
    link_target_of,
    name_of,
    permissions_of,
    read_trees,
    write_xattr,
)

BATCH_PIECES = 20_000
"""So many pieces of files are planned, then fetched in the order of the packs."""
OPEN_FILES_MAX = 16
HOLE_BYTES = 64 << 10
"""A piece of at least this that is all zeros is left out: it reads the same and takes no space."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KNOWN_FILE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Task:
    """A file being written: how many of its pieces are still missing."""

    __slots__ = ("created", "missing", "node", "path", "size")

    def __init__(self, path: bytes, node: Node) -> None:
        self.path, self.node = path, node
        self.missing = len(node.content or ())
        self.size, self.created = 0, False


class Restore:
    """One restore. Owner: one operation. Memory: the directories of the tree, one batch of pieces, one part of a pack."""

    def __init__(self, ctx: Context, repository: Repository, lock: HeldLock) -> None:
        self._ctx, self._repository, self._lock = ctx, repository, lock
        self._as_root = os.geteuid() == 0
        self._pieces: dict[bytes, tuple[Location, list[tuple[_Task, int]]]] = {}
        self._planned = 0
        self._links: list[tuple[bytes, bytes]] = []
        self._symlinks: list[tuple[bytes, Node]] = []
        self._linked: dict[tuple[int, int], bytes] = {}
        self._files: OrderedDict[bytes, int] = OrderedDict()
        self._into = b""

    def run(self, snapshot: Snapshot, into: Path, where: str) -> None:
        """Write the content of the snapshot's source directory into ``into``, an empty directory that exists."""
        self._ctx.progress.start("restore")
        self._into = os.fsencode(into)
        root, tree = source_tree(self._ctx, self._repository, snapshot, where)
        directories: list[tuple[bytes, Node]] = [(self._into, root)] if root is not None else []
        level = [(self._into, tree)]
        try:
            while level:
                level = self._level(level, directories)
            self._flush()
        finally:
            self._close_files()
        self._finish(directories)

    def _level(self, level: list[tuple[bytes, bytes]], directories: list[tuple[bytes, Node]]) -> list[tuple[bytes, bytes]]:
        """Make everything in these directories; the directories below them."""
        paths: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for path, tree in level:
            paths[tree].append(path)
        below: list[tuple[bytes, bytes]] = []
        for tree, nodes in read_trees(self._ctx, self._repository, paths):
            where = f"tree {tree.hex()}"
            names = [name_of(node, where) for node in nodes]
            if len(set(names)) != len(names):
                raise corrupt("two entries of one name", where)
            for path in paths[tree]:
                for name, node in zip(names, nodes, strict=True):
                    below.extend(self._node(os.path.join(path, name), node, where, directories))
        return below

    def _node(self, path: bytes, node: Node, where: str, directories: list[tuple[bytes, Node]]) -> Iterator[tuple[bytes, bytes]]:
        self._ctx.check()
        self._lock.keep(self._ctx)
        if node.type == "dir":
            os.mkdir(path, 0o700)
            directories.append((path, node))
            yield path, blob_id(node.subtree, where)
        elif node.type == "file":
            self._plan_file(path, node, where)
        elif node.type == "symlink":
            self._symlinks.append((path, node))
        elif node.type in NODE_TYPES:
            self._special(path, node)
        else:
            raise corrupt(f"an entry of type {node.type!r}", where)

    def _special(self, path: bytes, node: Node) -> None:
        if self._is_link(path, node) or node.type == "socket":
            return  # a socket means nothing without the process that listens
        if node.type == "fifo":
            os.mkfifo(path, 0o600)
        else:
            os.mknod(path, 0o600 | (stat.S_IFBLK if node.type == "dev" else stat.S_IFCHR), node.device)
        self._set_metadata(path, node)

    def _is_link(self, path: bytes, node: Node) -> bool:
        """Whether this is another name of something restored already; the link is made at the end."""
        if node.links <= 1:
            return False
        first = self._linked.setdefault((node.device_id, node.inode), path)
        if first != path:
            self._links.append((first, path))
        return first != path

    # --- files

    def _plan_file(self, path: bytes, node: Node, where: str) -> None:
        if self._is_link(path, node):
            return
        if node.content is None:
            raise corrupt(f"the file {node.name!r} has no content list", where)
        task, offset = _Task(path, node), 0
        for text in node.content:
            location, places = self._piece(blob_id(text, where), path)
            places.append((task, offset))
            offset += location.blob.size
        task.size = offset
        self._ctx.progress.total += offset
        if not task.missing:
            with self._created(task) as handle:
                self._set_metadata(handle, node)
        self._planned += len(node.content)
        if self._planned >= BATCH_PIECES:
            self._flush()

    def _piece(self, data_id: bytes, path: bytes) -> tuple[Location, list[tuple[_Task, int]]]:
        """Where a blob is, and which files of this batch want it so far."""
        piece = self._pieces.get(data_id)
        if piece is None:
            location = self._repository.index.find(BlobType.DATA, data_id)
            if location is None:
                raise corrupt(f"in no index; {os.fsdecode(path)} needs it", f"data blob {data_id.hex()}")
            piece = self._pieces[data_id] = (location, [])
        return piece

    def _flush(self) -> None:
        pieces, self._pieces, self._planned = self._pieces, {}, 0
        locations = [location for location, _ in pieces.values()]
        try:
            for blob, plain, _ in self._repository.read_blobs(self._ctx, locations):
                self._lock.keep(self._ctx)
                for task, offset in pieces.pop(blob.id)[1]:
                    self._write(task, offset, plain)
                    self._ctx.progress.advance(len(plain))
        except RepositoryError as error:
            error.path = self._hit(error, pieces)
            raise

    def _hit(self, error: RepositoryError, left: dict[bytes, tuple[Location, list[tuple[_Task, int]]]]) -> str:
        """The first file, by name, that needs the stored bytes at fault; empty where the error names none."""
        paths = {
            task.path
            for blob, (location, places) in left.items()
            if location.pack == error.pack and error.blob in (b"", blob)
            for task, _ in places
        }
        return gojson.quote(os.path.relpath(min(paths), self._into)) if paths else ""

    def _write(self, task: _Task, offset: int, plain: bytes) -> None:
        task.missing -= 1
        if task.size == len(plain):
            # Most files are one piece: written and finished with one descriptor.
            with self._created(task) as handle:
                self._fill(handle, task, offset, plain)
            return
        handle = self._files.pop(task.path, -1)
        if handle < 0:
            handle = os.open(task.path, _KNOWN_FILE if task.created else _NEW_FILE, 0o600)
            task.created = True
        self._files[task.path] = handle
        self._fill(handle, task, offset, plain)
        if not task.missing:
            os.close(self._files.pop(task.path))
        elif len(self._files) > OPEN_FILES_MAX:
            os.close(self._files.popitem(last=False)[1])

    def _fill(self, handle: int, task: _Task, offset: int, plain: bytes) -> None:
        if not (len(plain) >= HOLE_BYTES and _all_zero(plain)):
            view = memoryview(plain)
            while view:
                written = os.pwrite(handle, view, offset)
                view, offset = view[written:], offset + written
        if not task.missing:
            if os.fstat(handle).st_size != task.size:
                os.ftruncate(handle, task.size)  # it ends in a hole
            self._set_metadata(handle, task.node)

    @staticmethod
    @contextlib.contextmanager
    def _created(task: _Task) -> Iterator[int]:
        handle = os.open(task.path, _NEW_FILE, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)

    def _close_files(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    # --- at the end

    def _finish(self, directories: list[tuple[bytes, Node]]) -> None:
        for first, path in self._links:
            os.link(first, path, follow_symlinks=False)
        for path, node in self._symlinks:
            self._symlink(path, node)
        for path, node in reversed(directories):
            self._set_metadata(path, node)

    def _symlink(self, path: bytes, node: Node) -> None:
        first = self._linked.setdefault((node.device_id, node.inode), path) if node.links > 1 else path
        if first != path:
            os.link(first, path, follow_symlinks=False)
            return
        os.symlink(link_target_of(node, f"symlink {os.fsdecode(path)}"), path)
        if self._as_root:
            os.lchown(path, node.uid, node.gid)
        self._set_xattrs(path, node)
        at_ns = gojson.parse_time(node.mtime)
        os.utime(path, ns=(at_ns, at_ns), follow_symlinks=False)

    def _set_metadata(self, target: bytes | int, node: Node) -> None:
        """Owner first, because changing it clears setuid; times last, because everything else changes them."""
        if self._as_root:
            os.chown(target, node.uid, node.gid)
        self._set_xattrs(target, node)
        os.chmod(target, permissions_of(node))
        at_ns = gojson.parse_time(node.mtime)
        os.utime(target, ns=(at_ns, at_ns))

    def _set_xattrs(self, target: bytes | int, node: Node) -> None:
        for xattr in node.extended_attributes:
            value = decode_base64(xattr.value or "", f"extended attribute {xattr.name} of {node.name}")
            try:
                write_xattr(target, os.fsencode(xattr.name), value)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES):  # not for us, or not on this file system
                    raise


def source_tree(ctx: Context, repository: Repository, snapshot: Snapshot, where: str) -> tuple[Node | None, bytes]:
    """(node, tree id) of the directory that was backed up: the root tree mirrors its whole path.

    No node where restic was told to back up ``.``: the root tree is then the directory itself.
    """
    if len(snapshot.paths) != 1:
        raise RepositoryError(f"a snapshot of {len(snapshot.paths)} paths; only one is restored", cause=Cause.UNSUPPORTED, where=where)
    parts = [os.fsencode(part) for part in snapshot.paths[0].split("/") if part]
    root = blob_id(snapshot.tree, where)
    # A relative path given to restic is stored from its last parts on; the longest tail that is there is the one.
    for start in range(len(parts)):
        found = _follow(ctx, repository, root, parts[start:])
        if found is not None:
            return found
    found = _follow(ctx, repository, root, [None] * len(parts))  # its name was no text, and JSON did not keep it
    return (None, root) if found is None else found


def _follow(ctx: Context, repository: Repository, tree: bytes, parts: list[bytes] | list[None]) -> tuple[Node, bytes] | None:
    """Go down by these names; None for a name means: the only entry there is."""
    node: Node | None = None
    for part in parts:
        where = f"tree {tree.hex()}"
        ((_, nodes),) = read_trees(ctx, repository, [tree])
        fitting = [node for node in nodes if node.type == "dir" and (part is None or name_of(node, where) == part)]
        if len(fitting) != 1:
            return None
        node = fitting[0]
        tree = blob_id(node.subtree, where)
    return None if node is None else (node, tree)


def _all_zero(plain: bytes) -> bool:
    return not any(plain[:64]) and plain == bytes(len(plain))
