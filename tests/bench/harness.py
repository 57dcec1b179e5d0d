"""How a benchmark is written, and what it needs.

A benchmark is a script ``tests/bench/bench_<name>.py`` with one function::

    def run() -> list[Row]:
        return [Row(name="...", measured=ratio(ours, theirs), unit="x", aim=at_most(1.5))]

``python -m tests.bench [name ...]`` (``make bench NAMES="..."``) runs them and prints one table. A benchmark takes at most a minute
or two, measures both sides of a ratio in the same run, checks that both did the work, and leaves nothing behind. What cannot be
measured here (a program is missing) is a row too: ``Row.skipped(name, "why")``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from seatrial.clock import SYSTEM_CLOCK, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A bound that a figure is held against."""

    text: str
    met: Callable[[float], bool]


def at_most(limit: float) -> Aim:
    """Met by a figure of ``limit`` or less."""
    return Aim(text=f"<= {limit:g}", met=lambda figure: figure <= limit)


def at_least(limit: float) -> Aim:
    """Met by a figure of ``limit`` or more."""
    return Aim(text=f">= {limit:g}", met=lambda figure: figure >= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    measured: float | None
    """A ratio or a figure in ``unit``; None where it could not be measured."""
    unit: str = "x"
    aim: Aim | None = None
    """None for a figure that is only told."""
    note: str = ""
    """Absolute figures behind a ratio, or why there is none."""

    @classmethod
    def skipped(cls, name: str, why: str) -> Row:
        """A row for what cannot be measured on this machine."""
        return cls(name=name, measured=None, note=why)

    @property
    def verdict(self) -> str:
        """``met``, ``NOT MET``, ``told`` (no aim) or ``not run``."""
        if self.measured is None:
            return "not run"
        if self.aim is None:
            return "told"
        return "met" if self.aim.met(self.measured) else "NOT MET"


def seconds(work: Callable[[], object], clock: Clock = SYSTEM_CLOCK) -> float:
    """Wall seconds of one call."""
    start_s = clock.monotonic_s()
    work()
    return clock.monotonic_s() - start_s


def ratio(a: Callable[[], object], b: Callable[[], object], repeats: int = 5, clock: Clock = SYSTEM_CLOCK) -> float:
    """Time of ``a`` over time of ``b``: A B A B ..., the median of the ratios pair by pair.

    Neighbours in time share the machine's mood, so that a slow minute hits both sides of a pair. One pair before the first is not
    counted: it fills caches.
    """
    seconds(a, clock), seconds(b, clock)
    return median(seconds(a, clock) / seconds(b, clock) for _ in range(repeats))


def median_s(work: Callable[[], object], repeats: int = 5, clock: Clock = SYSTEM_CLOCK) -> float:
    """Median wall seconds of ``repeats`` calls."""
    return median(seconds(work, clock) for _ in range(repeats))
