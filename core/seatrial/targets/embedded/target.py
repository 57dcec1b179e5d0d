"""The embedded target: our own server, our own clients, the real restic repository format between them."""

from __future__ import annotations

from pathlib import Path

from seatrial.config.model import MIB, ActionName, Preset
from seatrial.errors import UsageError
from seatrial.targets.embedded.process import EmbeddedServer
from seatrial.targets.protocols import Availability, Server, Surroundings, TargetClient, Traits
from seatrial.version import seatrial_version

_CHUNK_BYTES = 512 * 1024
"""Files up to this are one blob, longer ones are cut no shorter (restic_format: chunks)."""


class EmbeddedTarget:
    """``targets.protocols.Target``. Threading: immutable."""

    name = "embedded"
    traits = Traits(
        exclusive=frozenset({ActionName.GC, ActionName.VERIFY_REPOSITORY}),
        chunk_bytes=_CHUNK_BYTES,
        keeps=frozenset({"mtime", "mode", "xattr", "hardlink", "owner", "odd-names"}),
        client_memory_bytes=40 * MIB,
        deleted_in_gc="packs, or parts of packs, that no snapshot refers to",
        tolerances=("deleting a snapshot takes a shared lock, so a snapshot may disappear while another client lists or restores it",),
    )

    def availability(self, preset: Preset) -> Availability:
        if preset.exe:
            why_not = f"exe: it has no program that {preset.exe} could stand in for: its server and its clients are seatrial's own"
            return Availability(usable=False, why_not=why_not, how_to_get="leave out --exe, or choose another --target")
        if preset.server:
            from seatrial.targets.embedded.attached import access_of  # noqa: PLC0415 (loads the client, see below)

            try:
                access_of(preset.server)
            except UsageError as error:
                return Availability(usable=False, why_not=f"{error.where}: {error.what}", how_to_get=error.remedy)
        return Availability(usable=True, version=seatrial_version())

    def make_server(self, around: Surroundings) -> Server:
        if around.preset.server:
            from seatrial.targets.embedded.attached import AttachedServer  # noqa: PLC0415 (loads the client, see below)

            return AttachedServer(around)
        return EmbeddedServer(around)

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        from seatrial.targets.embedded.client import EmbeddedClient  # noqa: PLC0415 (compression and ciphers load with the first client)

        return EmbeddedClient(around, directory)
