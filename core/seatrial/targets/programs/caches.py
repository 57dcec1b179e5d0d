"""How full a program's cache is: read from its directory, because to ask the program costs a process."""

from __future__ import annotations

import threading
from pathlib import Path

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.frames import CacheFrame
from seatrial.observe.directories import measure

_SHARE = 0.02
"""Of a core, at most, for looking again and again at one cache."""


class CacheGauge:
    """Measures one cache directory by its parts, and not again before that has paid.

    Threading: any thread; the lock guards the owner, the last frame and when it may be made anew.
    """

    def __init__(
        self, owner: str, directory: Path, *, limit_bytes: int = 0, per_repository: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``per_repository``: the program keeps a directory of parts for each repository below ``directory``; here there is but one."""
        self.directory = directory
        self._owner, self._limit_bytes, self._per_repository = owner, limit_bytes, per_repository
        self._clock, self._lock = clock, threading.Lock()
        self._frame: CacheFrame | None = None
        self._again_at_s = 0.0

    def belongs_to(self, owner: str) -> None:
        """Whose it is, as telemetry knows clients."""
        with self._lock:
            self._owner, self._frame = owner, None

    def frame(self) -> CacheFrame:
        """What is in it, perhaps as it was a moment ago."""
        with self._lock:
            began_s = self._clock.monotonic_s()
            if self._frame is None or began_s >= self._again_at_s:
                self._frame = self._measured()
                took_s = self._clock.monotonic_s() - began_s
                self._again_at_s = began_s + took_s / _SHARE
            return self._frame

    def _measured(self) -> CacheFrame:
        held = next(iter(_directories_in(self.directory)), self.directory) if self._per_repository else self.directory
        measured = {part.name: measure(part) for part in _directories_in(held)}
        sizes = {name: max(found.size_bytes, 0) for name, found in sorted(measured.items())}
        return CacheFrame(
            owner=self._owner,
            path=str(held),
            size_bytes=sum(sizes.values()),
            files=sum(found.files for found in measured.values()),
            limit_bytes=self._limit_bytes,
            subdirectories=sizes,
        )


def _directories_in(directory: Path) -> list[Path]:
    try:
        return [entry for entry in directory.iterdir() if entry.is_dir()]
    except OSError:
        return []  # not made yet, or just cleared
