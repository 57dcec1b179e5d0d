"""What writes the files that are snapshotted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from seatrial.config.model import DeleteFilesOptions, DeleteSubdirectoryOptions, WriteOptions
from seatrial.context import Context


class FileWriter(Protocol):
    """Changes one client's data directory at random.

    Chance comes in as ``seed``, one per call, which the plan derives from where the call stands in it: same seed, options and state of
    the directory, same result. Writing methods return the options used: the reference's dashed names, what was drawn and what
    came of it, as builtins. Threading: one client's methods by one thread at a time. Errors: ``NoOp`` (nothing to act on),
    ``NoSpaceError`` (disk full, or "cannot perform I/O" before it is), ``CancelledError``, ``HarnessError`` (anything else).
    """

    def data_directory(self, ctx: Context) -> Path:
        """The client's data directory, which exists."""

    def write_random_files(self, ctx: Context, options: WriteOptions, seed: int) -> dict[str, Any]:
        """Write files into a directory of random depth."""

    def delete_random_subdirectory(self, ctx: Context, options: DeleteSubdirectoryOptions, seed: int) -> dict[str, Any]:
        """Delete a directory at a random depth, and all below it."""

    def delete_directory_contents(self, ctx: Context, options: DeleteFilesOptions, seed: int) -> dict[str, Any]:
        """Delete each entry of a directory at a random depth with the given probability."""

    def delete_everything(self, ctx: Context) -> None:
        """Empty the data directory, which stays."""

    def cleanup(self, ctx: Context) -> None:
        """Remove the data directory. Idempotent."""
