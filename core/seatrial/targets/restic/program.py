"""The programs: ``restic`` itself, with its features by version, and the two servers that speak its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from seatrial.children import Children
from seatrial.targets.private import make_private_directory
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found, Program, Version
from seatrial.targets.protocols import Access
from seatrial.targets.restic.outcomes import TABLE, hopeless

RESTIC = Program(
    name="restic",
    version_pattern=r"restic (\d\S*)",
    how_to_get="install restic 0.14 or newer (apt install restic, https://restic.net), or name a build of it with RESTIC_EXE or --exe",
    oldest=(0, 14),
)
REST_SERVER = Program(
    name="rest-server",
    version_arguments=("--version",),
    version_pattern=r"rest-server (\d\S*)",
    how_to_get="get rest-server from https://github.com/restic/rest-server/releases, or name a build of it with REST_SERVER_EXE",
)
RCLONE = Program(
    name="rclone",
    version_pattern=r"rclone v(\d\S*)",
    how_to_get="install rclone (apt install rclone, https://rclone.org), or name a build of it with RCLONE_EXE",
    oldest=(1, 40),
)
WITHOUT = ("RESTIC_", "RCLONE_", "AWS_")
"""Variables that no command inherits: the user's own settings are none of a trial's business."""

_RETRY_LOCK: Version = (0, 16)
_STATUS_LINES_PER_S = "0.01"
"""restic prints its progress up to 60 times a second, and nobody reads it."""


def retry_lock(version: Version, seconds: float) -> tuple[str, ...]:
    """How a command is told to wait for a lock; older versions give up at once."""
    return ("--retry-lock", f"{int(seconds)}s") if version >= _RETRY_LOCK and seconds >= 1 else ()


def address_of(access: Access) -> str:
    """The repository as restic wants it. User and password stand in it because versions before 0.16 know no other way, so that it
    is for the environment only."""
    parts = urlsplit(access.url)
    credentials = f"{quote(access.user, safe='')}:{quote(access.password, safe='')}@" if access.user else ""
    return "rest:" + urlunsplit(parts._replace(netloc=credentials + parts.netloc))


def commands(
    found: Found,
    children: Children,
    *,
    repository: str,
    password: str,
    home: Path,
    arguments: tuple[str, ...],
    inherited: Mapping[str, str],
) -> Commands:
    """Commands on ``repository`` (a directory or ``address_of``), which keep to ``home``, a directory that is made."""
    make_private_directory(home)
    env = {
        "RESTIC_REPOSITORY": repository,
        "RESTIC_PASSWORD": password,
        "RESTIC_PROGRESS_FPS": _STATUS_LINES_PER_S,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "TMPDIR": str(home),
    }
    return Commands(
        found,
        TABLE,
        children,
        scratch=home,
        env=dict(inherited) | env,
        without=WITHOUT,
        prefix=("--json", *arguments),
        hopeless=hopeless,
        secrets=_secrets_of(repository),
    )


def _secrets_of(repository: str) -> tuple[str, ...]:
    """The password of an address with what stands around it there: a short one by itself may be part of anything. restic hides it, but
    for an address that it cannot read."""
    credentials, at, _ = repository.partition("@")
    _, colon, password = credentials.rpartition(":")
    return (f":{password}@",) if repository.startswith("rest:") and at and colon and password else ()
