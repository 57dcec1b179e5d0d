"""How sizes have grown: since the start, and by the minute."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from seatrial.report.prose import size
from seatrial_tui.lines.columns import Column
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.source.moment import Sample

RATE_S = 60
"""Growth by the minute is measured over the last minute, or as much of it as there is."""
_LEAST_S = 5
"""Less is too little to speak of a rate."""


def grown(amount_bytes: float | None, unit: str = "") -> Cell:
    """``+1.2 MiB``, with its sign; ``-`` where nobody knows."""
    if amount_bytes is None:
        return "-", Tone.FAINT
    if not amount_bytes:
        return f"0 B{unit}", Tone.FAINT
    return f"{'+' if amount_bytes > 0 else '-'}{size(abs(amount_bytes))}{unit}"


class Grows(Protocol):
    """A row that tells its growth; None where nobody knows."""

    @property
    def since_start_bytes(self) -> int | None: ...

    @property
    def per_minute_bytes(self) -> float | None: ...


G = TypeVar("G", bound=Grows)


def since_start_column(priority: int) -> Column[G]:
    """How much it has grown in all."""
    return Column(
        name="since_start_bytes",
        title="since start",
        cell=lambda row: grown(row.since_start_bytes),
        value=lambda row: row.since_start_bytes,
        right=True,
        priority=priority,
    )


def per_minute_column(priority: int) -> Column[G]:
    """How fast it grows now."""
    return Column(
        name="bytes_per_minute",
        title="per minute",
        cell=lambda row: grown(row.per_minute_bytes, "/min"),
        value=lambda row: row.per_minute_bytes,
        right=True,
        priority=priority,
    )


class Growth:
    """What each path has grown by since it was first told, and over the last minute.

    Owner: the pane that shows it. Nothing is done for a sample but to remember the last ones: a thousand paths in a thousand samples
    would take too long. The first size of a path is looked for once.
    """

    def __init__(self, size_of: Callable[[Sample, str], int]) -> None:
        """``size_of`` says -1 for what a sample does not tell."""
        self._size_of = size_of
        self._first: dict[str, Sample] = {}
        self._samples: Sequence[Sample] = ()
        self._then: Sample | None = None

    def look(self, samples: Sequence[Sample]) -> bool:
        """The samples so far; whether there are others than before."""
        if samples is self._samples:
            return False
        self._samples = samples
        minute_ago_ns = samples[-1].at_ns - RATE_S * 1_000_000_000 if samples else 0
        self._then = samples[bisect_left(samples, minute_ago_ns, key=lambda sample: sample.at_ns)] if samples else None
        return True

    def since_start(self, path: str, size_bytes: int, before_bytes: int = -1) -> int | None:
        """Bytes; None where it was never read. ``before_bytes``: its size before the run, where that was read."""
        if before_bytes < 0:
            first = self._first_of(path)
            before_bytes = self._size_of(first, path) if first else -1
        return size_bytes - before_bytes if before_bytes >= 0 and size_bytes >= 0 else None

    def per_minute(self, path: str, size_bytes: int) -> float | None:
        """Bytes; None where too little is known. What is younger than a minute is measured since it was first told."""
        then = self._then
        if then is not None and self._size_of(then, path) < 0:
            then = self._first_of(path)
        if then is None or size_bytes < 0:
            return None
        past_s = (self._samples[-1].at_ns - then.at_ns) / 1e9
        return (size_bytes - self._size_of(then, path)) / past_s * 60 if past_s >= _LEAST_S else None

    def _first_of(self, path: str) -> Sample | None:
        """The first sample that tells of the path: what is there once, stays as a rule, so it need not look at each."""
        known = self._first.get(path)
        if known is None and self._samples:
            at = bisect_left(self._samples, 1, key=lambda sample: self._size_of(sample, path) >= 0)
            if at < len(self._samples):
                known = self._first[path] = self._samples[at]
        return known
