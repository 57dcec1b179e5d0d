"""Which runs have written under a prefix: ``runs.jsonl``, beside the database, so that the database can be made again without it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from seatrial.errors import UsageError

FILE_NAME = "runs.jsonl"


class KnownRun(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    run_id: str
    directory: str


_decode = msgspec.json.Decoder(KnownRun).decode


def read_catalogue(directory: Path) -> dict[str, Path]:
    """Run directories by run id. A torn last line is ignored: its run had not begun. ``UsageError`` for any other bad line."""
    path = directory / FILE_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    runs: dict[str, Path] = {}
    for number, line in enumerate(lines[:-1], start=1):
        if not line.strip():
            continue
        try:
            known = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"not a line of a run: {error}", where=f"{path}:{number}", remedy="mend or delete the line") from error
        runs[known.run_id] = Path(known.directory)
    return runs


def add_to_catalogue(directory: Path, run_id: str, run_directory: Path) -> None:
    """Add a run, on disk when this returns. Ends a torn line first, so that it costs nobody else. Raises ``OSError``."""
    path = directory / FILE_NAME
    line = msgspec.json.encode(KnownRun(run_id=run_id, directory=str(run_directory))) + b"\n"
    torn = path.exists() and path.stat().st_size > 0 and _last_byte(path) != b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        if torn:
            os.ftruncate(fd, path.read_bytes().rfind(b"\n") + 1)
        # A disk that is nearly full takes a part of it, and refuses only the rest.
        while line:
            line = line[os.write(fd, line) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
