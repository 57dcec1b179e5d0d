"""The pane of findings, over a run in which restored files came back flipped."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from seatrial.history.events import Finding
from seatrial.report import render_text, summarise
from seatrial.verdicts import Verdict
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, OpenFinding
from seatrial_tui.panes.findings.pane import FindingsPane, ordered
from tests.tui.screens.still import SIZES, Host, StillRun, drive, text_of, until


def hosted(run: StillRun) -> tuple[Host, FindingsPane]:
    pane = FindingsPane(run)
    return Host(pane), pane


def hostile() -> Finding:
    return Finding(
        id="F9",
        group="evil/\x1b[2J",
        check="[/var/x]",
        verdict=Verdict.INCONCLUSIVE,
        message="[bold]\x1b]0;own\x07\0" + "x" * 100_000,
        client="[/red]",
        snapshot="\u202e",
        path="/a\nb[/]",
        damage="[b",
        detail=["\x1b[31m", "[/x]"],
    )


@pytest.mark.parametrize("size", SIZES)
def test_each_defect_is_one_line_with_sign_word_kind_and_count(failed_run: Path, size: tuple[int, int]) -> None:
    run = StillRun.of(failed_run)
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(pilot, lambda: "flipped" in text_of(app))
        lines = text_of(app).splitlines()
        (line,) = (line for line in lines if " flipped " in line)
        (group,) = (group for group in run.view.findings if group.first.damage == "flipped")
        assert "✗ FAIL" in line
        assert "restore" in line
        assert f"{group.count} x" in line
        assert f"seen {run.view.findings_total} times" in lines[-1]
        assert max(map(len, lines)) <= size[0]

    drive(app, steps, size)


def test_in_a_narrow_column_verdict_damage_count_and_message_stay(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(pilot, lambda: "flipped" in text_of(app))
        (line,) = (line for line in text_of(app).splitlines() if " flipped " in line)
        (group,) = (group for group in run.view.findings if group.first.damage == "flipped")
        assert "✗ FAIL" in line
        assert f"{group.count} x" in line
        assert group.first.message[:8] in line

    drive(app, steps, (46, 12))


def test_the_gravest_comes_first_then_what_was_seen_last(failed_run: Path) -> None:
    run = StillRun.of(failed_run)

    def found(group: str, verdict: Verdict) -> Finding:
        return Finding(id=group, group=group, check="c", verdict=verdict, message="m")

    run.find(found("late/doubt", Verdict.INCONCLUSIVE), at_ns=3 * 10**18)
    run.find(found("early/fail", Verdict.FAIL), at_ns=1)
    run.find(found("late/fail", Verdict.FAIL), at_ns=3 * 10**18)
    names = [group.group for group in ordered(run.view)]
    assert (names[0], names[-2:]) == ("late/fail", ["early/fail", "late/doubt"])


def test_a_run_without_findings_is_told_calmly_and_how_much_was_compared(finished_run: Path) -> None:
    run = StillRun.of(finished_run)
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "No findings so far: nothing compared yet." in text_of(app))
        pane.show(run.moment())
        compared = run.view.snapshots.restored
        assert compared > 1
        await until(pilot, lambda: f"No findings: {compared} restores compared equal." in text_of(app))
        assert pane.export().rows == []

    drive(app, steps)


def test_the_first_finding_takes_the_place_of_the_calm_and_the_keys_stay_here(finished_run: Path) -> None:
    run = StillRun.of(finished_run)
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        pane.query_one("Calm").focus()
        await until(pilot, lambda: pane.has_focus_within)
        clean = run.view
        run.find(Finding(id="F1", group="restore/flipped", check="restore", verdict=Verdict.FAIL, message="a byte", damage="flipped"))
        pane.show(run.moment())
        await until(pilot, lambda: isinstance(app.focused, LineTable) and "✗ FAIL" in text_of(app))
        run.view = clean  # the slider of a finished run goes back in time
        pane.show(run.moment())
        await until(pilot, lambda: "No findings: " in text_of(app) and "seen" not in text_of(app))
        assert pane.export().rows == []

    drive(app, steps)


def test_enter_opens_the_selected_one_and_y_copies_it_as_the_report_has_it(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, pane = hosted(run)
    chosen = ordered(run.view)[0]

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        pane.query_one(LineTable).focus()
        await pilot.press("enter", "y")
        await until(pilot, lambda: len(app.asked) == 2)
        opened, copied = app.asked
        assert isinstance(opened, OpenFinding)
        assert opened.group == chosen.group
        assert isinstance(copied, CopyText)
        report = render_text(summarise(run.directory))
        said = [line for line in copied.text.splitlines() if "by other findings" not in line]
        assert said
        assert [line for line in said if line not in report.splitlines()] == []

    drive(app, steps)


def test_its_export_has_values_not_words(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        exported = pane.export()
        rows = [dict(zip(exported.columns, row, strict=True)) for row in exported.rows]
        (flipped,) = (row for row in rows if row["damage"] == "flipped")
        (group,) = (group for group in run.view.findings if group.first.damage == "flipped")
        assert (flipped["verdict"], flipped["count"], flipped["first_seen_ns"]) == ("FAIL", group.count, group.first_ns)
        assert (flipped["snapshot"], flipped["path"]) == (group.first.snapshot, group.first.path)

    drive(app, steps)


@pytest.mark.parametrize("size", SIZES)
def test_hostile_text_neither_crashes_nor_reaches_the_terminal(finished_run: Path, size: tuple[int, int]) -> None:
    run = StillRun.of(finished_run)
    run.find(hostile())
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        pane.query_one(LineTable).focus()
        await until(pilot, lambda: "? INCONCLUSIVE" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: app.asked)
        assert all(line.isprintable() for line in text_of(app).split("\n"))
        assert "[/var/x]" in text_of(app)
        (copied,) = app.asked
        assert isinstance(copied, CopyText)
        assert all(line.isprintable() for line in copied.text.split("\n"))

    drive(app, steps, size)


def test_an_unchanged_view_costs_no_new_lines(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, pane = hosted(run)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        table = pane.query_one(LineTable)
        before = table.shown
        run.view = msgspec.structs.replace(run.view, seq=run.view.seq + 1)
        pane.show(run.moment())
        assert table.shown is before or [*map(id, table.shown)] == [*map(id, before)]

    drive(app, steps)
