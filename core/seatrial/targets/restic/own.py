"""Seatrial's own client beside restic: the same repository, the same server, another program."""

from __future__ import annotations

from pathlib import Path

from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.protocols import Surroundings
from seatrial.targets.restic.client import part_of_the_trade


class OwnClient(EmbeddedClient):
    """The embedded target's client, which on an append-only server is refused what restic is. Threading: one thread at a time."""

    def __init__(self, around: Surroundings, directory: Path) -> None:
        super().__init__(around, directory)
        self._append_only = around.preset.restic.append_only

    def delete(self, ctx: Context, snapshot_id: str) -> None:
        try:
            super().delete(ctx, snapshot_id)
        except OperationError as error:
            raise (part_of_the_trade(error) if self._append_only else error) from error
