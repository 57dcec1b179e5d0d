"""One finding explained on the screen, with the words of the written report."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from seatrial.history.events import Finding
from seatrial.report import render_text, summarise
from seatrial.verdicts import Verdict
from seatrial_tui.lines.page import Page
from seatrial_tui.messages import CopyText, JumpToLog, OpenShell
from seatrial_tui.screens.finding import FindingScreen
from tests.tui.screens.still import SIZES, Host, StillRun, drive, text_of, until
from tests.tui.screens.test_findings_pane import hostile


def opened(run: StillRun, damage: str = "flipped") -> tuple[Host, FindingScreen]:
    group = next(group for group in run.view.findings if group.first.damage == damage)
    screen = FindingScreen(run, group.group)
    return Host(screen), screen


def stands(app: Host, said: str) -> bool:
    return said in text_of(app)


def words(text: str) -> str:
    """Without the line breaks that a width makes."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("size", SIZES)
def test_it_says_what_the_report_says(failed_run: Path, size: tuple[int, int]) -> None:
    run = StillRun.of(failed_run)
    app, screen = opened(run)
    report = render_text(summarise(failed_run))
    (section,) = (part for part in report.split("\n\n") if "inding " in part.split(":")[0] and "flipped" in part)

    async def steps(pilot: Pilot[None]) -> None:
        page = screen.query_one(Page)
        await until(pilot, lambda: "What came back" in page.text)
        shown = words(page.text)
        for line in section.splitlines():
            if " expected  " not in line and " actual  " not in line and "[" not in line:
                assert words(line) in shown, line
        assert max(map(len, text_of(app).splitlines())) <= size[0]

    drive(app, steps, size)


def test_the_bytes_stand_below_each_other_and_wrong_ones_are_marked(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, screen = opened(run)

    async def steps(pilot: Pilot[None]) -> None:
        page = screen.query_one(Page)
        await until(pilot, lambda: "^^" in page.text)
        lines = page.text.splitlines()
        at = next(number for number, line in enumerate(lines) if "^^" in line)
        marks, actual, expected = lines[at], lines[at - 1], lines[at - 2]
        assert " actual " in actual
        assert " expected " in expected
        wrong = [match.start() for match in re.finditer(r"\^\^", marks)]
        differing = [x for x in range(22, len(actual), 3) if actual[x : x + 2] != expected[x : x + 2]]
        assert wrong == differing != []

    drive(app, steps)


def test_the_next_and_the_previous_one_come_in_the_order_of_the_report(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    names = [group.group for group in run.view.findings]
    assert len(names) > 1
    screen = FindingScreen(run, names[0])
    app = Host(screen)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.group == names[1] and f"inding 2 of {len(names)}" in text_of(app))
        for _ in names:
            await pilot.press("right_square_bracket")
        assert screen.group == names[-1], "there is nothing behind the last one"
        for _ in names:
            await pilot.press("left_square_bracket")
        assert screen.group == names[0]

    drive(app, steps)


def test_its_keys_ask_for_the_log_the_text_the_command_and_the_evidence(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    run.view = msgspec.structs.replace(
        run.view, header=msgspec.structs.replace(run.view.header, command=("seatrial", "run", "smoke", "--seed", "7"))
    )
    app, screen = opened(run)
    first = next(group.first for group in run.view.findings if group.group == screen.group)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "What came back" in text_of(app))
        await pilot.press("l", "y", "r", "e", "o")
        await until(pilot, lambda: len(app.asked) == 5)
        log, everything, command, evidence, shell = app.asked
        assert isinstance(log, JumpToLog)
        assert log.offset == first.server_log_offset
        assert isinstance(everything, CopyText)
        assert "run it again       seatrial run smoke --seed 7\n" in everything.text
        assert isinstance(command, CopyText)
        assert command.text == "seatrial run smoke --seed 7"
        assert isinstance(evidence, CopyText)
        assert Path(evidence.text).is_dir()
        assert isinstance(shell, OpenShell)
        assert str(shell.path) == evidence.text

    drive(app, steps)


def test_escape_goes_back(failed_run: Path) -> None:
    app, screen = opened(StillRun.of(failed_run))

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("escape")
        await until(pilot, lambda: app.returned == [None])

    drive(app, steps)


def test_what_is_seen_once_more_is_counted_while_it_is_read(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, screen = opened(run)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "What came back" in text_of(app))
        page = screen.query_one(Page)
        page.scroll_to(y=5, animate=False)
        groups = [msgspec.structs.replace(group, count=1_234) if group.group == screen.group else group for group in run.view.findings]
        run.view = msgspec.structs.replace(run.view, findings=tuple(groups))
        screen.show(run.moment())
        await until(pilot, lambda: "seen 1,234 times" in page.text and re.search(r"and 1,2\d\d more", page.text))
        assert page.scroll_offset.y == 5, "who reads is not thrown back to the beginning"

    drive(app, steps)


def test_a_moment_before_it_was_found_says_so(failed_run: Path) -> None:
    run = StillRun.of(failed_run)
    app, screen = opened(run)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "What came back" in text_of(app))
        run.view = msgspec.structs.replace(run.view, findings=())
        screen.show(run.moment())
        await until(pilot, lambda: f"{screen.group} has not been found at this moment of the run." in text_of(app))
        await pilot.press("y", "l", "right_square_bracket")
        assert not app.asked

    drive(app, steps)


@pytest.mark.parametrize("size", SIZES)
def test_hostile_text_neither_crashes_nor_reaches_the_terminal(finished_run: Path, size: tuple[int, int]) -> None:
    run = StillRun.of(finished_run)
    run.find(hostile())
    app, screen = opened(run, hostile().damage)

    async def steps(pilot: Pilot[None]) -> None:
        page = screen.query_one(Page)
        await until(pilot, lambda: "What came back" in page.text)
        assert "[bold]" in page.text
        assert r"\x1b]0;own\x07\x00xxx" in page.text
        assert all(line.isprintable() for line in page.text.split("\n"))
        assert all(line.isprintable() for line in text_of(app).split("\n"))
        assert len(page.text) < 20_000, "what is endless is cut"

    drive(app, steps, size)


def test_a_finding_without_circumstances_or_evidence_is_told_as_far_as_it_is_known(finished_run: Path) -> None:
    run = StillRun.of(finished_run)
    run.find(Finding(id="F1", group="history/incomplete", check="history", verdict=Verdict.INCONCLUSIVE, message="m", damage="incomplete"))
    app, _ = opened(run, "incomplete")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "first seen" in text_of(app))
        for key, said in (("r", "the journal names no command"), ("e", "no evidence was kept"), ("o", "no evidence was kept")):
            app.clear_notifications()
            await until(pilot, lambda: "the journal" not in text_of(app) and "was kept" not in text_of(app))
            await pilot.press(key)
            await until(pilot, partial(stands, app, said))
        assert not app.asked

    drive(app, steps)
