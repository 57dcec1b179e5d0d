"""The native writer against fio, buffered and unsynced both, the same files at the same share of duplicates.

The aims are held on a file system in memory, where there is one: a disk that is busy takes most of the time of both and hides what the
writers cost. The same on the disk is told.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from seatrial.children import Children
from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.errors import UsageError
from seatrial.workload.base import RandomFileWriter
from seatrial.workload.fio import FioFileWriter, find_fio
from seatrial.workload.native import NativeFileWriter
from tests.bench.harness import Aim, Row, at_least, seconds

REPEATS = 3
CHUNK_BYTES = 512 << 10
SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    options: WriteOptions
    files: int
    aim: Aim


def _options(files: int, size: int, *, depth: int = 0, repeat: int = 1) -> WriteOptions:
    return WriteOptions(
        max_dir_depth=depth,
        min_num_files_per_write=files,
        max_num_files_per_write=files,
        min_file_size=size,
        max_file_size=size,
        min_dedupe_percent=25,
        max_dedupe_percent=25,
        repeat=repeat,
    )


SMALL = Case(name="10,000 files of 4 KiB", options=_options(10_000, 4 << 10), files=10_000, aim=at_least(2))
LARGE = Case(name="8 files of 64 MiB", options=_options(8, 64 << 20), files=8, aim=at_least(1))
DEEP = Case(
    name="100 x 10 files of 4 KiB, up to 15 deep", options=_options(10, 4 << 10, depth=15, repeat=100), files=1_000, aim=at_least(2)
)
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 << 30


def run() -> list[Row]:
    """fio's time over ours, pair by pair in alternation; fio's includes the start of its process, as in a run."""
    try:
        program = find_fio()
    except UsageError as error:
        return [Row.skipped(f"writer: {case.name}", str(error)) for case in (SMALL, LARGE, DEEP)]
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    with Children() as children:
        if not in_memory:
            return [_measure(case, "disk", None, program, children, case.aim) for case in (SMALL, LARGE, DEEP)]
        rows = [_measure(case, "memory", MEMORY, program, children, case.aim) for case in (SMALL, LARGE, DEEP)]
        return rows + [_measure(case, "disk", None, program, children, None) for case in (SMALL, LARGE)]


def _measure(case: Case, where: str, parent: Path | None, program: str, children: Children, aim: Aim | None) -> Row:
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(dir=parent) as base:
        place = Path(base) / "data"
        for _ in range(REPEATS):
            ours.append(_written(case, NativeFileWriter(place, "bench", CHUNK_BYTES)))
            theirs.append(_written(case, FioFileWriter(place, "bench", program, children)))
    return Row(
        name=f"writer: {case.name}, {where}: speed against fio",
        measured=median(b / a for a, b in zip(ours, theirs, strict=True)),
        aim=aim,
        note=f"native {median(ours):.2f} s, fio {median(theirs):.2f} s",
    )


def _written(case: Case, writer: RandomFileWriter) -> float:
    """Seconds of one write into a new directory."""
    directory = writer.data_directory(Context())
    took_s = seconds(lambda: writer.write_random_files(Context(), case.options, SEED))
    paths = [path for path in directory.rglob("file_*") if path.is_file()]
    # A branch that is drawn twice is overwritten, by both in the same way.
    assert len(paths) > case.files * 0.5
    assert sum(path.stat().st_size for path in paths) == len(paths) * case.options.max_file_size
    shutil.rmtree(directory)
    return took_s
