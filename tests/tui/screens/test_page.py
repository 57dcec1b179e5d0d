"""Text to read: wrapped beside its label, bounded, selected with the mouse."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.pilot import Pilot

from seatrial_tui.lines.page import CELLS_MAX, Page, Paragraph, field, heading
from seatrial_tui.lines.tones import Tone, TonedApp
from tests.tui.screens.still import drive, text_of, until


class Reader(TonedApp[None]):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def compose(self) -> ComposeResult:
        yield self.page


def test_long_text_goes_on_below_itself_and_not_below_its_label() -> None:
    app = Reader()

    async def steps(pilot: Pilot[None]) -> None:
        app.page.show([heading("Head"), field("label", ("word " * 20, Tone.BAD), 10), Paragraph(("漢" * 40,), "", 4)])
        await until(pilot, lambda: "Head" in text_of(app))
        lines = app.page.text.splitlines()
        assert lines[1].startswith("  label   word word")
        assert lines[2].startswith("          word")
        assert lines[4].startswith("          word")
        assert lines[5].startswith("    漢")
        assert sum(line.count("漢") for line in lines) == 40
        assert all(len(line.replace("漢", "xx")) <= 40 for line in lines)

    drive(app, steps, (40, 10))


def test_it_is_wrapped_anew_when_the_width_changes() -> None:
    app = Reader()

    async def steps(pilot: Pilot[None]) -> None:
        app.page.show([Paragraph(("word " * 30,))])
        await until(pilot, lambda: len(app.page.text.splitlines()) == 2)
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: len(app.page.text.splitlines()) >= 4)

    drive(app, steps, (100, 10))


def test_what_is_endless_is_cut_in_its_middle() -> None:
    app = Reader()

    async def steps(pilot: Pilot[None]) -> None:
        app.page.show([Paragraph(("begin" + "x" * 100_000 + "end",))])
        await until(pilot, lambda: "begin" in text_of(app))
        text = app.page.text.replace("\n", "")
        assert len(text) == CELLS_MAX
        assert text.endswith("end")

    drive(app, steps)


def test_the_mouse_selects_across_lines() -> None:
    app = Reader()

    async def steps(pilot: Pilot[None]) -> None:
        app.page.show([Paragraph(("first line",)), Paragraph(("second line",))])
        await until(pilot, lambda: "second" in text_of(app))
        await pilot.mouse_down(app.page, offset=(6, 0))
        await pilot.hover(app.page, offset=(5, 1))
        await pilot.mouse_up(app.page, offset=(5, 1))
        await until(pilot, lambda: app.screen.get_selected_text() == "line\nsecond")

    drive(app, steps)


def test_another_theme_repaints_it() -> None:
    app = Reader()

    async def steps(pilot: Pilot[None]) -> None:
        app.page.show([Paragraph((("bad", Tone.BAD),))])
        await until(pilot, lambda: "bad" in text_of(app))

        def colours() -> set[object]:
            strips = app.screen._compositor.render_strips()
            return {segment.style.color for segment in strips[0] if segment.style and "bad" in segment.text}

        before = colours()
        app.theme = "textual-light"
        await until(pilot, lambda: colours() != before)

    drive(app, steps)
