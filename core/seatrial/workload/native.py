"""The file writer that needs no other program, and whose every byte can be explained afterwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.seeds import Random
from seatrial.workload import tree
from seatrial.workload.base import RandomFileWriter, Written
from seatrial.workload.blocks import BLOCK_BYTES, Stream
from seatrial.workload.draws import Draw, PlannedFile, make_pool, plan_files
from seatrial.workload.locks import PathLock

_PIECE_BYTES = 1 << 20
"""Made and written at a time."""
_CHECK_MASK = 0x3F
"""Look at the context every 64 files."""
_LOOK_BYTES = 64 << 20
"""Look at the free space at least every so many bytes: others write to the same disk."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IN_THE_WAY = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO})
"""A read-only file, a directory, a link, a FIFO: a restore may have put anything there."""


class _Room:
    """What may be written before the free space is looked at again. Owner: one write."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look, self._left = look, 0

    def take(self, size: int) -> None:
        """Before so many bytes are written, which may be a piece more than there is room for. ``NoSpaceError`` where there is none."""
        if size > self._left:
            self._left = min(self._look(), _LOOK_BYTES)
        self._left -= size


class NativeFileWriter(RandomFileWriter):
    """Writes OWN and POOL blocks (``blocks``), no syncs. Threading: as its base.

    ``file_<n>`` of an earlier write into the same directory is overwritten in place, as the reference's fio does, and so becomes the next
    generation of that path; files beyond the new number stay. ``chunk_bytes`` is the target's smallest content-defined chunk, from
    which the length of duplicate runs follows. Writers with the same ``pool_seed`` share their duplicates.
    """

    def __init__(
        self,
        directory: Path,
        client_id: str,
        chunk_bytes: int,
        *,
        pool_seed: int = 0,
        loses: frozenset[str] = frozenset(),
        locks: PathLock | None = None,
        free_bytes: Callable[[Path], int] = tree.free_bytes,
    ) -> None:
        super().__init__(directory, client_id, loses=loses, locks=locks, free_bytes=free_bytes)
        self._chunk_bytes = chunk_bytes
        self._pool_identity = make_pool(pool_seed, chunk_bytes)
        self._pool = Stream(self._pool_identity)

    def _write(self, ctx: Context, directory: Path, generation: int, rng: Random, drawn: Draw, options: WriteOptions) -> Written:
        files = list(plan_files(rng, drawn, options, self._pool_identity, self._chunk_bytes))
        written = Written()
        ctx.progress.start("write", sum(file.size for file in files))
        prefix, room = self._prefix(directory), _Room(lambda: self._guard(options))
        with _opened(directory) as at:
            for n, file in enumerate(files):
                name = b"file_%d" % n
                if not n & _CHECK_MASK or file.size > _PIECE_BYTES:
                    ctx.check()
                self._write_file(ctx, room, at, directory, name, self._own(prefix + name, generation), file)
                written.files += 1
                written.bytes += file.size
                written.pool_bytes += file.pool_stop - file.pool_start
        return written

    def _write_file(self, ctx: Context, room: _Room, at: int, directory: Path, name: bytes, own: Stream, file: PlannedFile) -> None:
        descriptor = _create(at, directory, name)
        try:
            if file.size <= BLOCK_BYTES:
                # The common case of ten thousand small files: one block, one write.
                room.take(file.size)
                content = own.content(0, file.size) if file.pool_start else self._pool.content(0, file.size)
                if os.write(descriptor, content) != file.size:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
                ctx.progress.done += file.size
                return
            for piece in self._pieces(own, file):
                ctx.check()
                room.take(len(piece))
                _write_all(descriptor, piece)
                ctx.progress.advance(len(piece))
        finally:
            os.close(descriptor)

    def _pieces(self, own: Stream, file: PlannedFile) -> Iterator[bytes | bytearray]:
        """The file's content in order. OWN blocks count from the start of the file, POOL blocks from the start of their run."""
        for start, stop, stream, blocks in (
            (0, file.pool_start, own, 0),
            (file.pool_start, file.pool_stop, self._pool, self._pool_identity.blocks),
            (file.pool_stop, file.size, own, 0),
        ):
            at = start
            while at < stop:
                first = (at - start) // BLOCK_BYTES % blocks if blocks else at // BLOCK_BYTES
                room = (blocks - first) * BLOCK_BYTES if blocks else _PIECE_BYTES
                piece = stream.content(first, min(_PIECE_BYTES, room, stop - at))
                yield piece
                at += len(piece)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _create(at: int, directory: Path, name: bytes) -> int:
    try:
        return os.open(name, _CREATE, 0o644, dir_fd=at)
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
    tree.remove(directory / os.fsdecode(name))
    return os.open(name, _CREATE | os.O_EXCL, 0o644, dir_fd=at)


def _write_all(descriptor: int, piece: bytes | bytearray) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
