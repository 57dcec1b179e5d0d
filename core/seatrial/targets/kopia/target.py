"""The kopia target: what is particular to it, and where its parts are."""

from __future__ import annotations

from pathlib import Path

from seatrial.config.model import MIB, ActionName, Preset
from seatrial.targets.kopia.attached import AttachedKopiaServer
from seatrial.targets.kopia.client import KopiaClient
from seatrial.targets.kopia.program import PROGRAM
from seatrial.targets.kopia.server import KopiaServer
from seatrial.targets.protocols import Availability, Server, Surroundings, TargetClient, Traits


class KopiaTarget:
    """``targets.protocols.Target``. Threading: immutable."""

    name = "kopia"
    traits = Traits(
        exclusive=frozenset({ActionName.GC}),
        # DYNAMIC-4M-BUZHASH cuts between 2 and 8 MiB.
        chunk_bytes=2 * MIB,
        keeps=frozenset({"mode", "owner", "file-mtime", "odd-names"}),
        loses=frozenset({"raw-names"}),
        programs=(PROGRAM,),
        client_memory_bytes=110 * MIB,
        deleted_in_gc="nothing that is fresh (kopia.safety = full), or every pack, and part of a pack, that no snapshot refers to (none)",
        tolerances=(
            "a directory comes back with the newest modification time below it, hard links as files of their own",
            "a create that was told to end leaves an incomplete snapshot, which is listed to nobody and restored by nobody",
        ),
    )

    def availability(self, preset: Preset) -> Availability:
        return PROGRAM.availability(preset.exe)

    def make_server(self, around: Surroundings) -> Server:
        found = PROGRAM.find(around.preset.exe)
        return AttachedKopiaServer(around, found) if around.preset.server else KopiaServer(around, found)

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        return KopiaClient(around, PROGRAM.find(around.preset.exe), directory)
