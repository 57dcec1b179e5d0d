"""A fingerprint says all that has to come back, and nothing else."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import fingerprint as module
from seatrial.checker.compare import DamageKind, compare
from seatrial.checker.fingerprint import Fingerprint, TreeChangedError, fingerprint
from seatrial.checker.nodes import DEFAULT_KEEPS, ID_BYTES, Kind, decode, from_printable, printable
from seatrial.context import Context
from seatrial.errors import CancelledError, HarnessError

ALL = frozenset({"mode", "owner", "mtime", "xattr", "hardlink"})

Tree = dict[bytes, "bytes | str | Tree"]
"""By name: bytes are a file, a string is a link's target, a dict a directory."""

_NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).map(str.encode)
if sys.platform == "linux":
    _NAME |= st.binary(min_size=1, max_size=12).map(lambda raw: raw.translate(bytes.maketrans(b"/\0", b"_-")))
else:
    _NAME = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True).map(str.encode)
_NAME = _NAME.filter(lambda name: name not in {b".", b".."})
_SIZES = [0, 1, 65_535, 65_536, 65_537, 200_000]
_CONTENT = st.one_of(st.binary(max_size=64), st.sampled_from(_SIZES).map(lambda size: b"x" * size))
_TARGET = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
trees = st.recursive(
    st.dictionaries(_NAME, st.one_of(_CONTENT, _TARGET), max_size=5),
    lambda inner: st.dictionaries(_NAME, st.one_of(_CONTENT, _TARGET, inner), max_size=5),
    max_leaves=12,
)


def build(tree: Tree, at: Path, names: list[bytes] | None = None) -> None:
    at.mkdir(parents=True, exist_ok=True)
    for name in names or tree:
        path, what = at / os.fsdecode(name), tree[name]
        if isinstance(what, bytes):
            path.write_bytes(what)
        elif isinstance(what, str):
            path.symlink_to(what)
        else:
            build(what, path)


def some_tree(at: Path) -> None:
    build({b"a": b"one", b"d": {b"b": b"two", b"e": {b"c": b"three"}}, b"l": "a", b"empty": {}}, at)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_the_same_tree_built_in_another_order_has_the_same_nodes(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as base:
        build(tree, Path(base) / "one")
        build(tree, Path(base) / "two", sorted(tree, reverse=True))
        first, second = fingerprint(Path(base) / "one"), fingerprint(Path(base) / "two")
    assert first == second
    assert compare(first.root, second, first.nodes.get) == []


@settings(max_examples=60, deadline=None)
@given(trees)
def test_counts_and_hashes_are_those_of_the_files(tree: Tree) -> None:
    def contents(level: Tree) -> list[bytes]:
        below = [contents(what) for what in level.values() if isinstance(what, dict)]
        return [what for what in level.values() if isinstance(what, bytes)] + [content for inner in below for content in inner]

    def stored(found: Fingerprint, node: str) -> list[bytes]:
        hashes = []
        for entry in decode(found.nodes[node]):
            assert isinstance(entry.reference, bytes)
            if entry.kind is Kind.FILE:
                hashes.append(entry.reference)
            elif entry.kind is Kind.DIRECTORY:
                hashes += stored(found, entry.reference.hex())
        return hashes

    with tempfile.TemporaryDirectory() as base:
        build(tree, Path(base))
        found = fingerprint(Path(base))
    assert (found.files, found.bytes) == (len(contents(tree)), sum(map(len, contents(tree))))
    assert sorted(stored(found, found.root)) == sorted(blake3(content).digest(ID_BYTES) for content in contents(tree))


@given(st.binary(max_size=30))
def test_a_printable_path_is_one_line_and_can_be_turned_back(path: bytes) -> None:
    text = printable(path)
    assert text.isprintable()
    assert from_printable(text) == path


def test_a_change_touches_only_the_nodes_above_it(tmp_path: Path) -> None:
    some_tree(tmp_path)
    before = fingerprint(tmp_path)
    (tmp_path / "d/b").write_bytes(b"TWO")
    after = fingerprint(tmp_path)
    assert len(before.nodes.keys() & after.nodes.keys()) == 2  # d/e and the empty directory
    assert len(after.nodes.keys() - before.nodes.keys()) == 2  # d and the root


def test_the_roots_own_name_mode_and_time_do_not_matter(tmp_path: Path) -> None:
    some_tree(tmp_path / "one")
    before = fingerprint(tmp_path / "one")
    moved = (tmp_path / "one").rename(tmp_path / "two")
    moved.chmod(0o711)
    os.utime(moved, (1, 1))
    assert fingerprint(moved) == before
    assert fingerprint(moved, keeps=ALL - {"mtime"}).files == before.files


@pytest.mark.parametrize("kept", sorted(ALL - {"owner"}))
def test_what_a_target_does_not_keep_does_not_matter_and_what_it_keeps_does(tmp_path: Path, kept: str) -> None:
    some_tree(tmp_path)
    (tmp_path / "twin").write_bytes(b"one")
    before = {keeps: fingerprint(tmp_path, keeps=keeps).root for keeps in (frozenset[str](), frozenset({kept}))}
    if kept == "mode":
        (tmp_path / "a").chmod(0o600)
    elif kept == "mtime":
        os.utime(tmp_path / "a", ns=(1, 1))
    elif kept == "hardlink":
        (tmp_path / "twin").unlink()
        (tmp_path / "twin").hardlink_to(tmp_path / "a")
    else:
        try:
            os.setxattr(tmp_path / "a", "user.seatrial", b"1")
        except (AttributeError, OSError):
            pytest.skip("no extended attributes here")
    assert fingerprint(tmp_path, keeps=frozenset()).root == before[frozenset()]
    assert fingerprint(tmp_path, keeps=frozenset({kept})).root != before[frozenset({kept})]


def test_hard_links_from_outside_of_the_tree_do_not_matter(tmp_path: Path) -> None:
    some_tree(tmp_path / "tree")
    before = fingerprint(tmp_path / "tree", keeps=ALL)
    (tmp_path / "outside").hardlink_to(tmp_path / "tree/a")
    assert fingerprint(tmp_path / "tree", keeps=ALL) == before


def test_hard_links_across_directories_are_the_same_in_a_copy_made_in_another_order(tmp_path: Path) -> None:
    for name, order in (("one", ("a/x", "b/y", "c")), ("two", ("c", "b/y", "a/x"))):
        for directory in ("a", "b"):
            (tmp_path / name / directory).mkdir(parents=True)
        (tmp_path / name / order[0]).write_bytes(b"shared")
        for other in order[1:]:
            (tmp_path / name / other).hardlink_to(tmp_path / name / order[0])
    keeps = frozenset({"hardlink"})
    assert fingerprint(tmp_path / "one", keeps=keeps) == fingerprint(tmp_path / "two", keeps=keeps)


def test_a_tree_deeper_than_pythons_stack_is_read(tmp_path: Path) -> None:
    levels = [f"{tmp_path}{'/d' * depth}" for depth in range(1, 1201)]
    for level in levels:
        os.mkdir(level)  # noqa: PTH102 - a Path of so many parts is slow
    try:
        found = fingerprint(tmp_path)
    finally:
        for level in reversed(levels):
            os.rmdir(level)  # noqa: PTH106  # deep trees of bytes
    assert len(found.nodes) == 1201
    other = fingerprint(tmp_path)
    assert [(one.damage, one.path) for one in compare(found.root, other, found.nodes.get)] == [(DamageKind.MISSING, "d")]


def test_a_file_that_grows_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(b"x" * 300_000)
    real = os.readv

    def growing(fd: int, buffers: list[bytearray]) -> int:
        with (tmp_path / "log").open("ab") as file:
            file.write(b"y")
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", growing)
    with pytest.raises(TreeChangedError, match="log: changed while it was read"):  # and soon, though it never stops growing
        fingerprint(tmp_path)


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_file_that_is_rewritten_or_shrinks_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tmp_path / "log").write_bytes(b"x" * size)
    real = os.readv

    def shrinking(fd: int, buffers: list[bytearray]) -> int:
        read = real(fd, buffers)
        os.truncate(tmp_path / "log", 5)
        return read

    monkeypatch.setattr(os, "readv", shrinking)
    with pytest.raises(TreeChangedError, match="log"):
        fingerprint(tmp_path)


def test_a_file_that_vanishes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone\n").write_bytes(b"x")
    real = os.open

    def late(path: str | bytes, flags: int, *args: int, dir_fd: int | None = None) -> int:
        if path == b"gone\n":
            (tmp_path / "gone\n").unlink()
        return real(path, flags, *args, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(TreeChangedError, match=r"gone\\x0a: changed while it was read: No such file"):
        fingerprint(tmp_path)


def test_a_missing_root_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="No such file"):
        fingerprint(tmp_path / "nothing")


@pytest.mark.parametrize(("code", "said"), [(errno.EACCES, "Permission denied"), (errno.EIO, "Input/output error")])
def test_an_unreadable_file_is_an_error_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> None:
    (tmp_path / "secret").write_bytes(b"x")

    def refuse(_fd: int, _buffers: list[bytearray]) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "readv", refuse)
    with pytest.raises(HarnessError, match=rf"secret: cannot be read: {said} \(check"):
        fingerprint(tmp_path)


def test_a_fifo_is_recorded_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = fingerprint(tmp_path)
    assert [entry.kind for entry in decode(found.nodes[found.root])] == [Kind.FIFO]
    assert found.files == 0


def test_cancellation_is_noticed_within_a_directory(tmp_path: Path) -> None:
    for n in range(module._CHECK_MASK + 2):
        (tmp_path / f"f{n}").touch()
    ctx = Context()
    ctx.cancel.cancel("enough")
    with pytest.raises(CancelledError, match="enough"):
        fingerprint(tmp_path, ctx=ctx)


def test_progress_counts_the_bytes_read(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 10)
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    ctx = Context()
    ctx.progress.start("fingerprint")
    fingerprint(tmp_path, keeps=DEFAULT_KEEPS, ctx=ctx)
    assert ctx.progress.done == 300_010


@pytest.mark.parametrize("load", [0.0, 1000.0])
def test_a_large_file_has_the_same_hash_on_idle_and_on_busy_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float) -> None:
    content = bytes(blake3(b"large").digest(9_000_001))
    (tmp_path / "large").write_bytes(content)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    found = fingerprint(tmp_path)
    assert [entry.reference for entry in decode(found.nodes[found.root])] == [blake3(content).digest(ID_BYTES)]
