"""The blobs of one repository as files, in restic's own layout: the directory is a local restic repository too.

An upload is written to a temporary file beside its place, synced, and linked to its name: a link never replaces a file, so two
uploads of one name cannot both succeed, and whatever an aborted upload cleans up is a name of its own (rest-server issue 142).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import UsageError
from seatrial.targets.embedded.server.store import BlobEntry, BlobType, Chunk, ExistingBlob, MissingBlob, NoRoom, StoreStats

_SHARDS = tuple(f"{number:02x}" for number in range(256))
_NAME = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".upload-"
_CLAIM_AGAIN_S = 0.05
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
"""ELOOP: a symbolic link, which is never a blob and is never followed."""
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""O_NONBLOCK: opening a FIFO that somebody left there must not block."""


class OpenFile:
    """A blob's file, open. Threading: one thread."""

    __slots__ = ("_descriptor", "size")

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, _READ_FLAGS)
            found = os.fstat(self._descriptor)
        except OSError as error:
            self.close()
            if error.errno in _GONE:
                raise MissingBlob from error
            raise
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise MissingBlob
        self.size = found.st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FileStore:
    """``BlobStore`` on a directory.

    Threading: any thread. The lock guards ``_stored`` (bytes of finished blobs) and ``_arriving`` (bytes of uploads under way, which
    count against the quota). One process at a time: the directory is locked until ``close()`` or death.
    """

    def __init__(
        self, directory: Path, *, fsync: bool = True, quota_bytes: int = 0, patience_s: float = 0.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Removes what a crash left half uploaded and counts what is there. ``UsageError`` when another server has it for longer than
        ``patience_s``."""
        self._root, self._fsync, self._quota = str(directory), fsync, quota_bytes
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._arriving = 0
        directory.mkdir(parents=True, exist_ok=True)
        self._claim = _claim(directory, patience_s, clock)
        try:
            self.leftovers, self._stored = self._recover()
        except BaseException:
            self.close()
            raise

    def create(self) -> None:
        for blob_type in (BlobType.KEYS, BlobType.LOCKS, BlobType.SNAPSHOTS, BlobType.INDEX):
            self._make(f"{self._root}/{blob_type.value}")
        for shard in _SHARDS:
            self._make(f"{self._root}/{BlobType.DATA.value}/{shard}")
        if self._fsync:
            _sync_directory(f"{self._root}/{BlobType.DATA.value}")
            _sync_directory(self._root)

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        folder, path = self._place(blob_type, name)
        temporary = f"{folder}/{_TEMPORARY}{os.getpid()}-{next(self._numbers)}"
        reserved = 0
        stored = False
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                for chunk in chunks:
                    self._reserve(len(chunk))
                    reserved += len(chunk)
                    _write_all(descriptor, chunk)
                if self._fsync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.link(temporary, path, follow_symlinks=False)
            stored = True
        except FileExistsError as error:
            raise ExistingBlob from error
        except FileNotFoundError as error:
            raise MissingBlob from error
        except OSError as error:
            if error.errno in _FULL:
                raise NoRoom("no space left on the server's disk") from error
            raise
        finally:
            with contextlib.suppress(OSError):  # a leftover is invisible, and removed at the next start
                os.unlink(temporary)  # noqa: PTH108 (text paths: this is the hot path)
            self._settle(reserved, stored=stored)
        if self._fsync:
            _sync_directory(folder)
        return reserved

    def open(self, blob_type: BlobType, name: str) -> OpenFile:
        return OpenFile(self._place(blob_type, name)[1])

    def size(self, blob_type: BlobType, name: str) -> int:
        try:
            found = os.lstat(self._place(blob_type, name)[1])
        except OSError as error:
            if error.errno in _GONE:
                raise MissingBlob from error
            raise
        if not stat.S_ISREG(found.st_mode):
            raise MissingBlob
        return found.st_size

    def list(self, blob_type: BlobType) -> list[BlobEntry]:
        """Complete, or an error: a listing that is silently shorter makes a prune delete live data.

        So a missing directory is an error too, and "missing" only where there is no repository at all.
        """
        folder = f"{self._root}/{blob_type.value}"
        shards = _SHARDS if blob_type is BlobType.DATA else ("",)
        try:
            return [entry for shard in shards for entry in _blobs(f"{folder}/{shard}", shard)]
        except FileNotFoundError:
            self.size(BlobType.CONFIG, "")
            raise

    def delete(self, blob_type: BlobType, name: str) -> None:
        folder, path = self._place(blob_type, name)
        with self._lock:  # so that of two deletes only one counts the bytes
            size = self.size(blob_type, name)
            os.unlink(path)  # noqa: PTH108  # a string, thousands of times
            self._stored -= size
        if self._fsync and blob_type is not BlobType.LOCKS:  # a lock that a power cut brings back is stale, and treated as such
            _sync_directory(folder)

    def stats(self) -> StoreStats:
        return StoreStats(stored_bytes=self._stored, quota_bytes=self._quota)

    def close(self) -> None:
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1

    def _place(self, blob_type: BlobType, name: str) -> tuple[str, str]:
        if blob_type is BlobType.CONFIG:
            return self._root, f"{self._root}/{BlobType.CONFIG.value}"
        if not _NAME.fullmatch(name):  # the caller has checked; nothing but this may ever become part of a path
            raise MissingBlob
        folder = f"{self._root}/{blob_type.value}"
        if blob_type is BlobType.DATA:
            folder = f"{folder}/{name[:2]}"
        return folder, f"{folder}/{name}"

    def _reserve(self, size: int) -> None:
        with self._lock:
            if self._quota and self._stored + self._arriving + size > self._quota:
                raise NoRoom(f"the quota of {self._quota} bytes is used up")
            self._arriving += size

    def _settle(self, reserved: int, *, stored: bool) -> None:
        with self._lock:
            self._arriving -= reserved
            if stored:
                self._stored += reserved

    def _make(self, folder: str) -> None:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _recover(self) -> tuple[int, int]:
        """(leftovers removed, bytes of blobs)."""
        leftovers = stored = 0
        folders = [self._root, *(f"{self._root}/{t.value}" for t in BlobType if t not in (BlobType.CONFIG, BlobType.DATA))]
        folders += [f"{self._root}/{BlobType.DATA.value}/{shard}" for shard in _SHARDS]
        for folder in folders:
            if not Path(folder).is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(_TEMPORARY) and not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)  # noqa: PTH108  # a string, thousands of times
                        leftovers += 1
                    elif (_NAME.fullmatch(entry.name) or entry.name == BlobType.CONFIG.value) and entry.is_file(follow_symlinks=False):
                        stored += entry.stat(follow_symlinks=False).st_size
        return leftovers, stored


def _blobs(folder: str, shard: str) -> Iterator[BlobEntry]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _NAME.fullmatch(entry.name) or not entry.name.startswith(shard):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # deleted since the scan: a listing without it is complete
                continue
            if stat.S_ISREG(found.st_mode):
                yield BlobEntry(entry.name, found.st_size)


def _claim(directory: Path, patience_s: float, clock: Clock) -> int:
    """A locked descriptor of the directory: two servers would take each other's uploads for leftovers."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    give_up_at, never = clock.monotonic_s() + patience_s, threading.Event()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if clock.monotonic_s() < give_up_at:
                clock.wait(never, _CLAIM_AGAIN_S)
                continue
            os.close(descriptor)
            raise UsageError("another server has this repository", where=str(directory), remedy="stop it, or wait for it to end") from error
        return descriptor


def _write_all(descriptor: int, data: Chunk) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _sync_directory(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
