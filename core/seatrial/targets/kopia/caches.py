"""How full a kopia cache is: read from its directory, because `cache info` costs a process and rounds."""

from __future__ import annotations

import threading
from pathlib import Path

from seatrial.clock import Clock
from seatrial.history.frames import CacheFrame
from seatrial.observe.directories import measure

_SHARE = 0.02
"""Of a core, at most, for looking again and again at one cache."""


class CacheGauge:
    """Measures one cache directory, and not again before that has paid.

    Threading: any thread; the lock guards the last frame and when it may be made anew.
    """

    def __init__(self, owner: str, directory: Path, limit_bytes: int, clock: Clock) -> None:
        self.directory = directory
        self._clock, self._lock = clock, threading.Lock()
        self._frame = CacheFrame(owner=owner, path=str(directory), limit_bytes=limit_bytes)
        self._again_at_s = 0.0

    def frame(self) -> CacheFrame:
        """What is in it, perhaps as it was a moment ago."""
        with self._lock:
            began_s = self._clock.monotonic_s()
            if began_s >= self._again_at_s:
                self._frame = self._measured()
                took_s = self._clock.monotonic_s() - began_s
                self._again_at_s = began_s + took_s / _SHARE
            return self._frame

    def _measured(self) -> CacheFrame:
        try:
            parts = [entry for entry in self.directory.iterdir() if entry.is_dir()]
        except OSError:
            parts = []  # not made yet, or just cleared
        measured = {part.name: measure(part) for part in parts}
        sizes = {name: max(found.size_bytes, 0) for name, found in sorted(measured.items())}
        return CacheFrame(
            owner=self._frame.owner,
            path=self._frame.path,
            size_bytes=sum(sizes.values()),
            files=sum(found.files for found in measured.values()),
            limit_bytes=self._frame.limit_bytes,
            subdirectories=sizes,
        )
