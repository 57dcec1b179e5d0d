"""Latencies in buckets: error, merge, rest."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.history.histogram import BUCKETS, RELATIVE_ERROR, Histogram, HistogramData

SECONDS = st.floats(min_value=1e-6, max_value=1e6)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(SECONDS, min_size=1, max_size=300), st.floats(min_value=0.01, max_value=1.0))
def test_a_percentile_is_within_the_relative_error_of_the_value_of_that_rank(values: list[float], fraction: float) -> None:
    (answer,) = filled(values).percentiles([fraction])
    exact = sorted(values)[max(1, math.ceil(fraction * len(values))) - 1]
    assert answer == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001)


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_merging_is_the_same_as_having_counted_everything_in_one(left: list[float], right: list[float]) -> None:
    merged = filled(left)
    merged.merge(filled(right))
    together = filled(left + right).data()
    assert merged.data().buckets == together.buckets
    assert (merged.count, merged.min_s, merged.max_s) == (together.count, together.min_s, together.max_s)
    assert merged.total_s == pytest.approx(together.total_s)


@given(st.lists(SECONDS))
def test_a_histogram_survives_json(values: list[float]) -> None:
    data = filled(values).data()
    again = Histogram.of(msgspec.json.decode(msgspec.json.encode(data), type=HistogramData))
    assert again.data() == data
    assert again.percentiles([0.5, 0.95, 0.99]) == filled(values).percentiles([0.5, 0.95, 0.99])


@pytest.mark.parametrize("value", [-1.0, 0.0, 1e-9, 1e6, 1e300])
def test_values_beyond_the_range_are_counted_at_its_ends(value: float) -> None:
    histogram = filled([value])
    ((bucket, count),) = histogram.data().buckets
    assert 0 <= bucket < BUCKETS
    assert (count, histogram.max_s) == (1, max(value, 0.0))


def test_foreign_buckets_stay_within_the_bound() -> None:
    data = HistogramData(buckets=((-5, 1), (10**9, 2)), count=3, max_s=1.0)
    assert Histogram.of(data).data().buckets == ((0, 1), (BUCKETS - 1, 2))


def test_nothing_counted_answers_zero() -> None:
    assert Histogram().percentiles([0.5, 1.0]) == [0.0, 0.0]
