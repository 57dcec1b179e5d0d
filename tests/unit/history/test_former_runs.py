"""Cumulative statistics: what earlier runs have counted and what this one counts, in one histogram."""

from __future__ import annotations

import pytest

from seatrial.history.events import ActionTotals, Event, FormerRuns, Record, Result
from seatrial.history.fold import RunFold
from seatrial.history.histogram import Histogram
from seatrial.history.view import RunView
from seatrial.verdicts import Outcome


def folded(*events: Event) -> RunView:
    fold = RunFold()
    for seq, event in enumerate(events, 1):
        fold.apply(Record(seq=seq, at_ns=seq, event=event))
    return fold.view(force=True)


def result(op: str, service_s: float, outcome: Outcome = Outcome.OK) -> Result:
    return Result(op=op, client="c", action="list-snapshots", outcome=outcome, service_s=service_s)


def former(count: int, service_s: float) -> FormerRuns:
    histogram = Histogram()
    for _ in range(count):
        histogram.record(service_s)
    return FormerRuns(runs=2, actions=[ActionTotals(action="list-snapshots", count=count, ok=count, service=histogram.data())])


def test_the_cumulative_row_is_the_sum_and_its_percentiles_are_of_all() -> None:
    view = folded(former(3, 0.1), result("0-0", 5.0), result("0-1", 5.0, Outcome.FAILED))
    (own,), (all_runs,) = view.actions, view.cumulative
    assert (own.count, own.ok, own.failed) == (2, 1, 1)
    assert (all_runs.count, all_runs.ok, all_runs.failed) == (5, 4, 1)
    assert all_runs.service.p50_s == pytest.approx(0.1, rel=0.02)
    assert all_runs.service.max_s == 5.0
    assert view.former_runs == 2


def test_the_first_run_of_a_prefix_has_nothing_to_add_up() -> None:
    view = folded(result("0-0", 1.0))
    assert (view.former_runs, view.cumulative) == (0, ())
