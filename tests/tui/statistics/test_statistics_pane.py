"""Figures by action: of this run and of all under its prefix, with all causes of errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from seatrial.history.events import ActionTotals, FormerRuns
from seatrial.history.view import ActionRow
from seatrial.verdicts import Outcome
from seatrial_tui.messages import CopyText
from seatrial_tui.panes.statistics.columns import all_causes
from seatrial_tui.panes.statistics.pane import StatisticsPane
from tests.tui.clients.many_clients import ManyClients
from tests.tui.runs import moment_of
from tests.tui.table.table_stage import Stage, on_stage, until


def _run(*, former: bool = False) -> ManyClients:
    run = ManyClients(2)
    if former:
        run.tell(FormerRuns(runs=3, actions=[ActionTotals(action="snapshot-root", count=10, ok=8, failed=2, bytes=5)]))
    run.act(0)
    run.act(0, service_s=2.0)
    for cause in ("contended", "contended", "refused"):
        run.act(1, "restore-random-snapID", Outcome.FAILED, cause=cause)
    run.act(1, "restore-random-snapID", Outcome.UNKNOWN, cause="deadline")
    run.act(1, "delete-files", noop=True)
    return run


def _line(app: Stage, name: str) -> list[str]:
    return next((line.strip("│ ").split() for line in app.lines if name in line), [])


def test_each_action_has_a_line_with_counts_latencies_and_its_top_cause() -> None:
    run = _run()
    pane = StatisticsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "contended 2x +2" in app.text)
        snapshot = _line(app, "snapshot-root")
        assert snapshot[:6] == ["snapshot-root", "2", "2", "0", "0", "0"]
        assert snapshot[12:16] == ["2.00", "s", "250", "ms"]
        restore = _line(app, "restore-random-snapID")
        assert restore[:6] == ["restore-random-snapID", "4", "0", "3", "1", "0"]
        assert _line(app, "delete-files")[5] == "1"
        assert "7 actions: 2 ok, 3 failed, 1 unknown, 1 no-op" in app.text

    on_stage(pane, act, (160, 20))


def test_the_line_at_the_bottom_and_enter_have_all_causes() -> None:
    run = _run()
    pane = StatisticsPane(run)
    told = "contended 2 times, deadline 1 time, refused 1 time"

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "snapshot-root: no errors" in app.text)
        await pilot.press("down", "y", "enter")
        await until(lambda: f"restore-random-snapID: {told}" in app.text)
        await until(lambda: any(isinstance(message, CopyText) for message in app.asked))
        assert [message.text for message in app.asked if isinstance(message, CopyText)] == [f"restore-random-snapID: {told}"]
        run.act(1, "restore-random-snapID", Outcome.FAILED, cause="contended")
        pane.show(run.moment())
        await until(lambda: "contended 3 times" in app.text)

    on_stage(pane, act, (80, 12))


def test_cumulative_figures_are_this_run_and_the_former_ones_and_the_title_says_so() -> None:
    run = _run(former=True)
    pane = StatisticsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "Statistics: this run ─" in app.text)
        assert pane.export().name == "statistics"
        await pilot.press("c")
        await until(lambda: "Statistics: this run and 3 former ones" in app.text)
        await until(lambda: _line(app, "snapshot-root")[:2] == ["snapshot-root", "12"])
        await pilot.press("end")
        await until(lambda: "2 times in former runs, whose causes are not kept" in app.text)
        assert pane.export().name == "statistics-cumulative"
        await pilot.press("c")
        await until(lambda: _line(app, "snapshot-root")[:2] == ["snapshot-root", "2"])

    on_stage(pane, act, (120, 20))


def test_without_former_runs_cumulative_figures_are_those_of_this_run() -> None:
    run = _run()
    pane = StatisticsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await pilot.press("c")
        await until(lambda: "this run, no former ones" in app.text)
        assert _line(app, "snapshot-root")[:2] == ["snapshot-root", "2"]
        assert pane.export().name == "statistics"

    on_stage(pane, act, (120, 20))


def test_an_export_has_seconds_bytes_and_causes() -> None:
    run = _run()
    pane = StatisticsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        exported = pane.export()
        rows = {str(row[0]): dict(zip(exported.columns, row, strict=True)) for row in exported.rows}
        assert rows["snapshot-root"]["service_s_max"] == 2.0
        assert rows["snapshot-root"]["bytes"] == 2 << 20
        assert rows["restore-random-snapID"]["errors"] == "contended 2, deadline 1, refused 1"

    on_stage(pane, act)


@pytest.mark.parametrize("size", [(48, 12), (80, 24), (160, 50)])
def test_a_run_that_took_place_is_shown(failed_run: Path, size: tuple[int, int]) -> None:
    moment = moment_of(failed_run)
    pane = StatisticsPane(ManyClients())

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(moment)
        await until(lambda: "snapshot-root" in app.text)
        assert "failed" in app.text
        assert "p95" in app.text

    on_stage(pane, act, size)


def test_errors_without_a_cause_are_not_hidden() -> None:
    assert all_causes(ActionRow(action="a", failed=3, errors={"full": 1})) == "full 1 time, 2 times without a cause"
    assert all_causes(ActionRow(action="a", ok=3)) == "no errors"
