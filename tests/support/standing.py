"""Directories that stand still: backups mirror absolute paths, and other tests write into the directories above."""

from __future__ import annotations

from pathlib import Path

ATTEMPTS = 20
"""To find a moment in which nobody else changed them."""


def times_above(directory: Path) -> list[tuple[int, int]]:
    """Both trees mirror the absolute path, so the times of all directories above are in them; other tests change those of /tmp."""
    return [(status.st_mtime_ns, status.st_ctime_ns) for status in map(Path.stat, directory.parents)]
