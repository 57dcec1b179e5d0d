"""Two fingerprints side by side, and what a person is told of their difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

import msgspec

from seatrial.checker.fingerprint import Fingerprint
from seatrial.checker.nodes import Entry, Kind, More, decode, printable
from seatrial.clock import rfc3339
from seatrial.errors import InconclusiveError

NodeLookup = Callable[[str], bytes | None]
"""The bytes of a node by its hex id. None, or ``KeyError``, where it is not known."""

DEFAULT_LIMIT = 100


class DamageKind(str, Enum):
    """In what an entry differs."""

    MISSING = "missing"
    EXTRA = "extra"
    KIND = "kind"
    SIZE = "size"
    """And so the content."""
    CONTENT = "content"
    MODE = "mode"
    OWNER = "owner"
    LINK = "link"
    """Another target of a symbolic link."""
    DEVICE = "device"
    HARDLINK = "hardlink"
    XATTR = "xattr"
    MTIME = "mtime"
    MORE = "more"
    """Not an entry: how many differences are not listed."""


METADATA = frozenset({DamageKind.MODE, DamageKind.OWNER, DamageKind.XATTR, DamageKind.MTIME, DamageKind.HARDLINK})
"""A lost file changes its directory's time as well: what happened to names and content is said first, and left out last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One entry, one respect in which it differs."""

    path: str
    """Relative to the root, escaped so that it fits a line; ``nodes.from_printable`` gives the raw path."""
    damage: DamageKind
    expected: str = ""
    """In words; empty for nothing."""
    actual: str = ""
    entry: Entry | None = None
    """What was expected: size and content hash of a damaged file; None for an extra one."""


def compare(expected_root: str, actual: Fingerprint, lookup: NodeLookup, *, limit: int = DEFAULT_LIMIT) -> list[Difference]:
    """What differs, in the order of paths, at most ``limit`` entries and then one MORE which counts the rest: of ``METADATA`` first.

    May be empty though the roots differ: an owner counts only where the source's was not root. Looks at nothing below directories
    that are the same. Raises ``InconclusiveError`` where ``lookup`` does not know a node or what it gives is none.
    """
    content: list[tuple[int, Difference]] = []
    metadata: list[tuple[int, Difference]] = []
    count = 0
    for difference in _differences(expected_root, actual, lookup):
        kept = metadata if difference.damage in METADATA else content
        if len(kept) < limit:
            kept.append((count, difference))
        count += 1
    found = [difference for _, difference in sorted(content + metadata[: limit - len(content)], key=itemgetter(0))]
    if count > len(found):
        found.append(Difference(path="", damage=DamageKind.MORE, actual=f"and {count - len(found)} more"))
    return found


def describe(path: str, damage: str, expected: str, actual: str) -> str:
    """One difference in a line, for a person."""
    if damage == DamageKind.MORE.value:
        return actual
    if damage == DamageKind.MISSING.value:
        return f"{path}: missing ({expected})"
    if damage == DamageKind.EXTRA.value:
        return f"{path}: extra ({actual})"
    return f"{path}: {damage}: expected {expected or 'nothing'}, got {actual or 'nothing'}"


def _differences(expected_root: str, actual: Fingerprint, lookup: NodeLookup) -> Iterator[Difference]:
    """Depth first with a stack of iterators, for trees deeper than Python's own stack."""

    def level(path: bytes, expected_id: str, actual_id: str) -> Iterator[tuple[bytes, Entry | None, Entry | None]]:
        expected = {entry.name: entry for entry in _read(expected_id, lookup, path)}
        found = {entry.name: entry for entry in _read(actual_id, actual.nodes.get, path)}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                yield path + name, expected.get(name), found.get(name)

    stack = [level(b"", expected_root, actual.root)] if expected_root != actual.root else []
    while stack:
        if (pair := next(stack[-1], None)) is None:
            stack.pop()
            continue
        path, before, after = pair
        yield from _entry_differences(printable(path), before, after)
        if before and after and before.kind == after.kind == Kind.DIRECTORY and before.reference != after.reference:
            stack.append(level(path + b"/", _hex(before), _hex(after)))


def _read(node: str, lookup: NodeLookup, path: bytes) -> list[Entry]:
    try:
        found = lookup(node)
    except KeyError:
        found = None
    where = printable(path) or "."
    if found is None:
        remedy = "rebuild the ledger from the journals of this prefix"
        raise InconclusiveError(f"the fingerprint is incomplete: its node {node} is not known", where=where, remedy=remedy)
    try:
        return decode(found)
    except msgspec.MsgspecError as error:
        raise InconclusiveError(f"node {node} of the fingerprint cannot be read: {error}", where=where) from error


def _entry_differences(path: str, before: Entry | None, after: Entry | None) -> Iterator[Difference]:
    if before is None or after is None:
        if before is not None:
            yield Difference(path=path, damage=DamageKind.MISSING, expected=_describe(before), entry=before)
        elif after is not None:
            yield Difference(path=path, damage=DamageKind.EXTRA, actual=_describe(after))
        return
    for damage, expected, actual in _aspects(before, after):
        yield Difference(path=path, damage=damage, expected=expected, actual=actual, entry=before)


def _aspects(before: Entry, after: Entry) -> Iterator[tuple[DamageKind, str, str]]:
    if before.kind != after.kind:
        yield DamageKind.KIND, _describe(before), _describe(after)
        return
    if before.size != after.size:
        yield DamageKind.SIZE, f"{before.size} bytes", f"{after.size} bytes"
    elif before.reference != after.reference and before.kind in _REFERENCES:
        yield _REFERENCES[before.kind], _reference(before), _reference(after)
    if before.mode != after.mode:
        yield DamageKind.MODE, _octal(before.mode), _octal(after.mode)
    if _owner_differs(before.uid, after.uid) or _owner_differs(before.gid, after.gid):
        yield DamageKind.OWNER, f"{before.uid}:{before.gid}", f"{after.uid}:{after.gid}"
    yield from _more_aspects(before.more or More(), after.more or More())


def _more_aspects(before: More, after: More) -> Iterator[tuple[DamageKind, str, str]]:
    if before.mtime_ns != after.mtime_ns:
        yield DamageKind.MTIME, _time(before.mtime_ns), _time(after.mtime_ns)
    if before.hardlink != after.hardlink:
        yield DamageKind.HARDLINK, _hardlink(before), _hardlink(after)
    if before.xattrs != after.xattrs:
        names = sorted(before.xattrs.keys() | after.xattrs.keys())
        changed = [name for name in names if before.xattrs.get(name) != after.xattrs.get(name)]
        yield DamageKind.XATTR, _xattrs(before, changed), _xattrs(after, changed)


_REFERENCES = {
    Kind.FILE: DamageKind.CONTENT,
    Kind.SYMLINK: DamageKind.LINK,
    Kind.CHARACTER_DEVICE: DamageKind.DEVICE,
    Kind.BLOCK_DEVICE: DamageKind.DEVICE,
}


def _owner_differs(before: int, after: int) -> bool:
    return before > 0 and before != after


def _hex(entry: Entry) -> str:
    return entry.reference.hex() if isinstance(entry.reference, bytes) else ""


def _reference(entry: Entry) -> str:
    if entry.kind is Kind.SYMLINK and isinstance(entry.reference, bytes):
        return f"-> {printable(entry.reference)}"
    return f"blake3 {_hex(entry)}" if entry.kind is Kind.FILE else f"device {entry.reference!r}"


def _describe(entry: Entry) -> str:
    if entry.kind is Kind.FILE:
        return f"file of {entry.size} bytes"
    if entry.kind is Kind.DIRECTORY:
        return "directory and all below it"
    return f"symlink {_reference(entry)}" if entry.kind is Kind.SYMLINK else str(entry.kind)


def _octal(mode: int) -> str:
    return f"{mode:04o}" if mode >= 0 else "not recorded"


def _time(at_ns: int | None) -> str:
    return "not recorded" if at_ns is None else rfc3339(at_ns)


def _hardlink(more: More) -> str:
    return f"another name of {printable(more.hardlink)}" if more.hardlink else "a file of its own"


def _xattrs(more: More, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={more.xattrs[name]!r}" if name in more.xattrs else f"no {name}" for name in names)
