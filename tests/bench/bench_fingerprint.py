"""A fingerprint against reading the same files alone, and against SHA-256 of the same files. All from the page cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from statistics import median

from seatrial.checker.fingerprint import fingerprint
from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.workload.native import NativeFileWriter
from tests.bench.harness import Row, at_least, at_most, ratio, seconds

SMALL_FILES, SMALL_BYTES = 10_000, 4 << 10
LARGE_FILES, LARGE_BYTES = 4, 64 << 20
_READ_BYTES = 64 << 10


def run() -> list[Row]:
    """Medians of alternating pairs."""
    with tempfile.TemporaryDirectory() as base:
        small, large = Path(base) / "small", Path(base) / "large"
        _write(small, SMALL_FILES, SMALL_BYTES)
        _write(large, LARGE_FILES, LARGE_BYTES)
        return [*_against_reading(small), _against_sha256(large)]


def _write(directory: Path, files: int, size: int) -> None:
    options = WriteOptions(
        max_dir_depth=0, min_num_files_per_write=files, max_num_files_per_write=files, min_file_size=size, max_file_size=size
    )
    NativeFileWriter(directory, "bench", 512 << 10).write_random_files(Context(), options, 1)


def _against_reading(directory: Path) -> list[Row]:
    assert fingerprint(directory).bytes == read_alone(directory) == read_flat(directory) == SMALL_FILES * SMALL_BYTES
    figure = ratio(lambda: fingerprint(directory), lambda: read_alone(directory), repeats=11)
    flat = ratio(lambda: fingerprint(directory), lambda: read_flat(directory), repeats=11)
    alone_s = median(seconds(lambda: read_alone(directory)) for _ in range(5))
    return [
        Row(
            name="fingerprint: 10,000 files of 4 KiB, time against reading them alone",
            measured=figure,
            aim=at_most(1.6),
            note=f"os.walk, os.open, os.read to the end: {alone_s * 1e6 / SMALL_FILES:.1f} us a file",
        ),
        Row(
            name="fingerprint: the same against a bare loop over one os.scandir",
            measured=flat,
            note="a reader that knows that there is one directory and nothing but files in it",
        ),
    ]


def _against_sha256(directory: Path) -> Row:
    total = LARGE_FILES * LARGE_BYTES
    assert fingerprint(directory).bytes == total
    figure = ratio(lambda: sha256_all(directory), lambda: fingerprint(directory))
    ours_s = median(seconds(lambda: fingerprint(directory)) for _ in range(5))
    return Row(
        name="fingerprint: 4 files of 64 MiB, speed against SHA-256",
        measured=figure,
        aim=at_least(3),
        note=f"{total / ours_s / 1e9:.1f} GB/s",
    )


def read_alone(directory: Path) -> int:
    """Walk the tree and read each file to its end; bytes read."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            file = os.open(os.path.join(parent, name), os.O_RDONLY)  # noqa: PTH118 - the fast way, for a fair comparison
            while piece := os.read(file, _READ_BYTES):
                total += len(piece)
            os.close(file)
    return total


def read_flat(directory: Path) -> int:
    """Read each file of one directory to its end; bytes read."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            file = os.open(entry.path, os.O_RDONLY)
            while piece := os.read(file, _READ_BYTES):
                total += len(piece)
            os.close(file)
    return total


def sha256_all(directory: Path) -> None:
    """``hashlib.file_digest`` of each file."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
