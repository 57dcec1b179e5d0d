"""The duplicate percentage is real: a target that cuts at content finds most of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seatrial.children import Children
from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.workload.native import NativeFileWriter

RESTIC_CHUNK_BYTES = 512 << 10


@pytest.mark.slow
@pytest.mark.needs_program("restic")
@pytest.mark.parametrize(
    ("low", "high", "files", "percent"),
    [(32 << 20, 48 << 20, 2, 50), (1 << 20, 6 << 20, 15, 50), (4096, 400_000, 150, 75), (40 << 20, 40 << 20, 1, 0)],
)
def test_restic_stores_that_much_less(tmp_path: Path, low: int, high: int, files: int, percent: int) -> None:
    options = WriteOptions(
        max_dir_depth=0,
        min_num_files_per_write=files,
        max_num_files_per_write=files,
        min_file_size=low,
        max_file_size=high,
        min_dedupe_percent=percent,
        max_dedupe_percent=percent,
    )
    total = 0
    for client in ("client-1", "client-2", "client-3"):
        writer = NativeFileWriter(tmp_path / "data" / client, client, RESTIC_CHUNK_BYTES)
        total += writer.write_random_files(Context(), options, len(client))["bytes-written"]
    saved = 100 - 100 * _stored(tmp_path) / total
    # The pool itself is stored once, and the chunks at the ends of a run are not duplicates.
    assert percent - 15 <= saved <= percent + 3


def _stored(tmp_path: Path) -> int:
    environment = {"RESTIC_PASSWORD": "test", "RESTIC_CACHE_DIR": str(tmp_path / "cache")}
    with Children() as children:

        def restic(*args: str) -> str:
            argv = ["restic", "--repo", str(tmp_path / "repository"), *args]
            done = children.run(argv, scratch=tmp_path, env=environment)
            assert done.returncode == 0, done.stderr
            return done.stdout

        restic("init")
        summary = json.loads(restic("backup", "--json", str(tmp_path / "data")).splitlines()[-1])
    return int(summary["data_added"])
