"""The repository prefix: two repositories, one run at a time, and only ever ours."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seatrial.errors import UsageError
from seatrial.resources import marked_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The places below ``--repo-path-prefix``."""

    path: Path

    @property
    def data(self) -> Path:
        """The repository under test."""
        return self.path / "robustness-data"

    @property
    def metadata(self) -> Path:
        """Ledger and cumulative statistics; survives runs."""
        return self.path / "robustness-metadata"

    @property
    def logs(self) -> Path:
        """Storage statistics before and after."""
        return self.path / "logs"


class PrefixLock:
    """Holds a prefix for one run. The kernel lets go of it when the process ends, however it ends."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def release(self) -> None:
        """Idempotent."""
        self._file.close()


def claim(path: Path) -> tuple[Prefix, PrefixLock]:
    """Make the prefix if need be and take it for this process.

    ``UsageError`` for a directory that holds something but is not ours, for one in use, and where a directory cannot be made.
    """
    prefix = Prefix(path=marked_directory(path.absolute()))
    try:
        for directory in (prefix.data, prefix.metadata, prefix.logs):
            directory.mkdir(mode=0o700, exist_ok=True)
        lock = _lock(prefix.metadata / "lock")
    except OSError as error:
        raise UsageError(
            f"cannot use it as repository prefix: {error.strerror or error}",
            where=str(error.filename or prefix.path),
            remedy="name a directory you may write to with --repo-path-prefix",
        ) from error
    return prefix, lock


def _lock(path: Path) -> PrefixLock:
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise UsageError(
            f"another run uses this prefix (process {holder or 'unknown'})",
            where=str(path.parent.parent),
            remedy="wait for it, stop it with 'seatrial stop last', or name another --repo-path-prefix",
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return PrefixLock(file)
