"""Entries that backup programs have stumbled over: each is made, or what refuses it is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from seatrial.workload import tree
from seatrial.workload.blocks import BLOCK_BYTES, Stream

_HOLE_BYTES = 1 << 20
_CONTENT_BYTES = BLOCK_BYTES + 17
"""A whole block and a piece of one."""
_LONG_NAME_BYTES = 255
DIRECTORY = b"odd"
"""All of them lie in one directory of this name, made anew each time."""

OwnContent = Callable[[bytes], Stream]
"""The OWN stream of the file of this name, relative to the directory written to."""

_NAMES: dict[str, bytes] = {
    "non-ASCII": "größe-文件-😀".encode(),
    "decomposed": "e\u0301clair".encode(),
    "not UTF-8": b"latin1-\xe9\xff",
    "spaces": b"  two  spaces ",
    "leading dash": b"-rf",
    "newline": b"new\nline",
    "quotes": b'quo\'te "double" `back`',
    "backslash": b"back\\slash",
    "pattern": b"[a]*?{b,c}~$HOME",
    "control characters": b"\x01\x1b[31m\x7f\t",
    "dots": b"...",
    "longest": b"n" * _LONG_NAME_BYTES,
}
_MODES = {"unreadable": 0o000, "read-only": 0o444, "execute-only": 0o111, "setuid": 0o4755, "setgid": 0o2755}
_READABLE = 0o400


class _Refused(Exception):
    """The platform does not do this."""


@dataclass(slots=True)
class Oddities:
    """What was made, by kind, and what was not, with its reason. Owner: ``make_oddities``."""

    made: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def make_oddities(directory: Path, own: OwnContent, *, loses: frozenset[str] = frozenset()) -> Oddities:
    """Make one of each kind in ``directory / "odd"``, in place of those of an earlier write.

    ``loses``: what the target does not keep and is left out: ``odd-names`` (all of them), ``raw-names`` (those that are no UTF-8),
    ``odd-links`` (link targets that are no UTF-8).
    Raises ``OSError`` only for a full disk.
    """
    place = directory / os.fsdecode(DIRECTORY)
    tree.remove(place)
    place.mkdir()
    result = Oddities()
    makers = _makers(place, lambda name: own(DIRECTORY + b"/" + name), loses=loses)
    for kind, make in makers:
        with _recorded(kind, result):
            make()
    return result


@contextmanager
def _recorded(kind: str, result: Oddities) -> Iterator[None]:
    try:
        yield
    except _Refused as refusal:
        result.skipped[kind] = str(refusal)
    except OSError as error:
        if error.errno in tree.FULL:
            raise
        result.skipped[kind] = f"{sys.platform}: {error.strerror}"
    else:
        result.made.append(kind)


def _makers(place: Path, own: OwnContent, *, loses: frozenset[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "empty file", (place / "empty").touch
    yield "empty directory", (place / "empty-directory").mkdir
    yield "symlink", partial((place / "link").symlink_to, "empty")
    yield "symlink to a directory", partial((place / "link-to-directory").symlink_to, "empty-directory")
    yield "dangling symlink", partial((place / "dangling").symlink_to, "../nowhere/at all")
    yield "symlink, target not UTF-8", partial(_odd_link, place / "link-not-utf8", loses)
    yield "hard link", partial(_hard_link, place, own)
    yield "sparse file", partial(_sparse, place / "sparse", own(b"sparse"))
    yield "sticky directory", partial(_directory, place, "sticky", 0o1777, own)
    yield "read-only directory", partial(_directory, place, "read-only-directory", 0o555, own)
    for kind, mode in _MODES.items():
        yield f"mode {kind}", partial(_mode, place / kind, own(kind.encode()), mode)
    for kind, name in _NAMES.items():
        yield f"name {kind}", partial(_named, place, name, own, loses)


def _write(path: Path, content: bytes | bytearray) -> None:
    with path.open("xb") as file:
        file.write(content)


def _hard_link(place: Path, own: OwnContent) -> None:
    _write(place / "hard-1", own(b"hard-1").content(0, _CONTENT_BYTES))
    (place / "hard-2").hardlink_to(place / "hard-1")


def _sparse(path: Path, own: Stream) -> None:
    """A block, a hole, the block that belongs behind it."""
    with path.open("xb") as file:
        file.write(own.content(0, BLOCK_BYTES))
        file.seek(_HOLE_BYTES)
        file.write(own.content(_HOLE_BYTES // BLOCK_BYTES, _CONTENT_BYTES))


def _directory(place: Path, name: str, mode: int, own: OwnContent) -> None:
    (place / name).mkdir()
    _write(place / name / "inside", own(b"%s/inside" % name.encode()).content(0, _CONTENT_BYTES))
    (place / name).chmod(mode)


def _mode(path: Path, own: Stream, mode: int) -> None:
    if os.geteuid() != 0 and not mode & _READABLE:
        raise _Refused("only root could read it for a snapshot")
    _write(path, own.content(0, _CONTENT_BYTES))
    path.chmod(mode)
    if path.stat().st_mode & 0o7777 != mode:
        path.unlink()
        raise _Refused("the file system drops this mode")


def _odd_link(path: Path, loses: frozenset[str]) -> None:
    if "odd-links" in loses:
        raise _Refused("the target does not keep odd link targets")
    path.symlink_to(os.fsdecode(b"latin1-\xe9\xff"))


def _named(place: Path, name: bytes, own: OwnContent, loses: frozenset[str]) -> None:
    if "odd-names" in loses:
        raise _Refused("the target does not keep odd names")
    if "raw-names" in loses and not _is_utf8(name):
        raise _Refused("the target does not keep names that are no UTF-8")
    path = os.path.join(os.fsencode(place), name)  # noqa: PTH118 - bytes
    _write(Path(os.fsdecode(path)), own(name).content(0, _CONTENT_BYTES))
    if name not in os.listdir(os.fsencode(place)):  # noqa: PTH208 - bytes
        # It made a name of its own of it, as macOS does with composed characters; what is there is snapshotted all the same.
        raise _Refused("the file system changes this name")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
