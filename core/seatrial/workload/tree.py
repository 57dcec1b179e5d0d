"""Finding, making and removing directories of a data directory, whatever modes they have."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from seatrial.guard import remove_tree
from seatrial.seeds import Random

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""How the system says that a disk is full."""
_NAME_BITS = 32


def branch(rng: Random, root: Path, depth: int, branch_depth: int) -> Path:
    """The directory to write into, ``depth`` below ``root``: existing ones are reused down to ``branch_depth``, new below. Not made."""
    at = root
    for level in range(depth):
        existing = subdirectories(at) if level < branch_depth else []
        choice = rng.getrandbits(_NAME_BITS)
        at /= existing[choice % len(existing)] if existing else f"dir_{choice:08x}"
    return at


def make(root: Path, directory: Path) -> None:
    """Make ``directory``, and let its owner into all from ``root`` down to it."""
    at = root
    for part in ("", *directory.relative_to(root).parts):
        at /= part
        with suppress(FileExistsError):
            at.mkdir()
        _let_in(at)


def find_at_depth(rng: Random, root: Path, depth: int) -> Path | None:
    """A random existing directory exactly ``depth`` below ``root``, found by search with backtracking; None where there is none."""
    if depth == 0:
        return root
    names = subdirectories(root)
    rng.shuffle(names)
    for name in names:
        if (found := find_at_depth(rng, root / name, depth - 1)) is not None:
            return found
    return None


def subdirectories(directory: Path) -> list[str]:
    """Names of the directories in it, sorted so that a draw means the same again; none where it does not exist or cannot be read."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, PermissionError):
        return []


def remove(path: Path) -> None:
    """Remove whatever is there; a path that is gone is fine. Follows no links. The parent's owner is let in."""
    with suppress(FileNotFoundError):
        _let_in(path.parent)
        if stat.S_ISDIR(path.lstat().st_mode):
            remove_tree(os.fspath(path))
        else:
            path.unlink()


def _let_in(directory: Path) -> None:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IRWXU)


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write where ``path`` is."""
    return shutil.disk_usage(path).free
