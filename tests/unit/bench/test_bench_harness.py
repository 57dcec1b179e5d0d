"""The measuring helper measures, and the table says met only of what is."""

from __future__ import annotations

import pytest

from seatrial.clock import VirtualClock
from tests.bench.__main__ import main, table
from tests.bench.harness import Row, at_least, at_most, median_s, ratio


def test_ratio_is_the_median_of_neighbouring_pairs_and_not_the_ratio_of_medians() -> None:
    clock = VirtualClock()
    a_s, b_s = iter([9, 1, 4, 8]), iter([9, 1, 2, 2])
    measured = ratio(lambda: clock.advance(next(a_s)), lambda: clock.advance(next(b_s)), repeats=3, clock=clock)
    assert measured == pytest.approx(2.0)  # of 1/1, 4/2, 8/2; the first pair only warms up


def test_calls_alternate() -> None:
    clock, calls = VirtualClock(), []

    def side(name: str) -> None:
        calls.append(name)
        clock.advance(1)

    ratio(lambda: side("a"), lambda: side("b"), repeats=2, clock=clock)
    assert calls == ["a", "b", "a", "b", "a", "b"]


def test_median_of_one_side() -> None:
    clock = VirtualClock()
    durations_s = iter([5, 1, 3])
    assert median_s(lambda: clock.advance(next(durations_s)), repeats=3, clock=clock) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row(name="a", measured=1.5, aim=at_most(1.5)), "met"),
        (Row(name="a", measured=1.51, aim=at_most(1.5)), "NOT MET"),
        (Row(name="a", measured=2.0, aim=at_least(2)), "met"),
        (Row(name="a", measured=1.99, aim=at_least(2)), "NOT MET"),
        (Row(name="a", measured=7.0), "told"),
        (Row.skipped("a", "no fio"), "not run"),
    ],
)
def test_a_row_says_whether_its_aim_is_met(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert verdict in table([row])


def test_columns_are_aligned() -> None:
    lines = table([Row(name="a", measured=1.0, note="n"), Row(name="long name", measured=1234.5, unit="MiB/s", note="m")]).splitlines()
    assert lines[1].index("  n") == lines[2].index("  m")


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such"]) == 2
    assert "no-such" in capsys.readouterr().err
