"""A position in a run that can move forward: a tape and the state made out of what it has given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from seatrial.history.reader import JournalGap
from seatrial_tui.source.checkpoints import Checkpoint, Checkpoints
from seatrial_tui.source.state import RunState
from seatrial_tui.source.tape import Tape

CHUNK = 256
"""Records of one step: about 6 ms, for so long whoever asks for a timeline may wait."""


class Cursor:
    """Threading: one thread moves it; others may read ``state`` while they hold the lock that ``step`` takes."""

    def __init__(
        self, directory: Path, lock: threading.Lock, on_gap: Callable[[JournalGap], object], start: Checkpoint | None = None
    ) -> None:
        self._lock = lock
        self.state = start.state() if start else RunState()
        self._tape = Tape(directory, on_gap, start.place if start else None)

    @property
    def ended(self) -> bool:
        """It has read the end of the run."""
        return self._tape.ended

    def step(self, until_ns: int | None = None) -> bool:
        """Read a little further, not beyond ``until_ns``; False when all there is for now has been read. Raises as ``Tape.read`` does."""
        items = self._tape.read(CHUNK, until_ns)
        if items:
            with self._lock:
                self.state.apply(items)
        return len(items) >= CHUNK

    def keep(self, checkpoints: Checkpoints) -> None:
        """Make a checkpoint where one is due."""
        if checkpoints.due(self.state):
            place = self._tape.place
            if place is not None:
                checkpoints.make(self.state, place, self._lock)

    def close(self) -> None:
        """Give the files back."""
        self._tape.close()
