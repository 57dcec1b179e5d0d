"""A preset's word gives the writer, each client's in a directory of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.children import Children
from seatrial.config.model import WriteOptions
from seatrial.context import Context
from seatrial.errors import UsageError
from seatrial.targets.protocols import Traits
from seatrial.workload.fio import FioFileWriter
from seatrial.workload.native import NativeFileWriter
from seatrial.workload.writers import writer_factory

TRAITS = Traits(
    exclusive=frozenset(), chunk_bytes=4096, keeps=frozenset({"mode"}), client_memory_bytes=1, deleted_in_gc="what nothing refers to"
)


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as running:
        yield running


def test_native_writers_have_a_directory_each_and_keep_to_the_targets_names(tmp_path: Path, children: Children) -> None:
    make = writer_factory("native", tmp_path, TRAITS, children)
    one, two = make("client-1"), make("client-2")
    assert isinstance(one, NativeFileWriter)
    assert [writer.data_directory(Context()) for writer in (one, two)] == [tmp_path / "client-1", tmp_path / "client-2"]
    used = one.write_random_files(Context(), WriteOptions(max_dir_depth=0, max_num_files_per_write=1, max_file_size=4096, oddities=True), 1)
    assert used["oddities-skipped"]["name newline"] == "the target does not keep odd names"


@pytest.mark.needs_program("fio")
def test_fio_writers_are_made_where_fio_is(tmp_path: Path, children: Children) -> None:
    writer = writer_factory("fio", tmp_path, TRAITS, children)("client-1")
    assert isinstance(writer, FioFileWriter)
    assert writer.data_directory(Context()) == tmp_path / "client-1"


def test_without_fio_it_is_said_before_any_client_comes(tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    with pytest.raises(UsageError, match="not on PATH"):
        writer_factory("fio", tmp_path, TRAITS, children)
