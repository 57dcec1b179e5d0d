"""Every kind of damage is found, named and told; a clean copy has none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from seatrial.checker.compare import DamageKind, Difference, compare, describe
from seatrial.checker.evidence import keep_evidence
from seatrial.checker.fingerprint import Fingerprint, fingerprint
from seatrial.checker.nodes import decode, encode, node_id
from seatrial.errors import InconclusiveError

ALL = frozenset({"mode", "owner", "mtime", "xattr", "hardlink"})


def render(found: Iterable[Difference]) -> list[str]:
    return [describe(one.path, one.damage.value, one.expected, one.actual) for one in found]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "d/e").mkdir(parents=True)
    (root / "quiet").mkdir()
    (root / "quiet/still").write_bytes(b"still")
    (root / "a").write_bytes(b"content of a")
    (root / "d/b").write_bytes(b"content of b")
    (root / "d/e/c").write_bytes(b"c" * 100_000)
    (root / "d/twin").hardlink_to(root / "d/b")
    (root / "link").symlink_to("a")
    return root


@pytest.fixture
def restored(source: Path, tmp_path: Path) -> Path:
    root = tmp_path / "restored"
    shutil.copytree(source, root, symlinks=True)
    (root / "d/twin").unlink()
    (root / "d/twin").hardlink_to(root / "d/b")
    for directory, _, _ in os.walk(source, topdown=False):
        shutil.copystat(directory, root / Path(directory).relative_to(source))
    return root


def differences(source: Path, restored: Path, keeps: frozenset[str] = ALL) -> list[Difference]:
    expected = fingerprint(source, keeps=keeps)
    return compare(expected.root, fingerprint(restored, keeps=keeps), expected.nodes.get)


def test_a_clean_copy_has_no_difference(source: Path, restored: Path) -> None:
    assert differences(source, restored) == []


def _flip(root: Path) -> None:
    data = bytearray((root / "d/e/c").read_bytes())
    data[77_777] ^= 1
    _rewrite(root / "d/e/c", bytes(data))


def _rewrite(path: Path, data: bytes) -> None:
    """Without a trace in the times."""
    status, parent = path.stat(), path.parent.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(path.parent, ns=(parent.st_atime_ns, parent.st_mtime_ns))


def _replace(make: Callable[[Path], object], name: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        path = root / name
        path.unlink()
        make(path)

    return plant


PLANTED: dict[str, tuple[Callable[[Path], object], DamageKind, str, str]] = {
    "a lost file": (lambda root: (root / "d/b").unlink(), DamageKind.MISSING, "d/b", "d/b: missing (file of 12 bytes)"),
    "a lost directory": (
        lambda root: shutil.rmtree(root / "d/e"),
        DamageKind.MISSING,
        "d/e",
        "d/e: missing (directory and all below it)",
    ),
    "a file too much": (lambda root: (root / "d/z").write_bytes(b"z"), DamageKind.EXTRA, "d/z", "d/z: extra (file of 1 bytes)"),
    "a flipped byte": (_flip, DamageKind.CONTENT, "d/e/c", "d/e/c: content: expected blake3 "),
    "a shorter file": (
        lambda root: _rewrite(root / "a", b"content"),
        DamageKind.SIZE,
        "a",
        "a: size: expected 12 bytes, got 7 bytes",
    ),
    "a link instead of a file": (
        _replace(lambda path: path.symlink_to("b"), "a"),
        DamageKind.KIND,
        "a",
        "a: kind: expected file of 12 bytes, got symlink -> b",
    ),
    "another target": (_replace(lambda path: path.symlink_to("b"), "link"), DamageKind.LINK, "link", "link: link: expected -> a, got -> b"),
    "another mode": (lambda root: (root / "d").chmod(0o700), DamageKind.MODE, "d", "d: mode: expected 0755, got 0700"),
    "another time": (
        lambda root: os.utime(root / "a", ns=(0, 0)),
        DamageKind.MTIME,
        "a",
        "a: mtime: expected ",
    ),
    "a broken hard link": (
        _replace(lambda path: shutil.copy2(path.parent / "b", path), "d/twin"),
        DamageKind.HARDLINK,
        "d/twin",
        "d/twin: hardlink: expected another name of d/b, got a file of its own",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_damage_is_named(source: Path, restored: Path, name: str) -> None:
    plant, damage, path, line = PLANTED[name]
    (source / "d").chmod(0o755)
    (restored / "d").chmod(0o755)
    plant(restored)
    found = differences(source, restored, ALL if damage in {DamageKind.MTIME, DamageKind.HARDLINK} else ALL - {"mtime", "hardlink"})
    named = [difference for difference in found if difference.damage is damage]
    assert [difference.path for difference in named] == [path]
    assert {difference.damage for difference in found} <= {damage, DamageKind.MTIME}
    assert any(rendered.startswith(line) for rendered in render(found))


def test_a_lost_or_changed_extended_attribute_is_named(source: Path, restored: Path) -> None:
    try:
        os.setxattr(source / "a", "user.kept", b"1")
        os.setxattr(source / "a", "user.lost", b"2")
        os.setxattr(restored / "a", "user.kept", b"1")
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    assert render(differences(source, restored)) == ["a: xattr: expected user.lost=b'2', got no user.lost"]


def changed(found: Fingerprint, uid: int) -> Fingerprint:
    """The same tree with one owner for all entries of its root."""
    entries = [msgspec.structs.replace(entry, uid=uid, gid=uid) for entry in decode(found.nodes[found.root])]
    node = encode(entries)
    return Fingerprint(root=node_id(node), nodes={**found.nodes, node_id(node): node}, files=found.files, bytes=found.bytes)


def test_an_owner_counts_unless_the_source_was_roots(source: Path) -> None:
    found = fingerprint(source)
    of_root, of_user, of_other = changed(found, 0), changed(found, 1000), changed(found, 1001)
    assert compare(of_root.root, of_user, of_root.nodes.get) == []
    lines = render(compare(of_user.root, of_other, of_user.nodes.get))
    assert "a: owner: expected 1000:1000, got 1001:1001" in lines
    assert len(lines) == 4


def test_only_what_differs_is_looked_up(source: Path, restored: Path) -> None:
    expected = fingerprint(source)
    (restored / "d/e/c").write_bytes(b"changed")
    asked: list[str] = []

    def lookup(node: str) -> bytes:
        asked.append(node)
        return expected.nodes[node]

    compare(expected.root, fingerprint(restored), lookup)
    assert len(asked) == 3  # the root, d, d/e; not quiet


@pytest.mark.parametrize("lookup", [{}.get, {}.__getitem__])
def test_a_node_that_is_not_known_is_inconclusive(source: Path, restored: Path, lookup: Callable[[str], bytes | None]) -> None:
    (restored / "a").write_bytes(b"changed")
    with pytest.raises(InconclusiveError, match="fingerprint is incomplete"):
        compare(fingerprint(source).root, fingerprint(restored), lookup)


def test_a_damaged_node_is_inconclusive(source: Path, restored: Path) -> None:
    (restored / "a").write_bytes(b"changed")
    with pytest.raises(InconclusiveError, match="cannot be read"):
        compare(fingerprint(source).root, fingerprint(restored), lambda _: b"\xff\x00")


def test_many_differences_are_bounded_and_counted(source: Path, restored: Path) -> None:
    for n in range(30):
        (source / f"f{n:02}").touch()
    expected = fingerprint(source)
    found = compare(expected.root, fingerprint(restored), expected.nodes.get, limit=10)
    assert len(found) == 11
    assert found[-1].damage is DamageKind.MORE
    assert render(found)[-1] == "and 20 more"


def test_lost_content_is_not_lost_among_many_differences_of_metadata(source: Path, restored: Path) -> None:
    for root in (source, restored):
        for n in range(30):
            (root / f"f{n:02}").touch(mode=0o600 if root is source else 0o644)
    (restored / "quiet/still").write_bytes(b"other")
    expected = fingerprint(source)
    found = compare(expected.root, fingerprint(restored), expected.nodes.get, limit=10)
    assert [one.damage for one in found] == [DamageKind.MODE] * 9 + [DamageKind.CONTENT, DamageKind.MORE]
    assert render(found)[-1] == "and 21 more"


def test_evidence_is_kept_and_bounded(source: Path, restored: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"odd\xff\n\\name") if os.uname().sysname == "Linux" else "odd\n\\name"
    (restored / "d" / odd).write_bytes(b"odd")
    (restored / "a").write_bytes(b"A" * 100)
    (restored / "link").unlink()
    (restored / "link").symlink_to("elsewhere")
    (restored / "d/b").unlink()
    found = differences(source, restored, frozenset())
    left_out = keep_evidence(tmp_path / "evidence", restored, [one.path for one in found], "\n".join(render(found)), max_bytes=50)
    kept = tmp_path / "evidence/restored"
    assert (kept / "a").read_bytes() == b"A" * 50
    assert left_out[0] == "a: only the first 50 of 100 bytes are kept"
    assert "not kept, there are too many" in left_out[1]
    text = (tmp_path / "evidence/difference.txt").read_text()
    assert "d/b: missing" in text
    assert left_out[0] in text

    assert keep_evidence(tmp_path / "more", restored, [one.path for one in found], "") == []
    assert (tmp_path / "more/restored/d" / odd).read_bytes() == b"odd"
    assert os.readlink(tmp_path / "more/restored/link") == "elsewhere"  # noqa: PTH115  # bytes or text as it is
