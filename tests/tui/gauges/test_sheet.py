"""Lines of toned text: they fit, they give way by priority, and only what differs is painted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Offset, Region
from textual.pilot import Pilot
from textual.selection import Selection

from seatrial_tui.lines.columns import split
from seatrial_tui.lines.sheet import Line, Sheet, fit, length, meter, packed, spread
from seatrial_tui.lines.tones import Tone
from tests.tui.gauges.gauge_cases import Stage, on_stage, until

words = st.text(st.characters(codec="utf-8", exclude_categories=["Mn", "Me", "Cs"]), max_size=30)
line = st.lists(words, max_size=5)
widths = st.integers(0, 60)


def said(cells: Line) -> str:
    return "".join(split(cell)[0] for cell in cells)


@given(line, widths)
def test_a_line_that_is_fitted_is_never_wider(parts: list[str], width: int) -> None:
    assert length(fit(parts, width)) <= width


@given(line, line, widths)
def test_two_ends_of_a_line_never_take_more_than_the_line(left: list[str], right: list[str], width: int) -> None:
    assert length(spread(left, right, width)) <= width


@given(st.lists(st.tuples(st.integers(0, 3), line), max_size=6), widths)
def test_packed_parts_are_never_wider(parts: list[tuple[int, list[str]]], width: int) -> None:
    assert length(packed(parts, width)) <= width


def test_of_packed_parts_those_of_the_highest_number_go_first() -> None:
    parts = [(0, ["state"]), (2, ["whim"]), (1, ["count"]), (0, [])]
    assert said(packed(parts, 40)) == "state  whim  count"
    assert said(packed(parts, 17)) == "state  count"
    assert said(packed(parts, 6)) == "state"
    assert said(packed(parts, 4)) == "st…e"


def test_the_right_end_stays_and_the_left_one_gives_way() -> None:
    assert said(spread(["left"], ["right"], 12)) == "left   right"
    assert said(spread(["a long left end"], ["right"], 12)) == "a …nd  right"


@given(st.floats(-1, 2), st.integers(0, 40))
def test_a_meter_is_as_wide_as_asked_and_full_only_when_full(fraction: float, width: int) -> None:
    bar = meter(fraction, width)
    assert len(bar) == width
    assert bar.count("█") <= max(0.0, min(1.0, fraction)) * width + 0.1


def test_a_meter_tells_by_its_shape() -> None:
    assert [meter(fraction, 4) for fraction in (0, 0.5, 0.6, 1)] == ["░░░░", "██░░", "██▍░", "████"]


def test_only_lines_that_differ_are_painted_again() -> None:
    sheet = Sheet()

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        sheet.show([["one"], ["two"], ["three"]])
        await until(pilot, lambda: app.text, lambda text: "three" in text)
        asked = list[Region]()
        refresh = sheet.refresh
        sheet.refresh = lambda *regions, **how: (asked.extend(regions), refresh(*regions, **how))[1]  # type: ignore[method-assign]  # listens in
        sheet.show([["one"], ["two"], ["three"]])
        assert not asked
        sheet.show([["one"], [("two", Tone.BAD)], ["four"]])
        assert [region.y for region in asked] == [1, 2]
        assert "four" in await until(pilot, lambda: app.text, lambda text: "four" in text)

    on_stage(sheet, (20, 5), act)


def test_foreign_text_neither_drives_the_terminal_nor_is_taken_for_markup() -> None:
    sheet = Sheet()

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        sheet.show([["[/var/x] \x1b[31m\0 \u202e"], ["end"]])
        text = await until(pilot, lambda: app.text, lambda text: "end" in text)
        assert "[/var/x] \\x1b[31m\\x00 \\u202e" in text

    on_stage(sheet, (60, 5), act)


def test_what_the_mouse_selects_is_copied_as_it_stands() -> None:
    sheet = Sheet()

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        sheet.show([["CPU ", ("12 %", Tone.ACCENT)], ["memory"]])
        await until(pilot, lambda: app.text, lambda text: "memory" in text)
        app.screen.selections = {sheet: Selection(Offset(4, 0), Offset(3, 1))}
        assert app.screen.get_selected_text() == "12 %\nmem"
        assert "CPU 12 %" in app.text

    on_stage(sheet, (20, 5), act)
