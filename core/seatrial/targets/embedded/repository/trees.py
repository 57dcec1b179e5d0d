"""Trees: what stands in one directory, exactly as restic writes it, from ``lstat`` and back."""

from __future__ import annotations

import base64
import binascii
import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec

from seatrial.context import Context
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.errors import corrupt
from seatrial.targets.embedded.repository.packs import Blob, BlobType
from seatrial.targets.embedded.repository.repository import Repository

_KINDS = {
    stat.S_IFREG: ("file", 0),
    stat.S_IFDIR: ("dir", 1 << 31),
    stat.S_IFLNK: ("symlink", 1 << 27),
    stat.S_IFIFO: ("fifo", 1 << 25),
    stat.S_IFSOCK: ("socket", 1 << 24),
    stat.S_IFBLK: ("dev", 1 << 26),
    stat.S_IFCHR: ("chardev", 1 << 26 | 1 << 21),
}
"""File type to the node's type and Go's mode bits."""
_MODE_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
NODE_TYPES = frozenset(kind for kind, _ in _KINDS.values())


class Xattr(msgspec.Struct, kw_only=True):
    """One extended attribute; the value is base64."""

    name: str
    value: str | None


class Node(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One entry of a directory. The order of the fields is the order on disk; those with a default are left out where they have it."""

    name: str
    type: str
    mode: int = 0
    mtime: str
    atime: str
    ctime: str
    uid: int
    gid: int
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    linktarget: str = ""
    linktarget_raw: str = ""
    extended_attributes: list[Xattr] = []
    device: int = 0
    content: list[str] | None
    subtree: str = ""
    error: str = ""


class Tree(msgspec.Struct, kw_only=True):
    """The nodes of one directory, ascending by the bytes of their names."""

    nodes: list[Node]


_read = gojson.reader(Tree)


def encode_tree(nodes: list[Node]) -> bytes:
    """The plaintext of a tree blob."""
    return gojson.encode(Tree(nodes=nodes)) + b"\n"


def decode_tree(raw: bytes, where: str) -> list[Node]:
    """The nodes of a tree blob; CORRUPT."""
    tree: Tree = _read(raw, where)
    return tree.nodes


def read_trees(ctx: Context, repository: Repository, ids: Iterable[bytes]) -> Iterator[tuple[bytes, list[Node]]]:
    """(id, nodes) of each tree, in the order of the packs; CORRUPT where one is in no index."""
    locations = []
    for tree_id in ids:
        location = repository.index.find(BlobType.TREE, tree_id)
        if location is None:
            raise corrupt("this tree is in no index", f"tree {tree_id.hex()}")
        locations.append(location)
    for blob, plain in repository.read_trees(ctx, locations):
        yield blob.id, decode_tree(plain, _where(blob))


def _where(blob: Blob) -> str:
    return f"tree {blob.id.hex()}"


def blob_id(text: str, where: str) -> bytes:
    """The bytes of a blob id in a node or snapshot; CORRUPT."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise corrupt(f"{text!r} is no blob id", where)
    return raw


# --- from the file system


@lru_cache(maxsize=1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@lru_cache(maxsize=1024)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def node_of(name: bytes, status: os.stat_result) -> Node:
    """The node of a file, but for its content, subtree, link target and extended attributes."""
    kind, mode = _KINDS[stat.S_IFMT(status.st_mode)]
    mode |= status.st_mode & 0o777
    if status.st_mode & 0o7000:
        for bit, go_bit in _MODE_BITS:
            mode |= go_bit if status.st_mode & bit else 0
    mtime = gojson.format_time(status.st_mtime_ns)
    return Node(
        name=gojson.quote(name),
        type=kind,
        mode=mode,
        mtime=mtime,
        atime=mtime,  # restic writes the access time only when asked to: it would change with every backup
        ctime=gojson.format_time(status.st_ctime_ns),
        uid=status.st_uid,
        gid=status.st_gid,
        user=_user(status.st_uid),
        group=_group(status.st_gid),
        inode=status.st_ino,
        device_id=status.st_dev,
        links=status.st_nlink if kind in ("file", "symlink", "dev", "chardev") else 0,
        device=status.st_rdev if kind in ("dev", "chardev") else 0,
        content=None,
    )


def set_link_target(node: Node, target: bytes) -> None:
    """The target as text, and as bytes too where it is no UTF-8."""
    node.linktarget = target.decode("utf-8", "surrogateescape")
    if not _is_utf8(target):
        node.linktarget_raw = base64.b64encode(target).decode("ascii")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


if hasattr(os, "listxattr"):

    def read_xattrs(path: bytes | int) -> list[Xattr]:
        """Extended attributes of a path (not following a symlink) or an open file; none where they cannot be read."""
        follow = isinstance(path, int)
        try:
            names = os.listxattr(path, follow_symlinks=follow)
        except OSError:
            return []
        found = []
        for name in names:
            try:
                value = os.getxattr(path, name, follow_symlinks=follow)
            except OSError:  # removed meanwhile, or not for us
                continue
            found.append(Xattr(name=name, value=base64.b64encode(value).decode("ascii")))
        return found

    def write_xattr(path: bytes | int, name: bytes, value: bytes) -> None:
        """Set one extended attribute, not following a symlink."""
        os.setxattr(path, name, value, follow_symlinks=isinstance(path, int))

else:  # macOS: Python has no call for them, so that traits and docs must not promise them there

    def read_xattrs(path: bytes | int) -> list[Xattr]:  # noqa: ARG001  # the same signature where there are no attributes
        """None on this system."""
        return []

    def write_xattr(path: bytes | int, name: bytes, value: bytes) -> None:
        """Nothing on this system."""


# --- and back


def name_of(node: Node, where: str) -> bytes:
    """The file name; CORRUPT for one that could lead out of its directory."""
    name = gojson.unquote(node.name)
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise corrupt(f"the file name {node.name!r}", where)
    return name


def link_target_of(node: Node, where: str) -> bytes:
    """The target of a symlink."""
    target = decode_base64(node.linktarget_raw, where) if node.linktarget_raw else node.linktarget.encode()
    if not target or b"\0" in target:
        raise corrupt(f"the link target {node.linktarget!r} of {node.name!r}", where)
    return target


def permissions_of(node: Node) -> int:
    """What ``chmod`` takes."""
    return node.mode & 0o777 | sum(bit for bit, go_bit in _MODE_BITS if node.mode & go_bit)


def decode_base64(text: str, where: str) -> bytes:
    """CORRUPT for what is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise corrupt(f"broken base64: {error}", where) from error
