"""The directories worth logging, in the reference's order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seatrial.harness.prefix import Prefix
from seatrial.history.frames import CacheFrame


def dirs_to_log(prefix: Prefix, data_parent: Path, base: Path, caches: Iterable[CacheFrame]) -> list[tuple[str, Path]]:
    """(label, path): data repository, metadata repository, parent of the data directories, ledger, base, caches and what is in them."""
    directories = [
        ("data repository", prefix.data),
        ("metadata", prefix.metadata),
        ("client data", data_parent),
        ("base", base),
    ]
    for cache in caches:
        directories.append((f"cache of {cache.owner}", Path(cache.path)))
        directories.extend((f"cache of {cache.owner}: {name}", Path(cache.path) / name) for name in sorted(cache.subdirectories))
    return list({path: (label, path) for label, path in directories}.values())
