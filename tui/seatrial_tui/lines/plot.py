"""History as bars of block characters: legible without colour, cheap enough to be made anew with every sample.

A column is a span of time that begins at a multiple of its own length, so a bar never changes once its time is over. A space is a
gap (nobody knows), the lowest bar is nothing or next to it, a full one the top of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seatrial.report.prose import duration
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.source.moment import Sample

_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = len(_BLOCKS) - 1
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60)
"""What a column may stand for; the first with which the whole past fits, else the last."""
_CARRIED_S = 3
"""Samples come once a second, now and then late: a hole this long or ``_CARRIED_STEPS`` columns long is no gap."""
_CARRIED_STEPS = 2
_LEAST_COLUMNS = 4
_SCALE_COLUMNS, _SPAN_COLUMNS = 12, 12
_TOLD_SPAN_COLUMNS = 50
"""From here on there is room for the span beside the bars."""

Ceiling = Callable[[float], float]
Getter = Callable[[Sample], float | None]


class Trace(NamedTuple):
    """A plot, ready to be painted."""

    rows: list[str]
    """The highest first; each as wide as was asked for."""
    top: float
    """What a full bar stands for."""
    span_s: float
    """What all columns together stand for."""


def decimal_ceiling(value: float) -> float:
    """The least of 1, 2, 5, 10, 20, 50, ... that is no less than ``value``; 1 for what is less."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1.0, 2.0, 5.0) if step * power >= value), 10.0 * power)


def binary_ceiling(value: float) -> float:
    """The least power of two that is no less than ``value``, at least 1 KiB: round in KiB, MiB and so on."""
    return float(2 ** max(10, math.ceil(math.log2(value)))) if value > 1 else 1024.0


def bars(values: Sequence[float | None], *, height: int, top: float) -> list[str]:
    """One column for each value, ``height`` rows, the highest first. What is over ``top`` is cut, what is negative counts as nothing."""
    levels = [_level(value, height * _EIGHTHS, top) for value in values]
    return ["".join(_BLOCKS[min(_EIGHTHS, max(0, level - row * _EIGHTHS))] for level in levels) for row in range(height - 1, -1, -1)]


def _level(value: float | None, most: int, top: float) -> int:
    """0 for a gap, 1 for nothing, else 2 to ``most``: little can be told from nothing."""
    if value is None or not math.isfinite(value):
        return 0
    return 1 if value <= 0 else 1 + max(1, min(most - 1, math.ceil(value / top * (most - 1))))


def trace(samples: Sequence[Sample], value: Getter, *, width: int, height: int = 1, ceiling: Ceiling = decimal_ceiling) -> Trace:
    """The recent past of one value in ``width`` columns; each is the highest of its span. The last column holds the last sample."""
    if not samples or width <= 0:
        return Trace([" " * max(0, width)] * height, ceiling(0.0), 0.0)
    step_s = _step_s((samples[-1].at_ns - samples[0].at_ns) / 1e9, width)
    columns = _columns(samples, value, width, step_s)
    top = ceiling(max((each for each in columns if each is not None), default=0.0))
    return Trace(bars(columns, height=height, top=top), top, float(step_s * width))


def _step_s(past_s: float, width: int) -> int:
    return next((step_s for step_s in _STEPS_S if step_s * (width - 1) >= past_s), _STEPS_S[-1])


def _columns(samples: Sequence[Sample], value: Getter, width: int, step_s: int) -> list[float | None]:
    step_ns = step_s * 1_000_000_000
    last = samples[-1].at_ns // step_ns
    highest: list[float | None] = [None] * width
    told = [False] * width
    for sample in reversed(samples):
        column = width - 1 - last + sample.at_ns // step_ns
        if column < 0:
            break
        if column >= width:  # a wall clock has jumped back
            continue
        told[column] = True
        one = value(sample)
        so_far = highest[column]
        if one is not None and (so_far is None or one > so_far):
            highest[column] = one
    _carry(highest, told, max(_CARRIED_STEPS, _CARRIED_S // step_s))
    return highest


def _carry(highest: list[float | None], told: Sequence[bool], most: int) -> None:
    """Fill short holes, in which no sample fell, with what stood before them."""
    hole_from = width = len(highest)
    for column in range(width):
        if told[column]:
            if hole_from < column <= hole_from + most:
                highest[hole_from:column] = [highest[hole_from - 1]] * (column - hole_from)
            hole_from = column + 1


class Plot:
    """One value's history with its scale, remembered until there is another sample or another room for it.

    Owner: the pane that paints it; not for several threads.
    """

    def __init__(self, value: Getter, form: Callable[[float], str], ceiling: Ceiling = decimal_ceiling) -> None:
        """``form`` writes the top of the scale with its unit."""
        self._value, self._form, self._ceiling = value, form, ceiling
        self._known: tuple[int, ...] = ()
        self._made: list[list[Cell]] = []

    def cells(self, samples: Sequence[Sample], width: int, height: int = 1) -> list[list[Cell]]:
        """``height`` lines of ``width`` columns: the bars, behind them the top of the scale (↑) and, with room, the time they span (←)."""
        ends = (samples[0].at_ns, samples[-1].at_ns) if samples else ()
        known = (width, height, len(samples), *ends)
        if known != self._known:
            self._known, self._made = known, self._make(samples, width, height)
        return self._made

    def _make(self, samples: Sequence[Sample], width: int, height: int) -> list[list[Cell]]:
        spanned = height == 1 and width >= _TOLD_SPAN_COLUMNS
        scale = _SCALE_COLUMNS + (_SPAN_COLUMNS if spanned else 0)
        scale = scale if width - scale >= _LEAST_COLUMNS else 0
        made = trace(samples, self._value, width=width - scale, height=height, ceiling=self._ceiling)
        labels = [""] * height
        if scale and made.span_s:
            labels[0] = f" ↑{self._form(made.top).replace('.0 ', ' ')}"
            if spanned or height > 1:
                labels[-1] += f" ←{duration(made.span_s)}"
        return [[(row, Tone.ACCENT), (f"{label:<{scale}}"[:scale], Tone.FAINT)] for row, label in zip(made.rows, labels, strict=True)]
