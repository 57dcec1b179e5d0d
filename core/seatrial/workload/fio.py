"""The file writer of the reference framework: the ``fio`` program, where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from seatrial.children import Children, Completed
from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.errors import CancelledError, HarnessError, NoSpaceError, UsageError
from seatrial.seeds import Random
from seatrial.workload import tree
from seatrial.workload.base import RandomFileWriter, Written
from seatrial.workload.blocks import BLOCK_BYTES
from seatrial.workload.draws import Draw
from seatrial.workload.locks import PathLock

_SEED_BITS = 32
_TAIL_CHARACTERS = 500


class _Writes(msgspec.Struct):
    io_bytes: int


class _Job(msgspec.Struct):
    write: _Writes


class _Report(msgspec.Struct):
    """The part of fio's JSON that is used."""

    jobs: list[_Job]


def find_fio(program: str = "fio") -> str:
    """Where fio is: ``UsageError`` where it is not."""
    if (found := shutil.which(program)) is None:
        remedy = 'install fio, or use writer = "native", which needs no other program'
        raise UsageError(f"the program {program!r} is not on PATH", where='writer = "fio"', remedy=remedy)
    return found


class FioFileWriter(RandomFileWriter):
    """Writes with fio, buffered. Threading: as its base.

    fio's ways differ from the native writer's: sizes are whole blocks of 4096 bytes and at least one, an overwritten file keeps its length
    where it was longer, and a damaged file's content cannot be explained. ``program`` is fio's path (``find_fio``).
    """

    def __init__(
        self,
        directory: Path,
        client_id: str,
        program: str,
        children: Children,
        *,
        loses: frozenset[str] = frozenset(),
        locks: PathLock | None = None,
        free_bytes: Callable[[Path], int] = tree.free_bytes,
    ) -> None:
        super().__init__(directory, client_id, loses=loses, locks=locks, free_bytes=free_bytes)
        self._program, self._children = program, children

    def _write(self, ctx: Context, directory: Path, generation: int, rng: Random, drawn: Draw, options: WriteOptions) -> Written:
        if options.max_file_size == 0:
            raise UsageError("fio cannot write empty files", where="max-file-size", remedy='give a size, or use writer = "native"')
        limit = drawn.io_limit or self._free_bytes(self._directory) - options.free_space_limit
        ctx.progress.start("write", drawn.num_files, "files")
        before = _signatures(directory)
        argv = [self._program, *_arguments(directory, rng.getrandbits(_SEED_BITS), drawn, options, limit)]
        done = self._children.run(argv, scratch=self._directory.parent, cwd=self._directory.parent, ctx=ctx)
        written = _judge(done, ctx, directory)
        after = _signatures(directory)
        self._guard(options)
        ctx.progress.done = drawn.num_files
        files = sum(after[name] != before.get(name) for name in after)
        return Written(files=files, bytes=written, pool_bytes=written * drawn.dedupe_percent // 100)


def _arguments(directory: Path, seed: int, drawn: Draw, options: WriteOptions, limit: int) -> list[str]:
    block = min(BLOCK_BYTES, options.max_file_size)
    low, high = max(block, options.min_file_size), options.max_file_size
    return [
        "--name=seatrial",
        # fio splits a list of directories at colons.
        "--directory=" + str(directory).replace(":", "\\:"),
        "--filename_format=file_$filenum",
        f"--nrfiles={drawn.num_files}",
        f"--filesize={low}-{high}" if low < high else f"--filesize={high}",
        # Not io_size: where that is more than the files hold, fio writes them again and again.
        f"--size={max(block, limit // block * block)}",
        f"--bs={block}",
        f"--dedupe_percentage={drawn.dedupe_percent}",
        f"--randseed={seed}",
        "--refill_buffers",
        "--rw=write",
        "--ioengine=psync",
        "--fallocate=none",
        # Made when its turn comes: else all files are laid out first, and those beyond the limit stay as holes.
        "--create_on_open=1",
        "--openfiles=10",
        "--file_service_type=sequential",
        "--output-format=json",
    ]


def _signatures(directory: Path) -> dict[str, tuple[int, int, int]]:
    """By name of each file: what changes when it is written."""
    statuses = {path.name: path.stat() for path in directory.glob("file_*")}
    return {name: (status.st_ino, status.st_mtime_ns, status.st_size) for name, status in statuses.items()}


def _judge(done: Completed, ctx: Context, directory: Path) -> int:
    """Bytes written, as fio reports them."""
    if done.cancelled or done.timed_out:
        ctx.check()
        raise CancelledError("fio was stopped")
    if "No space left on device" in done.stderr or "Disk quota exceeded" in done.stderr:
        raise NoSpaceError("no space left on device", where=str(directory))
    try:
        report = msgspec.json.decode(done.stdout, type=_Report) if done.returncode == 0 else _Report(jobs=[])
    except msgspec.MsgspecError:
        report = _Report(jobs=[])
    if not report.jobs:
        said = (done.stderr or done.stdout).strip()[-_TAIL_CHARACTERS:]
        raise HarnessError(f"fio failed with exit code {done.returncode}: {said}", where=str(directory), remedy='try writer = "native"')
    return sum(job.write.io_bytes for job in report.jobs)
