"""What the machine gives, and what of it is ours to delete."""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from seatrial import resources
from seatrial.errors import UsageError
from seatrial.guard import MARKER_NAME
from seatrial.history.runs import create_run
from seatrial.resources import (
    Ballast,
    available_memory_bytes,
    core_count,
    free_space_bytes,
    is_marked,
    marked_directory,
    raise_open_files,
    remove_marked_tree,
)


def test_open_files_are_raised_to_the_hard_limit_but_not_beyond_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(256, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert raise_open_files() == 4096
    limits.append((256, 1 << 30))
    assert raise_open_files() == resources.OPEN_FILES_WANTED
    assert limits[-1] == (resources.OPEN_FILES_WANTED, 1 << 30)


def test_open_files_are_never_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("was changed"))
    assert raise_open_files() == 1 << 20


def test_open_files_fall_back_where_the_system_refuses_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_much(_: int, pair: tuple[int, int]) -> None:
        if pair[0] > 10_240:
            raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse_much)
    assert raise_open_files() == 10_240


def cgroup(tmp_path: Path, text: str, files: dict[str, str]) -> tuple[Path, Path]:
    root = tmp_path / "cgroup"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (tmp_path / "self").write_text(text)
    return root, tmp_path / "self"


def test_cores_are_at_least_one_and_at_most_the_machines() -> None:
    assert 1 <= core_count() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n"}),
        ("3:cpu,cpuacct:/a\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}),
    ],
)
def test_cores_honour_the_quota_of_any_group_above_rounded_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, files: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert core_count(*cgroup(tmp_path, text, files)) == 2


def test_cores_honour_affinity_where_there_is_no_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert core_count(*cgroup(tmp_path, "0::/\n", {"cpu.max": "max 100000\n"})) == 3
    assert core_count(tmp_path / "none", tmp_path / "none") == 3


def test_memory_is_what_the_tightest_group_leaves_with_file_pages_given_back(tmp_path: Path) -> None:
    files = {"a/memory.max": "1000000\n", "a/memory.current": "800000\n", "a/memory.stat": "anon 1\ninactive_file 50000\n"}
    assert available_memory_bytes(*cgroup(tmp_path, "0::/a\n", files)) == 250_000


def test_memory_is_the_machines_where_no_group_limits_it(tmp_path: Path) -> None:
    left = available_memory_bytes(*cgroup(tmp_path, "0::/a\n", {"a/memory.max": "max\n", "a/memory.current": "1\n"}))
    assert 0 < left <= psutil.virtual_memory().total


def test_free_space_is_told_for_what_does_not_exist_yet(tmp_path: Path) -> None:
    statistics = os.statvfs(tmp_path)
    total = statistics.f_blocks * statistics.f_frsize
    assert 0 < free_space_bytes(tmp_path / "not" / "yet") <= total


def test_a_ballast_takes_real_blocks_and_gives_them_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 3_000_001)
    status = ballast.path.stat()
    assert status.st_size == 3_000_001
    assert status.st_blocks * 512 >= 3_000_001
    ballast.release()
    ballast.release()
    assert not ballast.path.exists()


def test_a_ballast_without_room_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "urandom", full)
    with pytest.raises(UsageError, match=r"no room for a ballast of 10 bytes.*free some space"):
        Ballast(tmp_path / "ballast", 10)
    assert not (tmp_path / "ballast").exists()


def test_a_ballast_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "ballast").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        Ballast(tmp_path / "ballast", 10)
    assert (tmp_path / "ballast").read_text() == "mine"


@pytest.mark.parametrize("make", [marked_directory, lambda path: create_run(path, "smoke")], ids=["marked", "run"])
def test_a_path_that_no_journal_could_hold_is_refused_before_anything_is_made(make: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the path is not UTF-8 .*locale"):
        make(tmp_path / os.fsdecode(b"l\xfcbeck"))
    assert not [*tmp_path.iterdir()]


def test_a_marked_directory_is_made_with_parents_and_made_again_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert not is_marked(path)
    assert marked_directory(path) == path
    (path / "file").write_text("x")
    assert marked_directory(path) == path
    assert is_marked(path)
    assert not is_marked(tmp_path / "a")


def test_a_directory_with_somebodys_files_is_never_marked(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="seatrial did not make it"):
        marked_directory(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_marker_torn_by_a_crash_is_written_again(tmp_path: Path) -> None:
    (tmp_path / MARKER_NAME).write_text("")
    assert not is_marked(tmp_path)
    assert is_marked(marked_directory(tmp_path))


def test_a_file_in_the_way_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="a file is in the way") as caught:
        marked_directory(tmp_path / "file" / "sub")
    assert caught.value.where == str(tmp_path / "file" / "sub")


def test_only_marked_directories_are_removed(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "forged").mkdir()
    (tmp_path / "forged" / MARKER_NAME).write_text("")
    ours = marked_directory(tmp_path / "ours")
    (tmp_path / "link").symlink_to(ours)
    for refused in ("plain", "forged", "link"):
        with pytest.raises(UsageError, match="not removed"):
            remove_marked_tree(tmp_path / refused)
    assert ours.exists()
    remove_marked_tree(tmp_path / "missing")
    remove_marked_tree(ours)
    assert not ours.exists()


def test_removal_takes_odd_names_and_closed_directories_and_never_follows_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    ours = marked_directory(tmp_path / "ours")
    (ours / "to-directory").symlink_to(outside)
    (ours / "to-file").symlink_to(outside / "precious")
    (ours / "dangling").symlink_to("nowhere")
    closed = ours / "closed" / "inner"
    closed.mkdir(parents=True)
    (closed / "file").write_text("x")
    closed.chmod(0)
    closed.parent.chmod(stat.S_IXUSR)
    os.mkfifo(ours / "pipe")
    (ours / "-rf\n*").mkdir()
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(ours) + b"/\xff\xfe")).write_text("x")
    remove_marked_tree(ours)
    assert not ours.exists()
    assert (outside / "precious").read_text() == "x"


def test_removal_takes_a_tree_deeper_than_any_path_may_be_long(tmp_path: Path) -> None:
    ours = marked_directory(tmp_path / "ours")
    fd = os.open(ours, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=fd)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    remove_marked_tree(ours)
    assert not ours.exists()


def test_the_marker_goes_last_so_that_half_a_removal_can_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = marked_directory(tmp_path / "ours")
    for name in ("!first", "zlast"):
        (ours / name).write_text("x")
    real = os.unlink

    def refuse_last(name: bytes, **options: int) -> None:
        if name == b"zlast":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)
        real(name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse_last)
        with pytest.raises(UsageError, match=r"cannot be removed: .* at zlast .*change its owner or flags") as caught:
            remove_marked_tree(ours)
    assert caught.value.where == str(ours)
    assert is_marked(ours)
    remove_marked_tree(ours)
    assert not ours.exists()
