"""Making a snapshot of a directory: packs first, then the index, then the snapshot."""

# ruff: noqa: PTH115, PTH118 - paths are bytes here: names need not be text

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from seatrial.context import Context
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.locks import HeldLock
from seatrial.targets.embedded.repository.packs import BlobType
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.snapshots import Snapshot
from seatrial.targets.embedded.repository.trees import Node, encode_tree, node_of, read_xattrs, set_link_target
from seatrial.targets.embedded.repository.writer import BlobWriter

CHUNK_BYTES = 512 << 10
"""Files up to here are one blob, as restic's are; longer ones are cut into pieces of this. Any cut of at least this is valid, and a
fixed one costs nothing, where restic's rolling hash runs at 4 MB/s in Python; the price is that an insertion in the middle of a file
shifts all that follows."""
INDEX_EVERY_BYTES = 1 << 30
"""A long backup names its packs in an index so often."""
_T = TypeVar("_T")
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(slots=True, kw_only=True)
class BackupStats:
    """What a backup read."""

    files: int = 0
    bytes_read: int = 0


@dataclass(slots=True)
class _Directory:
    """A directory on the way from the root to where the walk is."""

    path: bytes
    node: Node | None
    """None for the root of the walk."""
    names: Iterator[bytes]
    nodes: list[Node] = field(default_factory=list)


class Backup:
    """One backup. Owner: one operation. Memory: one open pack per type, one chunk, the nodes of the directories on the way."""

    def __init__(self, ctx: Context, repository: Repository, lock: HeldLock) -> None:
        self._ctx, self._lock = ctx, lock
        self.writer = BlobWriter(repository, lock)
        self.stats = BackupStats()
        self._indexed_bytes = 0

    def run(self, source: Path, *, username: str, tags: list[str], program: str) -> Snapshot:
        """Store everything below ``source`` and return the snapshot, not yet written.

        SOURCE where something cannot be read; what vanishes while we look was never there.
        """
        ctx = self._ctx
        path = Path(os.path.abspath(source))  # noqa: PTH100 - lexically, as restic does: resolve() follows links
        started_ns = ctx.clock.now_ns()
        ctx.progress.start("upload")
        root = self._root(os.fsencode(path))
        self.writer.flush(ctx)
        return Snapshot(
            time=gojson.format_time(started_ns),
            tree=root.hex(),
            paths=[os.fspath(path)],
            hostname=socket.gethostname(),
            username=username,
            uid=os.getuid(),
            gid=os.getgid(),
            tags=tags,
            program_version=program,
        )

    def _root(self, path: bytes) -> bytes:
        """The tree over the whole absolute path: one node per directory on the way, as restic has it."""
        tree = self._walk(path)
        while path != b"/":
            parent, name = os.path.split(path)
            node = node_of(name, _reading(os.stat, path))  # restic follows links on the way, too
            node.extended_attributes = read_xattrs(path)
            node.subtree = tree.hex()
            tree = self._save_tree([node])
            path = parent
        return tree

    def _walk(self, root: bytes) -> bytes:
        """Depth first without recursion, since a tree may be deeper than Python's stack."""
        stack = [_Directory(root, None, iter(_reading(_sorted_names, root)))]
        while True:
            directory = stack[-1]
            name = next(directory.names, None)
            if name is not None:
                below = self._entry(os.path.join(directory.path, name), name, directory.nodes)
                if below is not None:
                    stack.append(below)
                continue
            tree = self._save_tree(directory.nodes)
            stack.pop()
            if directory.node is None:
                return tree
            directory.node.subtree = tree.hex()
            stack[-1].nodes.append(directory.node)

    def _entry(self, path: bytes, name: bytes, nodes: list[Node]) -> _Directory | None:
        """Add the node of one entry; for a directory, return where to go on."""
        self._ctx.check()
        self._lock.keep(self._ctx)
        try:
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                nodes.append(self._file(path, name, status.st_size))
                return None
            node = node_of(name, status)
            node.extended_attributes = read_xattrs(path)
            if stat.S_ISDIR(status.st_mode):
                return _Directory(path, node, iter(_sorted_names(path)))
            if stat.S_ISLNK(status.st_mode):
                set_link_target(node, os.readlink(path))
            nodes.append(node)
        except OSError as error:
            if error.errno not in _VANISHED:
                raise _unreadable(path, error) from error
        return None

    def _file(self, path: bytes, name: bytes, expected: int) -> Node:
        # Not blocking and not following: between lstat and open it may have become a pipe or a link.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            node = node_of(name, status)
            node.extended_attributes = read_xattrs(handle)
            if node.type == "file":
                node.content, node.size = self._content(handle, expected)
        finally:
            os.close(handle)
        self.stats.files += 1
        return node

    def _content(self, handle: int, expected: int) -> tuple[list[str], int]:
        """Store a file's content: (ids of its blobs, bytes)."""
        content: list[str] = []
        size = 0
        while chunk := _read_chunk(handle, expected - size):
            content.append(self.writer.save(self._ctx, BlobType.DATA, chunk).hex())
            size += len(chunk)
            self.stats.bytes_read += len(chunk)
            self._ctx.progress.advance(len(chunk))
            self._between_chunks()
            if len(chunk) < CHUNK_BYTES:
                break
        return content, size

    def _between_chunks(self) -> None:
        self._ctx.check()
        self._lock.keep(self._ctx)
        if self.writer.bytes_added - self._indexed_bytes >= INDEX_EVERY_BYTES:
            self.writer.flush(self._ctx)
            self._indexed_bytes = self.writer.bytes_added

    def _save_tree(self, nodes: list[Node]) -> bytes:
        return self.writer.save(self._ctx, BlobType.TREE, encode_tree(nodes))


def _sorted_names(path: bytes) -> list[bytes]:
    return sorted(os.listdir(path))  # noqa: PTH208 - bytes in, bytes out: names need not be text


def _reading(call: Callable[[bytes], _T], path: bytes) -> _T:
    try:
        return call(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_chunk(handle: int, expected: int) -> bytes:
    """The next chunk, shorter only at the end. ``expected`` bytes are likely left: a small file costs one small read."""
    chunk = os.read(handle, min(CHUNK_BYTES, max(expected, 0) + 1))
    if len(chunk) in (0, expected, CHUNK_BYTES):
        return chunk
    parts, have = [chunk], len(chunk)
    while have < CHUNK_BYTES and (more := os.read(handle, CHUNK_BYTES - have)):
        parts.append(more)
        have += len(more)
    return b"".join(parts)


def _unreadable(path: bytes, error: OSError) -> RepositoryError:
    return RepositoryError(
        f"cannot be read: {error.strerror or error}",
        cause=Cause.SOURCE,
        where=os.fsdecode(path),
        remedy="check that it exists and may be read",
    )
