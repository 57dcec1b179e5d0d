"""The borg target: ``borg serve`` behind a private ``sshd``, the ``borg`` program as the client."""

from __future__ import annotations

from pathlib import Path

from seatrial.config.model import KIB, MIB, ActionName, Preset
from seatrial.errors import UsageError
from seatrial.targets.programs.program import Found, Program
from seatrial.targets.protocols import Availability, Server, Surroundings, TargetClient, Traits

_GET_SSH = "install OpenSSH: the package openssh-server (with openssh-client)"
BORG = Program(
    name="borg",
    version_arguments=("--version",),
    version_pattern=r"borg (\d\S*)",
    how_to_get="install BorgBackup 1.2 or newer: the package borgbackup, or its program from borgbackup.org",
    oldest=(1, 2),
)
SSHD = Program(
    name="sshd",
    version_arguments=("-V",),
    version_pattern=r"OpenSSH_([\w.]+)",
    how_to_get=_GET_SSH,
    oldest=(8,),
    elsewhere=("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin"),
)
SSH = Program(name="ssh", version_arguments=("-V",), version_pattern=r"OpenSSH_([\w.]+)", how_to_get=_GET_SSH)


class BorgTarget:
    """``targets.protocols.Target``. Threading: immutable."""

    name = "borg"
    traits = Traits(
        # One lock for the whole repository: whoever changes it is alone with it, readers share. Our gate keeps that order, first come,
        # first served; what an action has waited for the lock is its queue time.
        exclusive=frozenset({ActionName.SNAPSHOT, ActionName.DELETE_SNAPSHOT, ActionName.GC, ActionName.VERIFY_REPOSITORY}),
        chunk_bytes=512 * KIB,
        keeps=frozenset({"mtime", "mode", "xattr", "hardlink", "owner", "odd-names"}),
        programs=(BORG, SSH, SSHD),
        client_memory_bytes=180 * MIB,
        deleted_in_gc="segments, or parts of segments, that hold nothing but what was deleted",
        tolerances=(
            "a command that finds the repository locked waits, up to 20 s",
            "a snapshot disappears only once nobody lists or restores, and the other way round",
            "append-only: a deleted snapshot is gone from every listing, its data from the disk only after run-gc on the server's side",
        ),
    )

    def availability(self, preset: Preset) -> Availability:
        borg = BORG.availability(preset.exe)
        if not borg.usable:
            return borg
        for program in (SSH,) if preset.server else (SSH, SSHD):
            other = program.availability()
            if not other.usable:
                return other
        return borg

    def make_server(self, around: Surroundings) -> Server:
        from seatrial.targets.borg.attached import AttachedBorgServer  # noqa: PLC0415 (ciphers load with the first server)
        from seatrial.targets.borg.server import BorgServer  # noqa: PLC0415 (as above)

        borg, server = self._borg(around), around.preset.server
        if not server:
            return BorgServer(around, borg, SSHD.find())
        if not server.startswith("ssh://") or "/" not in server.removeprefix("ssh://"):
            raise UsageError(f"not a borg server: {server}", where="server", remedy="give it as ssh://user@host:port/path/of/repository")
        return AttachedBorgServer(around, borg)

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        from seatrial.targets.borg.client import BorgClient  # noqa: PLC0415 (loads with the first client)

        return BorgClient(around, directory, self._borg(around), SSH.find())

    def _borg(self, around: Surroundings) -> Found:
        return BORG.find(around.preset.exe)
