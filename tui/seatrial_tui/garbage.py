"""When Python looks for garbage: while nobody types."""

from __future__ import annotations

import gc

from seatrial.clock import SYSTEM_CLOCK, Clock

QUIET_S = 1.5
"""So long after the last key nobody is expected to press another one at once."""
SWEEP_S, AT_LATEST_S = 8.0, 30.0
"""Between two sweeps, and where somebody types without end: a pane more or less in front leaves a few thousand objects behind."""
SHARE = 0.005
"""Of the time, for sweeping: where there is much to look through that is done less often."""
_YOUNG, _MIDDLE, _NEVER = 1_000, 5, 1_000_000_000


class Sweeper:
    """Takes over from Python when to look through all objects for cycles that nobody needs any more.

    Python does so when many objects have been made, that is while something is painted, every two seconds where somebody goes from pane to
    pane; it takes a tenth of a second, in which no key is answered. Here it is done between two keys, and not for what was there
    at the beginning, which is most of it and stays. What is young is left to Python, in larger lots.

    Threading: the screen's thread only. One at a time: it sets what holds for the whole process, from ``begin`` to ``close``.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._before: tuple[int, int, int] | None = None
        self._typed_s = self._swept_s = clock.monotonic_s()
        self._took_s = 0.0

    def begin(self) -> None:
        """What is there now stays."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
            gc.freeze()

    def close(self) -> None:
        """As it was before. Idempotent."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None

    def typed(self) -> None:
        """Somebody is at the keys."""
        self._typed_s = self._clock.monotonic_s()

    def look(self) -> bool:
        """Sweep, where it is time to; whether it was."""
        now_s = self._clock.monotonic_s()
        since_s, quiet = now_s - self._swept_s, now_s - self._typed_s >= QUIET_S
        if self._before is None or since_s < (max(SWEEP_S, self._took_s / SHARE) if quiet else AT_LATEST_S):
            return False
        gc.collect()
        self._swept_s = self._clock.monotonic_s()
        self._took_s = self._swept_s - now_s
        return True
