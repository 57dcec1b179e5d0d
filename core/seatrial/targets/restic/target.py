"""The restic target: what is particular to it, and where its parts are."""

from __future__ import annotations

import itertools
from pathlib import Path

from seatrial.config.model import MIB, ActionName, Preset
from seatrial.errors import UsageError
from seatrial.targets.embedded.attached import AttachedServer
from seatrial.targets.embedded.process import EmbeddedServer
from seatrial.targets.protocols import Availability, Server, Surroundings, TargetClient, Traits
from seatrial.targets.restic.client import ResticClient
from seatrial.targets.restic.front import SPEAKERS, ProgramFront
from seatrial.targets.restic.program import RCLONE, REST_SERVER, RESTIC
from seatrial.targets.restic.server import ResticServer


class ResticTarget:
    """``targets.protocols.Target``. Threading: any thread; one that has made clients goes on giving them their programs in turn."""

    name = "restic"
    traits = Traits(
        exclusive=frozenset({ActionName.GC, ActionName.VERIFY_REPOSITORY, ActionName.DELETE_SNAPSHOT}),
        chunk_bytes=512 * 1024,
        keeps=frozenset({"mtime", "mode", "xattr", "hardlink", "owner", "odd-names"}),
        programs=(RESTIC, REST_SERVER, RCLONE),
        loses=frozenset({"odd-links"}),
        client_memory_bytes=150 * MIB,
        deleted_in_gc="packs, or parts of packs, that no snapshot refers to",
        tolerances=(
            "deleting a snapshot takes the exclusive lock, so that it waits until no other action is under way",
            "versions before 0.16 restore a link whose target is no UTF-8 with another target",
        ),
    )

    def __init__(self) -> None:
        self._made = itertools.count()

    def availability(self, preset: Preset) -> Availability:
        found = RESTIC.availability(preset.exe)
        server = preset.restic.server
        if not found.usable or preset.server or server in ("auto", "embedded"):
            return found
        behind = SPEAKERS[server].program.availability()
        return found if behind.usable else behind

    def make_server(self, around: Surroundings) -> Server:
        if around.preset.server:
            return AttachedServer(around)
        return served(around)

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        if around.preset.restic.clients == "both" and next(self._made) % 2:
            from seatrial.targets.restic.own import OwnClient  # noqa: PLC0415 (compression and ciphers load with the first client)

            return OwnClient(around, directory)
        return ResticClient(around, RESTIC.find(around.preset.exe), directory)


def served(around: Surroundings) -> ResticServer:
    """A server of our own: the program that the preset names, or the first that is installed. ``UsageError`` where it is not there."""
    found = RESTIC.find(around.preset.exe)
    wanted = around.preset.restic.server
    for name, speaker in SPEAKERS.items():
        if wanted not in ("auto", name):
            continue
        try:
            front = ProgramFront(around, speaker, speaker.program.find())
        except UsageError:
            if wanted == name:
                raise
            continue
        return ResticServer(around, found, front, on_directory=True)
    return ResticServer(around, found, EmbeddedServer(around, append_only=around.preset.restic.append_only), on_directory=False)
