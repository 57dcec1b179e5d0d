"""The ``kopia`` program: what it is, and how each of its commands is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from seatrial.children import Children
from seatrial.targets.kopia.outcomes import TABLE
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found, Program

PROGRAM = Program(
    name="kopia",
    version_arguments=("--version",),
    # Builds without a release number call themselves "v0-unofficial", or by their commit: they are as usable.
    version_pattern=r"^v?(\S+) build: ",
    how_to_get="install kopia (https://kopia.io/docs/installation), or name a build of it with KOPIA_EXE or --exe",
)
WITHOUT = ("KOPIA_", "AWS_")
"""Variables that its commands do not inherit: the user's own settings are none of a trial's business."""
HOST = "seatrial"
"""Every client's host name, so that its sources are the same on any machine."""


def global_arguments(config: Path) -> tuple[str, ...]:
    """In front of every command: its own configuration, no log files of its own, no progress."""
    return (f"--config-file={config}", "--disable-file-logging", "--no-progress")


def environment(home: Path, secrets: Mapping[str, str]) -> dict[str, str]:
    """What every command gets: a home of its own below ``home``, which is made, so that nothing of the user's is read or written;
    passwords by environment, never on the command line."""
    places = {
        "HOME": home,
        "XDG_CACHE_HOME": home / "cache",
        "XDG_CONFIG_HOME": home / "config",
        "KOPIA_LOG_DIR": home / "logs",
        "TMPDIR": home / "tmp",
    }
    places["TMPDIR"].mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = {"KOPIA_CHECK_FOR_UPDATES": "false", "KOPIA_USE_KEYRING": "false", "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT": "false"}
    return {name: str(place) for name, place in places.items()} | settings | dict(secrets)


def commands(
    found: Found, children: Children, *, config: Path, env: Mapping[str, str], scratch: Path, without: tuple[str, ...] = WITHOUT
) -> Commands:
    """Commands over the connection that ``config`` holds."""
    return Commands(found, TABLE, children, scratch=scratch, env=env, without=without, prefix=global_arguments(config))


def without_cache(config: bytes) -> bytes:
    """A configuration with the same connection, over which everything is read from the other side."""
    settings = msgspec.json.decode(config, type=dict[str, object])
    return msgspec.json.encode(settings | {"caching": {}})
