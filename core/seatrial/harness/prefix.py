"""The repository prefix: where the repository under test and what is known of it lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
        """Ledger and cumulative statistics; survives runs. The ledger's lock on it keeps a second run away."""
        return self.path / "robustness-metadata"

    @property
    def logs(self) -> Path:
        """Storage statistics before and after."""
        return self.path / "logs"

    @classmethod
    def prepare(cls, path: Path) -> Prefix:
        """Make the prefix where it is missing. ``UsageError`` for a directory with something in it that is not ours."""
        prefix = cls(path=marked_directory(path.absolute()))
        for directory in (prefix.data, prefix.metadata, prefix.logs):
            try:
                directory.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"cannot be made: {error.strerror}",
                    where=str(directory),
                    remedy="name a directory you may write to: --repo-path-prefix",
                ) from error
        return prefix
