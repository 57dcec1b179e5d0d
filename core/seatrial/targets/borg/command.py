"""What every call of borg has in common: where the repository is, what an archive is called, what surrounds the program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from seatrial.children import Children, Completed
from seatrial.context import Context
from seatrial.targets.borg.outcomes import TABLE
from seatrial.targets.private import make_private_directory
from seatrial.targets.programs.commands import Commands, decoded
from seatrial.targets.programs.program import Found
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


class OverSsh(Commands):
    """borg over an ssh that writes into ``ssh_log`` what it has to say: borg itself passes that on only where it comes to read it before it
    sees the connection closed, and without it nobody knows a refusal from a broken line. Threading: one thread at a time."""

    def __init__(self, *how: Any, ssh_log: Path, **more: Any) -> None:
        super().__init__(*how, **more)
        self._ssh_log = ssh_log

    def attempt(
        self, ctx: Context, operation: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Completed:
        self._ssh_log.unlink(missing_ok=True)
        done = super().attempt(ctx, operation, *arguments, cwd=cwd, env=env)
        if done.returncode == 0 or not self._ssh_log.exists():
            return done
        return replace(done, stderr=self._ssh_log.read_text(errors="replace") + done.stderr)


def commands(borg: Found, children: Children, home: Path, environment: Mapping[str, str], *, ssh_log: Path | None = None) -> Commands:
    """borg with ``surroundings`` below ``home``; over ssh where there is an ``ssh_log``."""
    how: dict[str, Any] = {"scratch": home / "tmp", "env": environment, "without": USERS_SETTINGS, "prefix": PREFIX}
    return Commands(borg, TABLE, children, **how) if ssh_log is None else OverSsh(borg, TABLE, children, ssh_log=ssh_log, **how)


def users_commands(borg: Found, children: Children, home: Path, repository: str) -> Commands:
    """borg with the user's own settings, ssh and passphrase; only ``own_places`` are ours."""
    return Commands(borg, TABLE, children, scratch=home / "tmp", env=own_places(home, repository), prefix=PREFIX)


def waiting(seconds: float = LOCK_WAIT_S) -> tuple[str, str]:
    """The arguments for waiting so long for the lock."""
    return "--lock-wait", str(math.ceil(seconds))


def list_archives(ctx: Context, borg: Commands) -> list[ListedSnapshot]:
    """Every archive, out of the repository's manifest, which borg never caches."""
    done = borg.run(ctx, "list", *waiting(), "list", "--json")
    listing = decoded(done, _Listing, operation="list", where=borg.found.path.name)
    return [ListedSnapshot(id=archive.name, op=operation_of(archive.name)) for archive in listing.archives]
