"""Anti-entropy slows down while there is nothing to repair."""

from __future__ import annotations


class AutoSyncBackoff:
    """The factor by which the interval grows: doubled by a clean tick up to ``max_factor``, back to 1 by a dirty one; off at 0 and 1.

    Threading: one thread at a time.
    """

    def __init__(self, max_factor: int) -> None:
        self._max = max_factor
        self.factor = 1 if max_factor > 1 else 0
        self.clean_ticks = 0

    def update(self, clean: bool) -> None:
        """Note how a tick went."""
        if self._max <= 1:
            return
        if clean:
            self.clean_ticks += 1
            self.factor = min(2 * self.factor, self._max)
        else:
            self.factor = 1

    def next_delay(self, interval: float) -> float:
        """Seconds until the next tick."""
        return interval * max(self.factor, 1)
