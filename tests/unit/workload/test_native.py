"""The native writer: the reference's formulas, real duplicates, generations, and nothing it does not own."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from seatrial.config.model import DeleteFilesOptions, DeleteSubdirectoryOptions, WriteOptions
from seatrial.context import Context
from seatrial.errors import CancelledError, HarnessError, NoOp, NoSpaceError, UsageError
from seatrial.workload.blocks import BLOCK_BYTES, Own, parse
from seatrial.workload.locks import PathLock
from seatrial.workload.native import NativeFileWriter

CHUNK = 16 * BLOCK_BYTES
FLAT = WriteOptions(max_dir_depth=0, min_num_files_per_write=8, max_num_files_per_write=8, max_file_size=9000, min_file_size=0)


@pytest.fixture
def ctx() -> Context:
    return Context()


@pytest.fixture
def writer(tmp_path: Path) -> NativeFileWriter:
    return NativeFileWriter(tmp_path / "data", "client-1", CHUNK)


def files(writer: NativeFileWriter) -> list[Path]:
    return sorted(path for path in writer.data_directory(Context()).rglob("*") if path.is_file())


def tree(writer: NativeFileWriter) -> dict[str, bytes]:
    root = writer.data_directory(Context())
    return {str(path.relative_to(root)): path.read_bytes() for path in files(writer)}


def test_the_same_seed_writes_the_same_and_another_another(tmp_path: Path, ctx: Context) -> None:
    trees = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        writer = NativeFileWriter(tmp_path / name, "client-1", CHUNK)
        used = [
            writer.write_random_files(ctx, WriteOptions(max_dir_depth=3, max_num_files_per_write=9, max_file_size=20_000), seed + n)
            for n in (0, 5)
        ]
        trees.append((used, tree(writer)))
    assert trees[0] == trees[1]
    assert trees[0] != trees[2]


def test_what_was_drawn_and_done_is_returned(writer: NativeFileWriter, ctx: Context) -> None:
    options = WriteOptions(max_dir_depth=4, max_num_files_per_write=30, max_file_size=20_000)
    used = writer.write_random_files(ctx, options, 3)
    written = files(writer)
    root = writer.data_directory(ctx)
    assert {path.parent for path in written} == {written[0].parent}
    assert len(written[0].relative_to(root).parts) - 1 == used["dir-depth"] <= 4
    assert [path.name for path in sorted(written, key=lambda path: int(path.name[5:]))] == [f"file_{n}" for n in range(used["num-files"])]
    assert used["files-written"] == used["num-files"] == len(written)
    assert used["bytes-written"] == sum(path.stat().st_size for path in written) == ctx.progress.done == ctx.progress.total
    assert used["dedupe-percent"] in {0, 25, 50, 75, 100}
    assert used["io-limit-per-write"] == 0


def test_every_byte_is_of_a_block_that_says_so(writer: NativeFileWriter, ctx: Context) -> None:
    writer.write_random_files(
        ctx, WriteOptions(max_dir_depth=2, max_num_files_per_write=20, min_file_size=500, max_file_size=40 * CHUNK), 5
    )
    root = writer.data_directory(ctx)
    for path in files(writer):
        content = path.read_bytes()
        for offset in range(0, len(content), BLOCK_BYTES):
            header = parse(content[offset : offset + BLOCK_BYTES])
            assert header is not None
            if isinstance(header.identity, Own):
                assert header.identity == Own(client="client-1", path=bytes(path.relative_to(root)), generation=1)
                assert header.n * BLOCK_BYTES == offset


def test_a_second_write_overwrites_and_makes_the_next_generation(writer: NativeFileWriter, ctx: Context) -> None:
    options = WriteOptions(max_dir_depth=0, min_num_files_per_write=5, max_num_files_per_write=5, max_file_size=4096, max_dedupe_percent=0)
    fewer = WriteOptions(max_dir_depth=0, min_num_files_per_write=3, max_num_files_per_write=3, max_file_size=4096, max_dedupe_percent=0)
    writer.write_random_files(ctx, options, 1)
    inode = files(writer)[0].stat().st_ino
    writer.write_random_files(ctx, fewer, 2)
    headers = [parse(path.read_bytes()) for path in files(writer)]
    assert [header.identity.generation for header in headers if header and isinstance(header.identity, Own)] == [2, 2, 2, 1, 1]
    assert files(writer)[0].stat().st_ino == inode


def test_generations_go_on_when_the_client_comes_back(writer: NativeFileWriter, ctx: Context, tmp_path: Path) -> None:
    options = WriteOptions(max_dir_depth=0, max_num_files_per_write=1, max_file_size=4096, max_dedupe_percent=0)
    writer.write_random_files(ctx, options, 1)
    first = tree(writer)
    writer.cleanup(ctx)
    again = NativeFileWriter(tmp_path / "data", "client-1", CHUNK)
    again.write_random_files(ctx, options, 1)
    assert first.keys() == tree(again).keys()
    assert first != tree(again)


@pytest.mark.parametrize("size", [4096, 30_000])
def test_duplicates_of_small_files_are_whole_files_shared_by_all_clients(tmp_path: Path, ctx: Context, size: int) -> None:
    options = WriteOptions(
        max_dir_depth=0,
        min_num_files_per_write=200,
        max_num_files_per_write=200,
        min_file_size=size // 2,
        max_file_size=size,
        min_dedupe_percent=75,
        max_dedupe_percent=75,
    )
    contents: Counter[bytes] = Counter()
    for client in ("client-1", "client-2"):
        writer = NativeFileWriter(tmp_path / client, client, CHUNK)
        used = writer.write_random_files(ctx, options, 1)
        assert abs(used["duplicate-bytes"] / used["bytes-written"] - 0.75) < 0.05
        contents.update(hashlib.sha256(content).digest() for content in tree(writer).values())
    alone = sum(count == 1 for count in contents.values())
    assert 60 <= alone <= 140
    assert len(contents) - alone <= 4


def test_duplicates_within_large_files_are_found_again_wherever_they_lie(tmp_path: Path, ctx: Context) -> None:
    """What a content-defined chunker would find: stretches of 8 KiB cut at content, not at offsets."""
    options = WriteOptions(
        max_dir_depth=0,
        min_num_files_per_write=4,
        max_num_files_per_write=4,
        min_file_size=20 * CHUNK + 5,
        max_file_size=40 * CHUNK,
        min_dedupe_percent=50,
        max_dedupe_percent=50,
    )
    writer = NativeFileWriter(tmp_path / "data", "client-1", CHUNK)
    writer.write_random_files(ctx, options, 2)
    marker, seen, total, again = b"\x07\x07", set(), 0, 0
    for content in tree(writer).values():
        for piece in content.split(marker):
            total += len(piece)
            again += len(piece) if piece in seen else 0
            seen.add(piece)
    # The pool itself (16 chunks) is stored once.
    assert again + 16 * CHUNK > 0.4 * total
    assert again < 0.5 * total


def test_several_writes_in_one_action_draw_each_for_itself(writer: NativeFileWriter, ctx: Context) -> None:
    options = WriteOptions(max_dir_depth=6, max_num_files_per_write=3, max_file_size=5000, repeat=12)
    used = writer.write_random_files(ctx, options, 1)
    assert used["repeat"] == 12
    assert len(used["dir-depth"]) > 1
    assert used["dir-depth"] == sorted(used["dir-depth"])
    assert len({path.parent for path in files(writer)}) > 6


def test_existing_directories_are_reused_down_to_the_branch_depth(writer: NativeFileWriter, ctx: Context) -> None:
    options = WriteOptions(max_dir_depth=3, max_num_files_per_write=1, max_file_size=4096, repeat=60)
    writer.write_random_files(ctx, options, 1)
    root = writer.data_directory(ctx)
    children = [len([child for child in path.iterdir() if child.is_dir()]) for path in (root, *root.rglob("dir_*")) if path.is_dir()]
    assert max(children) > 1  # new branches
    assert len([path for path in root.rglob("dir_*") if path.is_dir()]) < 60  # and old ones


def test_an_io_limit_ends_the_write(writer: NativeFileWriter, ctx: Context) -> None:
    options = WriteOptions(
        max_dir_depth=0,
        min_num_files_per_write=9,
        max_num_files_per_write=9,
        min_file_size=5000,
        max_file_size=5000,
        io_limit_per_write=12_000,
    )
    used = writer.write_random_files(ctx, options, 1)
    assert used["bytes-written"] == used["io-limit-per-write"] == 12_000
    assert [path.stat().st_size for path in files(writer)] == [5000, 5000, 2000]


def test_the_limit_is_cut_by_the_free_space_and_none_left_is_no_space(tmp_path: Path, ctx: Context) -> None:
    free = [10_000]
    writer = NativeFileWriter(tmp_path / "data", "client-1", CHUNK, free_bytes=lambda _: free[0])
    options = WriteOptions(max_dir_depth=0, min_file_size=5000, max_file_size=5000, io_limit_per_write=9000, free_space_limit=4000)
    assert writer.write_random_files(ctx, options, 1)["io-limit-per-write"] == 6000
    free[0] = 4000
    with pytest.raises(NoSpaceError, match="cannot perform I/O"):
        writer.write_random_files(ctx, options, 1)


def test_a_long_write_stops_when_others_fill_the_disk(tmp_path: Path, ctx: Context) -> None:
    looks = iter([1 << 30, 1 << 30, 0])
    writer = NativeFileWriter(tmp_path / "data", "client-1", CHUNK, free_bytes=lambda _: next(looks))
    size = 40 << 20
    options = WriteOptions(max_dir_depth=0, min_num_files_per_write=5, max_num_files_per_write=5, min_file_size=size, max_file_size=size)
    with pytest.raises(NoSpaceError, match="cannot perform I/O"):
        writer.write_random_files(ctx, options, 1)
    assert len(files(writer)) == 2


@pytest.mark.parametrize(("count", "size"), [(1, 40 << 20), (80, 500_000), (3000, 4096)])
def test_what_has_to_stay_free_does_within_a_large_file_and_over_many_small_ones(
    tmp_path: Path, ctx: Context, count: int, size: int
) -> None:
    room, limit = 3 << 20, 1 << 30

    def free(directory: Path) -> int:
        return limit + room - sum(path.stat().st_size for path in directory.glob("file_*"))

    writer = NativeFileWriter(tmp_path / "data", "client-1", CHUNK, free_bytes=free)
    options = WriteOptions(
        max_dir_depth=0,
        min_num_files_per_write=count,
        max_num_files_per_write=count,
        min_file_size=size,
        max_file_size=size,
        free_space_limit=limit,
    )
    with pytest.raises(NoSpaceError, match="cannot perform I/O"):
        writer.write_random_files(ctx, options, 1)
    assert room <= sum(path.stat().st_size for path in files(writer)) <= room + (1 << 20)


def test_generations_go_on_after_a_full_disk(writer: NativeFileWriter, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _text: str) -> int:
        path.open("w").close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    writer.write_random_files(ctx, FLAT, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(NoSpaceError):
            writer.write_random_files(ctx, FLAT, 2)
    writer.write_random_files(ctx, FLAT, 3)
    headers = [parse(path.read_bytes()) for path in files(writer)]
    assert {header.identity.generation for header in headers if header and isinstance(header.identity, Own)} == {2}


@pytest.mark.parametrize("size", [4096, 50_000])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_space(writer: NativeFileWriter, ctx: Context, monkeypatch: pytest.MonkeyPatch, size: int, code: int) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NoSpaceError, match="no space left on device"):
        writer.write_random_files(ctx, WriteOptions(min_file_size=size, max_file_size=size), 1)


def test_a_short_write_of_a_small_file_is_no_space(writer: NativeFileWriter, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda _descriptor, data: len(data) - 1)
    with pytest.raises(NoSpaceError, match=r"file_0: no space left"):
        writer.write_random_files(ctx, WriteOptions(max_dir_depth=0, max_file_size=4096), 1)


def test_another_error_says_where(writer: NativeFileWriter, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(HarnessError, match=r"data/?: the data directory cannot be changed: Input/output error"):
        writer.write_random_files(ctx, FLAT, 1)


def test_whatever_stands_in_the_way_of_a_file_is_replaced(writer: NativeFileWriter, ctx: Context, tmp_path: Path) -> None:
    root = writer.data_directory(ctx)
    (tmp_path / "outside").write_text("untouched")
    (root / "file_0").mkdir()
    (root / "file_0/inside").touch()
    (root / "file_1").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "file_2")
    (root / "file_3").touch(mode=0o444)
    writer.write_random_files(ctx, FLAT, 1)
    assert all((root / f"file_{n}").is_file() and not (root / f"file_{n}").is_symlink() for n in range(8))
    assert (tmp_path / "outside").read_text() == "untouched"


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(UsageError, match="is not empty"):
        NativeFileWriter(tmp_path, "client-1", CHUNK)
    assert (tmp_path / "precious").exists()


def test_a_subdirectory_at_a_random_depth_is_deleted(writer: NativeFileWriter, ctx: Context) -> None:
    root = writer.data_directory(ctx)
    (root / "short").mkdir()
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/file").touch()
    depths = set()
    for seed in range(20):
        (root / "a/b/c").mkdir(parents=True, exist_ok=True)
        (root / "short").mkdir(exist_ok=True)
        used = writer.delete_random_subdirectory(ctx, DeleteSubdirectoryOptions(max_dir_depth=3), seed)
        assert not (root / used["deleted"]).exists()
        assert len(Path(used["deleted"]).parts) == used["dir-depth"]
        depths.add(used["dir-depth"])
    assert depths == {1, 2, 3}


def test_without_a_directory_at_that_depth_nothing_is_done(writer: NativeFileWriter, ctx: Context) -> None:
    with pytest.raises(NoOp, match="no directory"):
        writer.delete_random_subdirectory(ctx, DeleteSubdirectoryOptions(), 1)
    with pytest.raises(NoOp, match="no directory"):
        for seed in range(50):
            writer.delete_directory_contents(ctx, DeleteFilesOptions(), seed)


@pytest.mark.parametrize(("percent", "low", "high"), [(0, 0, 0), (50, 20, 80), (100, 100, 100)])
def test_contents_are_deleted_with_the_given_probability(writer: NativeFileWriter, ctx: Context, percent: int, low: int, high: int) -> None:
    root = writer.data_directory(ctx)
    for n in range(50):
        (root / f"file_{n}").touch()
        (root / f"dir_{n}").mkdir()
        (root / f"dir_{n}/file").touch()
    used = writer.delete_directory_contents(ctx, DeleteFilesOptions(max_dir_depth=0, delete_contents_percent=percent), 1)
    assert low <= used["deleted"] <= high
    assert used["entries"] == 100
    assert len(list(root.iterdir())) == 100 - used["deleted"]


def test_everything_is_deleted_whatever_its_mode_and_links_are_not_followed(writer: NativeFileWriter, ctx: Context, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    root = writer.data_directory(ctx)
    (root / "closed/below").mkdir(parents=True)
    (root / "closed/below/file").touch()
    (root / "closed/below").chmod(0o500)
    (root / "closed").chmod(0)
    (root / "link").symlink_to(outside, target_is_directory=True)
    writer.delete_everything(ctx)
    assert list(root.iterdir()) == []
    assert (outside / "precious").exists()
    writer.cleanup(ctx)
    writer.cleanup(ctx)
    assert not root.exists()


def test_a_directory_that_lets_nobody_in_can_be_written_to(writer: NativeFileWriter, ctx: Context) -> None:
    root = writer.data_directory(ctx)
    (root / "closed").mkdir(mode=0o000)
    options = WriteOptions(max_dir_depth=1, max_num_files_per_write=1, max_file_size=4096, repeat=30)
    writer.write_random_files(ctx, options, 1)
    assert (root / "closed/file_0").exists()


def test_cancellation_stops_a_write(writer: NativeFileWriter, ctx: Context) -> None:
    ctx.cancel.cancel("enough")
    with pytest.raises(CancelledError, match="enough"):
        writer.write_random_files(ctx, FLAT, 1)


def test_a_write_waits_for_who_reads_the_directory(tmp_path: Path, ctx: Context) -> None:
    locks = PathLock()
    writer = NativeFileWriter(tmp_path / "data", "client-1", CHUNK, locks=locks)
    thread = threading.Thread(target=writer.write_random_files, args=(ctx, FLAT, 1))
    with locks.hold(Context(), writer.data_directory(ctx)):
        thread.start()
        while not locks._waiting:
            assert thread.is_alive()
        assert files(writer) == []
    thread.join(10)
    assert len(files(writer)) == 8
