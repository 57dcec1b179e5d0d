"""Damage to a kopia repository at rest, and a look at what its programs do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def packs(repository: Path) -> list[Path]:
    """Files that hold data, not directories or indexes, the largest first."""
    return sorted((path for path in (repository / "p").rglob("*.f")), key=lambda path: -path.stat().st_size)


def flip_in_every_content(pack: Path) -> None:
    """One bit in every 2 KiB, so that no content in it is spared."""
    content = bytearray(pack.read_bytes())
    for position in range(40, len(content), 2048):
        content[position] ^= 0x10
    pack.chmod(0o600)
    pack.write_bytes(content)


def running(*words: str) -> Iterator[psutil.Process]:
    """Our child processes with these words among their arguments."""
    for process in psutil.Process().children(recursive=True):
        try:
            if set(words) <= set(process.cmdline()):
                yield process
        except psutil.Error:
            continue
