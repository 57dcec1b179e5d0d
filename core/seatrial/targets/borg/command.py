"""What every call of borg has in common: where the repository is, what an archive is called, what surrounds the program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec

from seatrial.context import Context
from seatrial.targets.private import make_private_directory
from seatrial.targets.programs.commands import Commands, decoded
from seatrial.targets.protocols import OPERATION_TAG, ListedSnapshot

LOCK_WAIT_S = 20.0
"""How long a command waits for the repository's lock. borg looks ten times within it; our own gate has let nobody else in, so that only
somebody else's work, or what a killed client has left for a moment, can be in the way."""
PREFIX = ("--log-json",)
USERS_SETTINGS = ("BORG_",)
"""The user's own settings are none of a trial's business, but where the server is the user's."""
_STEM = f"{OPERATION_TAG}="


class _Archive(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class _Listing(msgspec.Struct, frozen=True, kw_only=True):
    archives: list[_Archive]


def archive_name(op: str) -> str:
    """What the archive of ``<run>/<op>`` is called: a name holds no slash, and says who made it without being opened."""
    run, _, number = op.rpartition("/")
    return f"{_STEM}{run}:{number}"


def operation_of(name: str) -> str:
    """``<run>/<op>``; empty for an archive that seatrial did not make."""
    if not name.startswith(_STEM):
        return ""
    run, _, number = name.removeprefix(_STEM).rpartition(":")
    return f"{run}/{number}" if run else ""


def location(url: str) -> str:
    """``url`` as borg takes it for itself: what stands in braces would be a placeholder."""
    return url.replace("{", "{{").replace("}", "}}")


def surroundings(home: Path, repository: str, more: Mapping[str, str]) -> dict[str, str]:
    """The environment that keeps all that borg and ssh write below ``home``, which is made.

    borg tests itself at every start, which is a quarter of a small command's work: once a run will do, in the first maintenance command.
    """
    mine = {"HOME": str(home), "BORG_BASE_DIR": str(home), "BORG_CONFIG_DIR": str(home / "config"), "BORG_SELFTEST": "disabled"}
    return own_places(home, repository) | mine | dict(more)


def own_places(home: Path, repository: str) -> dict[str, str]:
    """The part of it that keeps cache, memory and scratch files apart, and leaves keys, ssh and passphrase the user's."""
    for directory in (home, home / "tmp"):
        make_private_directory(directory)
    return {
        "TMPDIR": str(home / "tmp"),
        "BORG_CACHE_DIR": str(home / "cache"),
        "BORG_SECURITY_DIR": str(home / "security"),
        "BORG_REPO": location(repository),
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }


def waiting(seconds: float = LOCK_WAIT_S) -> tuple[str, str]:
    """The arguments for waiting so long for the lock."""
    return "--lock-wait", str(math.ceil(seconds))


def list_archives(ctx: Context, borg: Commands) -> list[ListedSnapshot]:
    """Every archive, out of the repository's manifest, which borg never caches."""
    done = borg.run(ctx, "list", *waiting(), "list", "--json")
    listing = decoded(done, _Listing, operation="list", where=borg.found.path.name)
    return [ListedSnapshot(id=archive.name, op=operation_of(archive.name)) for archive in listing.archives]
