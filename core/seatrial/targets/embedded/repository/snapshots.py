"""Snapshots: a root tree, of what, by whom, when."""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.context import Context
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind


class Snapshot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A snapshot file; the order of the fields is the order on disk."""

    time: str
    parent: str | None = None
    tree: str
    paths: list[str]
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: list[str] | None = None
    tags: list[str] | None = None
    original: str | None = None
    program_version: str = ""
    summary: dict[str, Any] | None = None


_read = gojson.reader(Snapshot)


def load_snapshot(ctx: Context, repository: Repository, name: str) -> Snapshot:
    """Read a snapshot. MISSING, CORRUPT."""
    return decode_snapshot(repository.load(ctx, Kind.SNAPSHOT, name), name)


def decode_snapshot(raw: bytes, name: str) -> Snapshot:
    """CORRUPT where it is none."""
    snapshot: Snapshot = _read(raw, f"snapshots/{name}")
    return snapshot


def confirm_vanished(ctx: Context, repository: Repository, vanished: dict[str, RepositoryError]) -> None:
    """Raise for a snapshot that was MISSING and is still listed.

    One that vanishes between the listing and the reading was deleted by somebody, once a second listing confirms it.
    """
    if not vanished:
        return
    still_listed = {entry.name for entry in repository.entries(ctx, Kind.SNAPSHOT)}
    for name, error in vanished.items():
        if name in still_listed:
            raise RepositoryError("is listed, but is not there", cause=Cause.GONE, where=f"snapshots/{name}") from error


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The JSON of a snapshot file."""
    return gojson.encode(snapshot)
