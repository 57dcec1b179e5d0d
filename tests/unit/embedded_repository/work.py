"""Backup, restore, prune, check over any store; and trees of files to do it with."""

# ruff: noqa: PTH115, PTH118, PTH211 - paths are bytes here: names need not be text

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

from seatrial.context import Context
from seatrial.targets.embedded.repository.backup import Backup
from seatrial.targets.embedded.repository.check import Check
from seatrial.targets.embedded.repository.prune import Prune
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.restore import Restore
from seatrial.targets.embedded.repository.snapshots import encode_snapshot, load_snapshot
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.repository.trees import read_xattrs
from seatrial.targets.protocols import GcStats, Verification
from tests.unit.embedded_repository.stores import locker, virtual


def backup(repository: Repository, source: Path, *, tag: str = "seatrial-op=run/1", ctx: Context | None = None) -> str:
    ctx = ctx or virtual()
    with locker(repository).hold(ctx, exclusive=False, retry_s=0) as lock:
        repository.refresh_index(ctx)
        snapshot = Backup(ctx, repository, lock).run(source, username="tester", tags=[tag], program="test")
        return repository.save(ctx, Kind.SNAPSHOT, encode_snapshot(snapshot))


def restore(repository: Repository, snapshot: str, into: Path) -> Path:
    ctx = virtual()
    into.mkdir(parents=True, exist_ok=True)
    with locker(repository).hold(ctx, exclusive=False, retry_s=0) as lock:
        loaded = load_snapshot(ctx, repository, snapshot)
        repository.refresh_index(ctx)
        Restore(ctx, repository, lock).run(loaded, into, snapshot)
    return into


def prune(repository: Repository, percent: int = 0) -> GcStats:
    ctx = virtual()
    with locker(repository).hold(ctx, exclusive=True, retry_s=0) as lock:
        return Prune(ctx, repository, lock, max_unused_percent=percent).run()


def check(repository: Repository, *, read_data: bool = True) -> Verification:
    ctx = virtual()
    with locker(repository).hold(ctx, exclusive=False, retry_s=0) as lock:
        return Check(ctx, repository, lock).run(read_data=read_data)


def describe(root: Path, *, times: bool = True) -> dict[str, Any]:
    """Everything that a restore promises to bring back, by path; hard links by the group of their names."""
    found: dict[str, Any] = {}
    groups: dict[tuple[int, int], list[str]] = {}
    base = os.fsencode(root)
    for folder, folders, files in os.walk(base):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            key = base64.b85encode(os.path.relpath(path, base)).decode()
            entry: dict[str, Any] = {"mode": status.st_mode, "uid": status.st_uid, "gid": status.st_gid, "xattrs": _xattrs(path)}
            if times:
                entry["mtime"] = status.st_mtime_ns
            if stat.S_ISREG(status.st_mode):
                entry["content"] = Path(os.fsdecode(path)).read_bytes()
                groups.setdefault((status.st_dev, status.st_ino), []).append(key)
            elif stat.S_ISLNK(status.st_mode):
                entry["target"] = os.readlink(path)
            elif stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
                entry["device"] = status.st_rdev
            found[key] = entry
    for keys in groups.values():
        for key in keys:
            found[key]["links"] = sorted(keys)
    return found


def _xattrs(path: bytes) -> dict[str, str | None]:
    return {xattr.name: xattr.value for xattr in read_xattrs(path)}


def plain_tree(root: Path, *, files: int = 12, salt: str = "") -> Path:
    """A small ordinary tree; every file's content depends on its name and the salt."""
    for number in range(files):
        path = root / f"d{number % 3}" / f"file_{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{salt}{number}-".encode() * (37 * number + 1))
    return root


def odd_tree(root: Path) -> Path:
    """One of everything that the format knows and this user may make."""
    root.mkdir(parents=True, exist_ok=True)
    base = os.fsencode(root)
    for number, name in enumerate(ODD_NAMES):
        Path(os.fsdecode(os.path.join(base, name))).write_bytes(b"content %d" % number)
    (root / "empty").write_bytes(b"")
    (root / "empty-directory").mkdir()
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "sub" / "deeper" / "file").write_bytes(b"x" * 5000)
    (root / "exactly").write_bytes(bytes(range(256)) * 2048)
    (root / "over").write_bytes(bytes(range(256)) * 2048 + b"!")
    with (root / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(2 << 20)
        file.write(b"island")
    os.link(root / "over", root / "sub" / "hard")
    os.link(root / "over", root / "sub" / "deeper" / "harder")
    (root / "link").symlink_to("sub/deeper/file")
    (root / "dangling").symlink_to('<nowhere> & "no\\thing"\t\b\f\u2028\x7f')
    os.symlink(b"not-utf8-\xff\xfe", os.path.join(base, b"raw-link"))
    os.mkfifo(root / "fifo")
    for mode in (0o4755, 0o2711, 0o600, 0o444, 0o1777):
        path = root / f"mode-{mode:o}"
        path.write_bytes(b"m")
        path.chmod(mode)
    (root / "closed").mkdir()
    (root / "closed" / "inside").write_bytes(b"i")
    if os.geteuid() == 0:
        os.mknod(root / "null", 0o644 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(root / "loop", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
        os.chown(root / "empty", 1234, 4321)
    _set_xattr(root / "sub" / "deeper" / "file")
    os.utime(root / "empty", ns=(-300_000_000_000_000_001, -300_000_000_000_000_001))
    os.utime(root / "exactly", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    os.utime(root / "link", ns=(1_500_000_000_000_000_000, 1_500_000_000_000_000_000), follow_symlinks=False)
    (root / "closed").chmod(0o500)
    os.utime(root / "sub", ns=(1_400_000_000_500_000_000, 1_400_000_000_500_000_000))
    return root


def _set_xattr(path: Path) -> None:
    try:
        os.setxattr(path, "user.seatrial", b"\x00value\xff")
        os.setxattr(path, "user.empty", b"")
    except (OSError, AttributeError):
        pass  # this file system has none


ODD_NAMES = (
    b"plain",
    b" leading space",
    b"-dash",
    b"new\nline",
    b"tab\tbell\a\x01\x7f",
    b"quote\"back\\slash'",
    b"<html>&amp;",
    "gr\u00fc\u00dfe-\u65e5\u672c".encode(),
    "nel\u0085zwsp\u200bnbsp\u00a0sep\u2028".encode(),
    "private\ue000unassigned\u0378emoji\U0001f600astral\U000e0001".encode(),
    b"latin1-\xe9\xff",
    b"cut-\xe2\x82",
    b"surrogate-\xed\xa0\x80",
)
