"""The content of a directory tree as content-addressed nodes: same content, same root; unchanged subtrees, same nodes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from seatrial.checker.nodes import DEFAULT_KEEPS, ID_BYTES, Kind, More, encode, node_id, printable
from seatrial.context import Context
from seatrial.errors import CancelledError, HarnessError
from seatrial.resources import core_count

_SMALL_BYTES = 1 << 16
"""One read of so much suffices for a small file."""
_CHUNK_BYTES = 4 << 20
"""Where hashing on all cores has made up for its start, and which still fits a cache."""
_PIECE_BYTES = 1 << 20
"""What one core hashes at a time: the pieces of all readers stay in the cache."""
_LARGE_BYTES = 1 << 20
"""A file that is read after its directory's small ones, perhaps by another core."""
_START_BYTES = 8 << 20
"""Of a directory's large files: makes up for the start of threads."""
_READERS_MAX = 4
"""More would wait for the memory."""
_CHECK_MASK = 0xFF
"""Look at the context every 256 files."""
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Not blocking: a file that has just become a FIFO must not hang us."""
_MODE_BITS = 0o7777
_XATTR_NAMESPACE = "user."

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
}
_FILE = int(Kind.FILE)
_TIMED = {"mtime": frozenset({Kind.FILE, Kind.DIRECTORY}), "file-mtime": frozenset({Kind.FILE})}
"""What has a modification time, by the word in ``keeps``."""
_name = itemgetter(0)
_NOTHING_MORE = More()
_PLAIN_FIELDS = 6
"""Besides the name."""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ESTALE})
"""A path that was just listed is no more, or is something else."""

EntryFields = tuple[Any, ...]
"""The fields of ``nodes.Entry`` in their order, without the cost of its making."""


class TreeChangedError(HarnessError):
    """Somebody changed the tree while it was read, so it has no fingerprint."""


class ForbiddenError(HarnessError):
    """The modes of the tree do not let its owner read it. ``where``: what, printable, relative to the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A tree as it was read."""

    root: str
    """Hex id of the root directory's node."""
    nodes: dict[str, bytes]
    """All nodes by hex id."""
    files: int
    """Regular files; a hard link counts as one more."""
    bytes: int
    """Of all regular files."""


@dataclass(slots=True)
class _Directory:
    """A directory whose own entries have been read, waiting for its subdirectories. Owner: the walk."""

    relative: bytes
    parent: _Directory | None
    status: os.stat_result | None
    """None for the root."""
    entries: list[EntryFields] = field(default_factory=list)
    pending: list[tuple[bytes, os.stat_result]] = field(default_factory=list)
    """Subdirectories to come, the last one first."""
    links: list[tuple[bytes, tuple[int, int]]] = field(default_factory=list)
    """Files with several names: name, and device and inode."""


def fingerprint(root: Path, *, keeps: frozenset[str] = DEFAULT_KEEPS, ctx: Context | None = None) -> Fingerprint:
    """Read the tree below ``root``, whose own name, mode, owner and times do not matter.

    Names, kinds, sizes, contents and link targets always count; of ``keeps`` these: ``mode``, ``owner``, ``mtime`` (files and directories),
    ``file-mtime``, ``xattr`` (the user's), ``hardlink``. Directory sizes never count. Adds the bytes read to the context's progress.

    Raises ``TreeChangedError`` where something vanishes or changes meanwhile, ``HarnessError`` where it cannot be read (``ForbiddenError``
    where it may not be), ``CancelledError``. Threading: any; as there are cores, threads of its own help with the large files of a
    directory (and end with it), and a lone one is hashed on all cores.
    """
    return _Walk(os.fsencode(root.absolute()), keeps, ctx or Context()).run()


class _Walk:
    """One reading of one tree. Threading: one thread owns it; its helpers only call ``_read_large``, which changes nothing here."""

    def __init__(self, root: bytes, keeps: frozenset[str], ctx: Context) -> None:
        self._root, self._ctx = root, ctx
        self._mode, self._owner = "mode" in keeps, "owner" in keeps
        self._timed = _TIMED["mtime"] if "mtime" in keeps else _TIMED["file-mtime"] if "file-mtime" in keeps else frozenset()
        self._hardlink = "hardlink" in keeps
        self._xattr = "xattr" in keeps and hasattr(os, "listxattr")
        self._plain = self._mode and self._owner and not (self._timed or self._hardlink or self._xattr)
        self._first_names: dict[tuple[int, int], bytes] = {}
        self._small = bytearray(_SMALL_BYTES)
        self._nodes: dict[str, bytes] = {}
        self._files = self._bytes = 0

    def run(self) -> Fingerprint:
        """Depth first; a directory's node is made once those below it are."""
        at: _Directory | None = self._read_directory(_Directory(b"", None, None))
        root = ""
        while at is not None:
            if at.pending:
                name, status = at.pending.pop()
                at = self._read_directory(_Directory(_join(at.relative, name), at, status))
                continue
            at.entries.sort(key=_name)
            node = encode(at.entries)
            root = node_id(node)
            self._nodes[root] = node
            if at.parent is not None and at.status is not None:
                at.parent.entries.append(self._fields(at.relative, Kind.DIRECTORY, at.status, bytes.fromhex(root)))
            at = at.parent
        return Fingerprint(root=root, nodes=self._nodes, files=self._files, bytes=self._bytes)

    def _count(self, amount: int) -> None:
        self._bytes += amount
        self._ctx.progress.advance(amount)
        self._ctx.check()

    def _read_directory(self, made: _Directory) -> _Directory:
        try:
            directory = os.open(_join(self._root, made.relative), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                others = self._read_files(directory, made)
            finally:
                os.close(directory)
        except OSError as error:
            raise _explain(error, made.relative) from error
        for name in sorted(others):
            self._read_other(made, name)
        made.pending.reverse()
        if made.links:
            self._name_links(made)
        return made

    def _read_files(self, directory: int, into: _Directory) -> list[bytes]:
        """Read the regular files, in the order the file system gives them (sorted, their inodes would lie apart); names of the others.

        This loop is what a fingerprint costs: what it needs is a local name, and one ``fstat`` after the read gives the metadata and
        tells whether the file is longer or shorter than what was read.
        """
        entries, others, large, small, window = into.entries, [], [], [self._small], memoryview(self._small)
        open_, readv, fstat, close, hasher, plain = os.open, os.readv, os.fstat, os.close, blake3, self._plain
        name, total = b"", 0
        try:
            with os.scandir(_join(self._root, into.relative)) as found:
                for entry in found:
                    name = entry.name
                    if not entry.is_file(follow_symlinks=False):
                        others.append(name)
                        continue
                    file = open_(name, _OPEN_FLAGS, dir_fd=directory)
                    try:
                        read = readv(file, small)
                        status = fstat(file)
                        size = status[stat.ST_SIZE]
                        if read == size:
                            digest = hasher(window[:read]).digest(ID_BYTES)
                        elif size >= _LARGE_BYTES:
                            large.append((name, status))
                            continue
                        else:
                            begun, relative = hasher(window[:read]), _join(into.relative, name)
                            digest, status = self._read_on(file, read, relative, status, begun, self._chunk, self._ctx.check)
                        if plain:
                            entries.append((name, _FILE, status[0] & _MODE_BITS, status[4], status[5], size, digest))
                        else:
                            entries.append(self._file_fields(into, name, status, digest))
                    finally:
                        close(file)
                    total += size
                    if not len(entries) & _CHECK_MASK:
                        self._count(total)
                        total = 0
        except OSError as error:
            raise _explain(error, _join(into.relative, name)) from error
        self._count(total)
        if large:
            self._read_all_large(directory, into, large)
        self._files += len(entries)
        return others

    @cached_property
    def _chunk(self) -> memoryview:
        return memoryview(bytearray(_CHUNK_BYTES))

    def _read_all_large(self, directory: int, into: _Directory, large: list[tuple[bytes, os.stat_result]]) -> None:
        """Several side by side, each on one core: these need not wait for each other, as those do that share a file."""
        worth_it = sum(before.st_size for _, before in large) >= _START_BYTES
        helpers = min(core_count() // 2 + 1, _READERS_MAX, len(large)) - 1 if worth_it else 0
        all_cores = worth_it and not helpers and _has_idle_cores()
        # Taken from the end: the longest goes first, lest it goes last and alone. Each reader stops at a None.
        waiting = [*[None] * (helpers + 1), *sorted(large, key=lambda found: found[1].st_size)]
        errors: list[BaseException] = []

        def check() -> None:
            if errors:
                raise CancelledError("given up: another file could not be read")
            self._ctx.check()

        def read(buffer: memoryview) -> list[tuple[bytes, bytes, os.stat_result]]:
            done = []
            try:
                for name, before in iter(waiting.pop, None):
                    hasher = blake3(max_threads=blake3.AUTO if all_cores else 1)
                    done.append((name, *self._read_large(directory, _join(into.relative, name), before, hasher, buffer, check)))
            except BaseException as error:  # noqa: BLE001 - raised below; until then it stops the others
                errors.append(error)
            return done

        own = self._chunk if all_cores else self._chunk[:_PIECE_BYTES]
        with ThreadPoolExecutor(helpers or 1, "fingerprint") as pool:  # starts none for no helper
            others = [pool.submit(read, memoryview(bytearray(_PIECE_BYTES))) for _ in range(helpers)]
            results = [read(own), *(other.result() for other in others)]
        if errors:
            raise errors[0]
        for name, digest, status in chain.from_iterable(results):
            into.entries.append(self._file_fields(into, name, status, digest))
            self._count(status.st_size)

    def _read_large(
        self, directory: int, relative: bytes, before: os.stat_result, hasher: blake3, buffer: memoryview, check: Callable[[], None]
    ) -> tuple[bytes, os.stat_result]:
        try:
            file = os.open(relative.rpartition(b"/")[2], _OPEN_FLAGS, dir_fd=directory)
            try:
                return self._read_on(file, 0, relative, before, hasher, buffer, check)
            finally:
                os.close(file)
        except OSError as error:
            raise _explain(error, relative) from error

    @staticmethod
    def _read_on(
        file: int, total: int, relative: bytes, before: os.stat_result, hasher: blake3, buffer: memoryview, check: Callable[[], None]
    ) -> tuple[bytes, os.stat_result]:
        """Hash a file from byte ``total`` on. In pieces, not mapped: a file that shrinks would kill us."""
        while total <= before.st_size and (piece := os.readv(file, [buffer])):  # one that grows as fast as it is read would not end
            hasher.update(buffer[:piece])
            total += piece
            check()
        after = os.fstat(file)
        if total != after.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _changed(f"was {before.st_size} bytes long, gave {total}, is {after.st_size} now", relative)
        return hasher.digest(ID_BYTES), after

    def _file_fields(self, into: _Directory, name: bytes, status: os.stat_result, digest: bytes) -> EntryFields:
        if self._hardlink and status.st_nlink > 1:
            into.links.append((name, (status.st_dev, status.st_ino)))
        return self._fields(_join(into.relative, name), Kind.FILE, status, digest)

    def _read_other(self, into: _Directory, name: bytes) -> None:
        relative = _join(into.relative, name)
        path = _join(self._root, relative)
        try:
            status = os.lstat(path)
            kind = _KINDS[stat.S_IFMT(status.st_mode)]
            if kind is Kind.DIRECTORY:
                into.pending.append((name, status))
                return
            if kind is Kind.FILE:
                raise _changed("became a file", relative)
            reference: bytes | int = os.readlink(path) if kind is Kind.SYMLINK else status.st_rdev  # noqa: PTH115 - bytes
        except OSError as error:
            raise _explain(error, relative) from error
        into.entries.append(self._fields(relative, kind, status, reference))

    def _fields(self, relative: bytes, kind: Kind, status: os.stat_result, reference: bytes | int) -> EntryFields:
        has_mode = self._mode and kind is not Kind.SYMLINK
        mode = status.st_mode & _MODE_BITS if has_mode else -1
        uid, gid = (status.st_uid, status.st_gid) if self._owner else (-1, -1)
        size = status.st_size if kind is Kind.FILE else 0
        fields = (relative.rpartition(b"/")[2], int(kind), mode, uid, gid, size, reference)
        more = More(mtime_ns=status.st_mtime_ns if kind in self._timed else None, xattrs=self._xattrs(relative) if self._xattr else {})
        return fields if more == _NOTHING_MORE else (*fields, more)

    def _xattrs(self, relative: bytes) -> dict[str, bytes]:
        path = _join(self._root, relative)
        try:
            names = os.listxattr(path, follow_symlinks=False)
            return {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names) if name.startswith(_XATTR_NAMESPACE)}
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return {}
            raise _explain(error, relative) from error

    def _name_links(self, made: _Directory) -> None:
        """Mark each further name of a file with its first one. In the order of names: the file system's would not come again."""
        first_names = {}
        for name, inode in sorted(made.links):
            own = _join(made.relative, name)
            first = self._first_names.setdefault(inode, own)
            if first != own:
                first_names[name] = first
        for index, (name, *fields) in enumerate(made.entries):
            if name in first_names:
                more = fields[6] if len(fields) > _PLAIN_FIELDS else _NOTHING_MORE
                made.entries[index] = (name, *fields[:6], msgspec.structs.replace(more, hardlink=first_names[name]))


def _has_idle_cores() -> bool:
    """Whether hashing on all cores pays: on busy ones its threads wait for each other, and it is slower than on one.

    One is ours: the load of the last minute counts this thread too, so that a long reading does not take itself for a busy machine.
    """
    return os.getloadavg()[0] < core_count() / 2 + 1


def _join(directory: bytes, name: bytes) -> bytes:
    return b"%s/%s" % (directory, name) if directory and name else directory or name


def _changed(what: str, relative: bytes) -> TreeChangedError:
    return TreeChangedError(f"changed while it was read: {what}", where=printable(relative) or ".", remedy="nothing else may write there")


def _explain(error: OSError, relative: bytes) -> HarnessError:
    if error.errno in _GONE:
        return _changed(os.strerror(error.errno or 0), relative)
    where = printable(relative) or "."
    shape = ForbiddenError if error.errno == errno.EACCES else HarnessError
    return shape(f"cannot be read: {error.strerror}", where=where, remedy="check its owner and mode, and the disk")
