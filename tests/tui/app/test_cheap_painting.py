"""What is painted again, and what is not: the border of a pane, the line of keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from seatrial_tui.lines.tones import TonedApp
from seatrial_tui.panes.pane import Pane
from seatrial_tui.screens.keys import KeyLine, KeysFirst, footer
from seatrial_tui.source.moment import Moment
from seatrial_tui.source.reader import RunReader
from tests.tui.app.screens import until


def text_of(screen: Screen[Any]) -> list[str]:
    return ["".join(segment.text for segment in line) for line in screen._compositor.render_strips()]


class Counting(Widget):
    painted = 0

    def render_line(self, y: int) -> Strip:
        self.painted += 1
        return Strip.blank(self.size.width)


class Counted(Pane):
    NAME, TITLE, HELP = "counted", "Counted", ""

    def compose(self) -> ComposeResult:
        yield Counting()

    def show(self, moment: Moment) -> None:
        pass


class PaneApp(TonedApp[None]):
    def __init__(self, run: RunReader) -> None:
        super().__init__()
        self.pane = Counted(run)

    def compose(self) -> ComposeResult:
        yield self.pane


def test_another_title_is_seen_and_what_is_inside_the_border_is_not_painted_again(tmp_path: Path) -> None:
    async def look() -> None:
        run = RunReader(tmp_path, at_once=False)
        app = PaneApp(run)
        async with app.run_test(size=(40, 10)):
            app.pane.border_title, app.pane.border_subtitle = "Counted", "one"
            await until(lambda: "one" in text_of(app.screen)[-1])
            inside = app.pane.query_one(Counting)
            before = inside.painted
            app.pane.border_title, app.pane.border_subtitle = Content("[Other]"), "two of [b]two[/b]"
            await until(lambda: "two of two" in text_of(app.screen)[-1] and "[Other]" in text_of(app.screen)[0])
            assert inside.painted == before
        run.close()

    asyncio.run(look())


class Keys(KeysFirst[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "note('a')", "First thing"),
        Binding("b,c", "note('b')", "Other thing"),
        Binding("h", "note('h')", "Hidden", show=False),
        Binding("n", "refused", "Not now"),
        Binding("question_mark", "note('?')", "Help", key_display="?", id="help"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def compose(self) -> ComposeResult:
        yield footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "refused" else True

    def action_note(self, key: str) -> None:
        self.noted.append(key)

    def action_refused(self) -> None:
        raise AssertionError("a key that does nothing now was pressed")


def key_line(width: int, click: str = "") -> tuple[str, list[str]]:
    """The line, and what came of a click on one of its entries."""

    async def look() -> tuple[str, list[str]]:
        app: App[None] = App()
        async with app.run_test(size=(width, 5)) as pilot:
            screen = Keys()
            await app.push_screen(screen)
            await until(lambda: "Help" in text_of(screen)[-1])
            line = text_of(screen)[-1].rstrip()
            if click:
                await pilot.click(KeyLine, offset=(line.index(click), 0))
                await pilot.press("a")
                await until(lambda: screen.noted[-1:] == ["a"])
            return line, screen.noted

    return asyncio.run(look())


def test_the_line_of_keys_begins_with_help_and_tells_each_thing_once() -> None:
    assert key_line(80)[0] == " ? Help  a First thing  b Other thing  n Not now"


def test_keys_that_do_not_fit_are_left_out_whole() -> None:
    assert key_line(24)[0] == " ? Help  a First thing"
    assert key_line(22)[0] == " ? Help  a First thing"
    assert key_line(21)[0] == " ? Help"


def test_a_click_presses_the_key() -> None:
    assert key_line(80, "Other")[1] == ["b", "a"]


def test_a_click_on_a_key_that_does_nothing_now_does_nothing() -> None:
    assert key_line(80, "Not now")[1] == ["a"]
