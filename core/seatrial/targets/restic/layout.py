"""Where the content of a snapshot's source lies in what ``restic restore`` writes.

``restic backup .`` stores the content of the working directory; ``restic backup /a/b``, and seatrial's own client, store ``a/b`` as well.
Every version restores both as they are stored, and only 0.16 knows how to restore a part as if it were all (``ID:/a/b``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path


def raise_up(into: Path, paths: Callable[[], Sequence[str]]) -> None:
    """Where ``into`` holds the directories on the way to the snapshot's one source, put that source in the place of ``into``.

    ``paths``, which may cost requests, is asked only where there may be such directories: one entry at the root, and that a directory.
    """
    entries = list(os.scandir(into))
    if len(entries) != 1 or not entries[0].is_dir(follow_symlinks=False):
        return
    stored = paths()
    source = into / stored[0].lstrip("/") if len(stored) == 1 else into
    if source == into or not _is_on_the_way(into, source):
        return
    # Aside first: a directory can take the place of an empty one only.
    aside = into.with_name(f".{into.name}.stored")
    into.rename(aside)
    (aside / source.relative_to(into)).rename(into)
    shutil.rmtree(aside)


def _is_on_the_way(into: Path, source: Path) -> bool:
    """Whether ``source`` is a directory, and nothing else lies beside it at any level."""
    at = into
    for part in source.relative_to(into).parts:
        if os.listdir(at) != [part]:  # noqa: PTH208 (names, not paths)
            return False
        at /= part
        if at.is_symlink() or not at.is_dir():
            return False
    return True
