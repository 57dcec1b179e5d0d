"""Trees that a target must give back as they were: small enough for a test, odd enough for a backup program."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from seatrial.faults.at_rest import flip_bit
from seatrial.targets.protocols import Traits
from seatrial.workload.blocks import Own, Stream
from seatrial.workload.oddities import make_oddities

LARGE_CHUNKS = 3
"""Of the target's chunks in the large file: some end within it."""
_LARGEST_BYTES = 32 << 20
_SMALL_BYTES = 10_000
_OTHER_OWNER = 12_345
"""Neither root, whose files may come back as anybody's, nor likely to be us."""
_TIME_NS = 1_400_000_000_123_456_789
"""Long past, and with a fraction, which a restore that forgets it shows."""
ODD = "odd/"
EMPTY_FILE, EMPTY_DIRECTORY = "odd/empty", "odd/empty-directory"
LARGE_FILE = "large"
SPARSE_FILE = "odd/sparse"
OWNED_FILE = "a/file"
"""Somebody else's, where the tests run as root."""


def make_sample(directory: Path, traits: Traits) -> Path:
    """All kinds of entries in ``directory``, which is made: ordinary files three deep, a large one, and every oddity that the system
    and the target know. Returns it."""
    directory.mkdir()

    def own(name: bytes) -> Stream:
        return Stream(Own(client="conformance", path=name, generation=1))

    for relative in ("file", "a/file", "a/b/file", "a/b/c/file"):
        path = directory / relative
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(own(relative.encode()).content(0, _SMALL_BYTES))
    large_bytes = min(_LARGEST_BYTES, LARGE_CHUNKS * traits.chunk_bytes + 1)
    (directory / LARGE_FILE).write_bytes(own(LARGE_FILE.encode()).content(0, large_bytes))
    make_oddities(directory, own, loses=traits.not_written)
    _decorate(directory)
    return directory


def _decorate(directory: Path) -> None:
    """What only some targets promise to keep."""
    if hasattr(os, "setxattr"):
        with suppress(OSError):  # not on every file system
            os.setxattr(directory / "file", "user.seatrial", b"kept?")
    with suppress(OSError):  # only root gives files away, and not in every container
        os.chown(directory / OWNED_FILE, _OTHER_OWNER, _OTHER_OWNER)
    os.utime(directory / "file", ns=(_TIME_NS, _TIME_NS))
    os.utime(directory / "a", ns=(_TIME_NS, _TIME_NS))


def make_small(directory: Path, text: str) -> Path:
    """One file that says ``text``, and so a tree that is like no other. Returns ``directory``."""
    directory.mkdir()
    (directory / "file").write_text(text * 500)
    return directory


def damage_largest(repository: Path) -> str:
    """Change one bit in the middle of the largest file below ``repository``, which holds data in most formats. Returns what was done."""
    files = [path for path in repository.rglob("*") if path.is_file() and not path.is_symlink()]
    victim = max(files, key=lambda path: (path.stat().st_size, path.name))
    return f"{victim.relative_to(repository)}, {flip_bit(victim)}"
