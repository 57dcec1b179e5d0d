"""The reducer that turns records and frames into a ``RunView``."""

from __future__ import annotations

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.events import Record
from seatrial.history.frames import Frame
from seatrial.history.view import RunView, SnapshotView


class RunFold:
    """A run as far as it has been told. Threading: any thread; one lock guards everything."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        raise NotImplementedError

    def apply(self, record: Record) -> None:
        """Fold one record of the journal; records come in ``seq`` order. Never raises."""

    def apply_frame(self, frame: Frame) -> None:
        """Fold one frame of telemetry."""

    def view(self, *, force: bool = False) -> RunView:
        """The run now: at most 10 new views a second unless ``force``, otherwise the last one again."""
        raise NotImplementedError

    def snapshot(self, snapshot_id: str) -> SnapshotView | None:
        """One snapshot, None for one that the run never named (or deleted long ago)."""
        raise NotImplementedError

    def snapshots(self, *, owner: str = "", limit: int = 1000) -> list[SnapshotView]:
        """The newest first, of one client or of all."""
        raise NotImplementedError
