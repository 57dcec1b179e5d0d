"""Help made of the keys there are, and questions whose harmless answer stands in front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from seatrial_tui.lines.page import Page
from seatrial_tui.lines.table import LineTable
from seatrial_tui.panes.findings.pane import FindingsPane
from seatrial_tui.screens.ask import Confirm, Prompt, QuitChoice
from seatrial_tui.screens.finding import FindingScreen
from seatrial_tui.screens.help import HelpScreen
from tests.tui.screens.still import SIZES, Host, StillRun, drive, text_of, until


@pytest.mark.parametrize("size", SIZES)
def test_help_has_the_words_and_all_keys_of_the_pane_and_those_everywhere(failed_run: Path, size: tuple[int, int]) -> None:
    run = StillRun.of(failed_run)
    pane = FindingsPane(run)
    app = Host(pane)

    async def steps(pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        pane.query_one(LineTable).focus()
        await until(pilot, lambda: isinstance(app.focused, LineTable))
        app.push_screen(HelpScreen(pane))
        await until(pilot, lambda: "Help: Findings" in text_of(app))
        text = app.screen.query_one(Page).text
        assert "one line for each defect" in text.replace("\n", " ")
        keys, everywhere = text.split("Keys everywhere")
        lines = {line.split("  ")[-1].strip(): line for line in keys.splitlines()}
        assert lines["Copy"].split() == ["y", "Copy"]
        assert any(line.split()[:2] == ["↓", "j"] for line in keys.splitlines()), "keys of the table in it are its own"
        assert "^q" in everywhere
        assert "INCONCLUSIVE" in everywhere
        assert max(map(len, text_of(app).splitlines())) <= size[0]

    drive(app, steps, size)


@pytest.mark.parametrize("key", ["escape", "question_mark", "q"])
def test_help_scrolls_and_closes_as_one_expects(failed_run: Path, key: str) -> None:
    run = StillRun.of(failed_run)
    screen = FindingScreen(run, run.view.findings[0].group)
    app = Host(screen)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.screen is screen)
        app.push_screen(HelpScreen(screen))
        await until(pilot, lambda: "Help: Finding" in text_of(app))
        page = app.screen.query_one(Page)
        await pilot.press("G")
        await until(pilot, lambda: "the run is over" in text_of(app))
        assert page.scroll_offset.y > 0
        await pilot.press(key)
        await until(pilot, lambda: app.screen is screen)

    drive(app, steps)


Asked = Callable[[], Screen[Any]]


def leave() -> Screen[Any]:
    return QuitChoice()


def leave_stopping() -> Screen[Any]:
    return QuitChoice(stopping=True)


def sure() -> Screen[Any]:
    return Confirm("Remove this client?", "remove it", "[/red] brave-otter\nIts \x1b[2J directory goes.")


def remark() -> Screen[Any]:
    return Prompt("A remark:", lambda text: "no [b]swearing[/]" if "damn" in text else "")


@pytest.mark.parametrize(
    ("ask", "keys", "answer"),
    [
        (leave, ["enter"], None),
        (leave, ["escape"], None),
        (leave, ["s"], "stop"),
        (leave, ["l"], "leave"),
        (leave, ["down", "enter"], "stop"),
        (leave, ["j", "j", "enter"], "leave"),
        (leave_stopping, ["e"], "stop-now"),
        (leave_stopping, ["enter"], None),
        (sure, ["enter"], False),
        (sure, ["escape"], False),
        (sure, ["n"], False),
        (sure, ["y"], True),
        (sure, ["tab", "enter"], True),
        (remark, [*"hi", "enter"], "hi"),
        (remark, ["escape"], None),
        (remark, ["enter", *"damn", "enter", "escape"], None),
    ],
)
def test_a_question_is_answered_by_its_keys_and_nothing_dangerous_is_in_front(ask: Asked, keys: list[str], answer: object) -> None:
    app = Host(ask())

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.screen is app.inner and app.focused is not None)
        await pilot.press(*keys)
        await until(pilot, lambda: app.returned)
        assert app.returned == [answer]

    drive(app, steps)


@pytest.mark.parametrize("size", [(30, 10), *SIZES])
@pytest.mark.parametrize("ask", [leave, leave_stopping, sure, remark])
def test_a_question_fits_whatever_the_size_and_shows_its_letters(ask: Asked, size: tuple[int, int]) -> None:
    app = Host(ask())

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: (app.screen is app.inner and "esc" in text_of(app)) or " n " in text_of(app) or "enter" in text_of(app))
        text = text_of(app)
        assert max(map(len, text.splitlines())) <= size[0]
        assert all(line.isprintable() for line in text.split("\n"))

    drive(app, steps, size)


@pytest.mark.parametrize("ask", [leave, sure, remark])
def test_what_was_told_before_does_not_hide_a_question(ask: Asked) -> None:
    app = Host(ask())
    told = [f"told before, number {number}" for number in range(4)]

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.screen is app.inner and app.focused is not None)
        await app.pop_screen()
        for text in told:
            app.notify(text)
        await until(pilot, lambda: told[-1] in text_of(app))
        question = ask()
        await app.push_screen(question)
        await until(pilot, lambda: app.screen is question and app.focused is not None and "told before" not in text_of(app))

    drive(app, steps)


def test_an_answer_is_clicked(failed_run: Path) -> None:
    app = Host(leave())

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.screen is app.inner)
        await pilot.click("#answer-1")
        await until(pilot, lambda: app.returned)
        assert app.returned == ["stop"]

    drive(app, steps)


def test_what_is_wrong_with_a_remark_is_said_and_it_can_be_mended() -> None:
    app = Host(remark())

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press(*"damn", "enter")
        await until(pilot, lambda: "no [b]swearing[/]" in text_of(app))
        await pilot.press(*["backspace"] * 4, *"well", "enter")
        await until(pilot, lambda: app.returned == ["well"])

    drive(app, steps)
