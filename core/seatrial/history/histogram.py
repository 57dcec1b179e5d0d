"""Latencies in logarithmic buckets: bounded size, bounded relative error, mergeable, serialisable.

Bucket ``i`` holds the values in ``[LOWEST_S * GROWTH**i, LOWEST_S * GROWTH**(i + 1))`` and answers with the geometric middle of its
bounds, so that an answer is at most ``sqrt(GROWTH) - 1`` away from a value that was recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

GROWTH = 1.02
LOWEST_S = 1e-6
"""Everything below counts as this."""
HIGHEST_S = 1e6
"""Everything above counts as this (eleven days)."""
RELATIVE_ERROR = math.sqrt(GROWTH) - 1
"""Of a percentile, for values between the lowest and the highest."""
_SCALE = 1 / math.log(GROWTH)
_OFFSET = math.log(LOWEST_S) * _SCALE
BUCKETS = int(math.log(HIGHEST_S) * _SCALE - _OFFSET) + 1
"""The most counters one histogram can have."""


def bucket_of(seconds: float) -> int:
    """Where a duration is counted."""
    return 0 if seconds <= LOWEST_S else min(int(math.log(seconds) * _SCALE - _OFFSET), BUCKETS - 1)


class HistogramData(msgspec.Struct, frozen=True, kw_only=True):
    """A histogram at rest: for JSON, and for the cumulative statistics."""

    buckets: tuple[tuple[int, int], ...] = ()
    """(bucket, count), ascending."""
    count: int = 0
    total_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0


class Histogram:
    """Counts durations. Threading: one owner.

    Counters are kept only for buckets in use: latencies of one action fall into a few dozen of them, and reading percentiles
    walks those instead of all ``BUCKETS``.
    """

    __slots__ = ("_buckets", "count", "max_s", "min_s", "total_s")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total_s = self.max_s = self.min_s = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration; negative ones (a clock that stepped back) count as 0."""
        value = seconds if seconds > 0.0 else 0.0
        self.record_in(bucket_of(value), value)

    def record_in(self, bucket: int, value: float) -> None:
        """``record`` of what is not negative, where several histograms count the same value: ``bucket`` is ``bucket_of(value)``."""
        buckets = self._buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        if value > self.max_s:
            self.max_s = value
        if not self.count or value < self.min_s:
            self.min_s = value
        self.count += 1
        self.total_s += value

    def merge(self, other: Histogram) -> None:
        """Add everything that ``other`` has counted."""
        if not other.count:
            return
        for index, count in other._buckets.items():
            self._buckets[index] = self._buckets.get(index, 0) + count
        self.min_s = min(self.min_s, other.min_s) if self.count else other.min_s
        self.max_s = max(self.max_s, other.max_s)
        self.count += other.count
        self.total_s += other.total_s

    def percentiles(self, fractions: Iterable[float]) -> list[float]:
        """The nearest-rank percentile for each fraction in ascending order (0.5, 0.95, ...); zeros when nothing was counted."""
        answers: list[float] = []
        ordered = iter(sorted(self._buckets.items()))
        index, seen = 0, 0
        for fraction in fractions:
            rank = max(1, math.ceil(fraction * self.count))
            while seen < rank and self.count:
                index, count = next(ordered)
                seen += count
            middle = math.exp((index + 0.5 + _OFFSET) / _SCALE)
            answers.append(min(max(middle, self.min_s), self.max_s))
        return answers

    def data(self) -> HistogramData:
        """As it is now, at rest."""
        return HistogramData(
            buckets=tuple(sorted(self._buckets.items())),
            count=self.count,
            total_s=self.total_s,
            min_s=self.min_s,
            max_s=self.max_s,
        )

    @classmethod
    def of(cls, data: HistogramData) -> Histogram:
        """The inverse of ``data()``; counters outside the range are taken into the last bucket."""
        made = cls()
        for index, count in data.buckets:
            bounded = min(max(index, 0), BUCKETS - 1)
            made._buckets[bounded] = made._buckets.get(bounded, 0) + count
        made.count, made.total_s, made.min_s, made.max_s = data.count, data.total_s, data.min_s, data.max_s
        return made
