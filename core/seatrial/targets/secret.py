"""The repository's password: made once, kept beside the repository for as long as the prefix lives."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from seatrial.errors import UsageError
from seatrial.targets.private import make_private_directory, write_private

FILE_NAME = "server-secrets.json"
TOKEN_BYTES = 32
_METADATA_DIRECTORY = "robustness-metadata"
_MARKS = ("config", "data", "keys", "locks", "snapshots", "index")
"""What lies at the top of a repository of restic's layout, or of borg's."""
_REMEDY = "choose another --repo-path-prefix, or move this directory away"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds (mode 0600)."""

    repository_password: str

    def __repr__(self) -> str:
        return "Secrets(hidden)"


def new_token() -> str:
    """256 bits for a password, URL-safe."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def repository_secrets(repository: Path, *, marks: Iterable[str] = _MARKS) -> Secrets:
    """The secrets of the repository at ``repository``, made where there is no repository yet.

    ``UsageError`` for a repository that is not ours: one of ``marks`` is there, by which its kind is known, and no secrets beside it.
    """
    file = repository.parent / _METADATA_DIRECTORY / FILE_NAME
    try:
        return msgspec.json.decode(file.read_bytes(), type=Secrets)
    except FileNotFoundError:
        if any((repository / mark).exists() for mark in marks):
            raise UsageError("this repository was not made by seatrial", where=str(repository), remedy=_REMEDY) from None
    except msgspec.MsgspecError as error:
        raise UsageError(f"the repository's password cannot be read: {error}", where=str(file), remedy=_REMEDY) from error
    made = Secrets(repository_password=new_token())
    make_private_directory(file.parent)
    write_private(file, msgspec.json.encode(made))  # before the repository: one whose password is lost is lost
    return made
