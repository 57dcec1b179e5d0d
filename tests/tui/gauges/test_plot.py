"""History plots: what a bar says, what a gap is, how wide they are."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from seatrial.report.prose import cells, size
from seatrial_tui.lines.columns import split
from seatrial_tui.lines.plot import Plot, bars, binary_ceiling, decimal_ceiling, trace
from seatrial_tui.source.moment import Sample
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS

LEVELS = " ▁▂▃▄▅▆▇█"
amounts = st.floats(min_value=0, max_value=1e15)
maybe = st.none() | amounts


def rates(*values: float | None, first_s: int = 0, step_s: int = 1) -> list[Sample]:
    """A sample for each value but None, a second apart."""
    return [
        Sample(at_ns=BEGIN_NS + (first_s + number * step_s) * SECOND_NS, actions_per_minute=value)
        for number, value in enumerate(values)
        if value is not None
    ]


def actions(sample: Sample) -> float:
    return sample.actions_per_minute


def height_of(rows: list[str], column: int) -> int:
    """Of a bar, in eighths of a line."""
    return sum(LEVELS.index(row[column]) for row in rows)


@given(st.lists(maybe, max_size=60), st.integers(1, 6))
def test_a_higher_value_never_has_the_lower_bar(values: list[float | None], height: int) -> None:
    top = decimal_ceiling(max((value for value in values if value is not None), default=0))
    rows = bars(values, height=height, top=top)
    known = sorted((value, height_of(rows, column)) for column, value in enumerate(values) if value is not None)
    assert [bar for _, bar in known] == sorted(bar for _, bar in known)


@given(st.lists(maybe, max_size=60), st.integers(1, 6))
def test_each_bar_stands_on_the_ground_and_within_its_rows(values: list[float | None], height: int) -> None:
    rows = bars(values, height=height, top=100.0)
    assert [len(row) for row in rows] == [len(values)] * height
    for column in range(len(values)):
        bar = [LEVELS.index(row[column]) for row in reversed(rows)]
        assert bar == sorted(bar, reverse=True)
        assert sum(0 < part < 8 for part in bar) <= 1


@given(st.integers(1, 6), amounts)
def test_a_gap_nothing_and_little_all_look_different(height: int, top: float) -> None:
    rows = bars([None, 0.0, max(top, 1.0) / 1e6, math.nan], height=height, top=max(top, 1.0))
    assert [height_of(rows, column) for column in range(4)] == [0, 1, 2, 0]


@given(st.lists(maybe, max_size=700), st.integers(0, 40), st.integers(1, 4), st.integers(1, 30))
def test_a_trace_is_as_wide_and_as_high_as_asked(values: list[float | None], width: int, height: int, step_s: int) -> None:
    made = trace(rates(*values, step_s=step_s), actions, width=width, height=height)
    assert [len(row) for row in made.rows] == [width] * height
    assert made.top >= 1


@given(st.floats(min_value=0, max_value=1e18))
def test_the_scale_is_round_and_holds_the_value(value: float) -> None:
    decimal, binary = decimal_ceiling(value), binary_ceiling(value)
    assert value <= decimal <= max(1.0, 2.5 * value + 1e-9)
    assert f"{decimal:e}"[0] in "125"
    assert value <= binary <= max(1024.0, 2 * value)
    assert math.log2(binary).is_integer()


def test_the_last_sample_is_the_last_column() -> None:
    assert trace(rates(0, 0, 0, 8), actions, width=6).rows == ["  ▁▁▁▇"]


def test_a_sample_that_comes_late_leaves_no_gap_but_silence_does() -> None:
    late = rates(5, None, 5, 5)
    assert " " not in trace(late, actions, width=4).rows[0]
    silence = rates(5, None, None, None, None, None, 5)
    assert trace(silence, actions, width=7).rows == ["█     █"]


def test_what_a_sample_does_not_tell_is_a_gap_at_once() -> None:
    samples = [Sample(at_ns=BEGIN_NS + second * SECOND_NS, cpu_percent={} if second == 1 else {"server": 1.0}) for second in range(3)]
    assert trace(samples, lambda sample: sample.cpu_percent.get("server"), width=3).rows == ["█ █"]


def test_a_past_that_is_too_long_for_a_column_each_second_is_gathered_by_its_peaks() -> None:
    values = [1.0] * 100
    values[50] = 100.0
    made = trace(rates(*values), actions, width=21)
    assert made.span_s == 21 * 5
    assert made.top == 100
    assert made.rows[0].count("█") == 1
    assert " " not in made.rows[0].strip()


def test_bars_of_the_past_stand_still_while_time_goes_on() -> None:
    values = [float(second % 17) for second in range(300)]
    before = trace(rates(*values[:295]), actions, width=40).rows[0]
    after = trace(rates(*values), actions, width=40).rows[0]
    assert before[1:-1] in after


def test_a_wall_clock_that_jumps_back_breaks_nothing() -> None:
    samples = [*rates(1, 2, 3, first_s=100), *rates(4, 5)]
    assert len(trace(samples, actions, width=10).rows[0]) == 10


def test_no_samples_make_an_empty_plot_without_a_scale() -> None:
    (line,) = Plot(actions, size).cells((), 40)
    assert "".join(split(cell)[0] for cell in line).strip() == ""


@given(st.integers(1, 120), st.integers(1, 4))
def test_a_plot_with_its_scale_is_as_wide_as_asked(width: int, height: int) -> None:
    lines = Plot(actions, lambda top: f"{size(top)}/s", binary_ceiling).cells(rates(1e6, 3e6), width, height)
    assert len(lines) == height
    assert all(cells("".join(split(cell)[0] for cell in line)) == width for line in lines)


def test_a_plot_tells_its_scale_with_its_unit_and_its_span() -> None:
    (line,) = Plot(actions, lambda top: f"{size(top)}/s", binary_ceiling).cells(rates(*[4 * 1024.0**2] * 26), 50)
    assert "".join(split(cell)[0] for cell in line).split() == ["█" * 26, "↑4", "MiB/s", "←26", "s"]


def test_a_plot_is_made_anew_only_for_another_sample_or_another_room() -> None:
    asked = list[int]()

    def counted(sample: Sample) -> float:
        asked.append(sample.at_ns)
        return sample.actions_per_minute

    plot, samples = Plot(counted, str), rates(1, 2, 3)
    first = plot.cells(samples, 30)
    assert plot.cells(list(samples), 30) is first
    assert len(asked) == 3
    plot.cells(samples, 31)
    plot.cells(rates(1, 2, 3, 4), 31)
    assert len(asked) == 3 + 3 + 4
