"""fio as a writer, where it is installed; what it says when it fails, with a program that only pretends to be it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.children import Children
from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.errors import CancelledError, DeadlineExceededError, HarnessError, NoSpaceError, UsageError
from seatrial.workload.fio import FioFileWriter, find_fio

OPTIONS = WriteOptions(
    max_dir_depth=2, min_num_files_per_write=6, max_num_files_per_write=6, min_file_size=4096, max_file_size=40_000, max_dedupe_percent=0
)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children() as running:
        yield running


def contents(writer: FioFileWriter) -> dict[str, bytes]:
    root = writer.data_directory(Context())
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.needs_program("fio")
def test_files_are_as_asked_and_the_same_seed_writes_the_same(tmp_path: Path, children: Children) -> None:
    trees = []
    for name, seed in (("a:b", 1), ("c", 1), ("d", 2)):
        writer = FioFileWriter(tmp_path / name, "client-1", find_fio(), children)
        used = writer.write_random_files(Context(), OPTIONS, seed)
        written = contents(writer)
        assert used["files-written"] == len(written) == 6
        assert used["bytes-written"] == sum(map(len, written.values()))
        assert all(4096 <= len(content) <= 40_000 and any(content) for content in written.values())
        trees.append(written)
    assert trees[0] == trees[1]
    assert trees[0] != trees[2]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a:b", "c", "d"]


@pytest.mark.needs_program("fio")
def test_an_io_limit_ends_the_write_and_leaves_no_holes(tmp_path: Path, children: Children) -> None:
    writer = FioFileWriter(tmp_path / "data", "client-1", find_fio(), children)
    options = WriteOptions(
        max_dir_depth=0,
        min_num_files_per_write=9,
        max_num_files_per_write=9,
        min_file_size=8192,
        max_file_size=8192,
        io_limit_per_write=20_480,
    )
    used = writer.write_random_files(Context(), options, 1)
    assert used["files-written"] == 3
    assert used["bytes-written"] == sum(map(len, contents(writer).values())) == 20_480


@pytest.mark.needs_program("fio")
def test_duplicates_are_fios(tmp_path: Path, children: Children) -> None:
    writer = FioFileWriter(tmp_path / "data", "client-1", find_fio(), children)
    options = WriteOptions(
        max_dir_depth=0,
        max_num_files_per_write=1,
        min_file_size=1 << 20,
        max_file_size=1 << 20,
        min_dedupe_percent=75,
        max_dedupe_percent=75,
    )
    writer.write_random_files(Context(), options, 1)
    (content,) = contents(writer).values()
    blocks = {content[at : at + 4096] for at in range(0, len(content), 4096)}
    assert len(blocks) < 128


def test_a_missing_program_is_a_usage_error_with_a_remedy() -> None:
    with pytest.raises(UsageError, match=r"no-such-fio.* is not on PATH \(install fio, or use writer = \"native\""):
        find_fio("no-such-fio")


def pretend(tmp_path: Path, children: Children, script: str) -> FioFileWriter:
    program = tmp_path / "fio"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return FioFileWriter(tmp_path / "data", "client-1", str(program), children)


def test_a_full_disk_is_no_space(tmp_path: Path, children: Children) -> None:
    writer = pretend(tmp_path, children, "echo 'fio: io_u error on file file_1: No space left on device: write' >&2; exit 1")
    with pytest.raises(NoSpaceError, match="no space left on device"):
        writer.write_random_files(Context(), OPTIONS, 1)


@pytest.mark.parametrize("script", ["echo broken >&2; exit 3", "echo broken", "echo '{\"jobs\": []}broken'"])
def test_a_failure_says_what_fio_said(tmp_path: Path, children: Children, script: str) -> None:
    with pytest.raises(HarnessError, match="broken"):
        pretend(tmp_path, children, script).write_random_files(Context(), OPTIONS, 1)


def test_cancellation_ends_fio(tmp_path: Path, children: Children) -> None:
    ctx = Context()
    writer = pretend(tmp_path, children, f"touch {tmp_path}/started; exec sleep 60")
    errors: list[BaseException] = []

    def write() -> None:
        try:
            writer.write_random_files(ctx, OPTIONS, 1)
        except CancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    while not (tmp_path / "started").exists():
        assert thread.is_alive()
    ctx.cancel.cancel("stop")
    thread.join(10)
    assert [str(error) for error in errors] == ["stop"]


def test_a_deadline_ends_fio(tmp_path: Path, children: Children) -> None:
    writer = pretend(tmp_path, children, "exec sleep 60")
    with pytest.raises(DeadlineExceededError):
        writer.write_random_files(Context().within(0.3), OPTIONS, 1)


def test_empty_files_are_refused(tmp_path: Path, children: Children) -> None:
    writer = pretend(tmp_path, children, "exit 0")
    with pytest.raises(UsageError, match="fio cannot write empty files"):
        writer.write_random_files(Context(), WriteOptions(min_file_size=0, max_file_size=0), 1)
