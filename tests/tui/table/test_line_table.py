"""The table that panes share: what is painted, where the selection stays, what keys and mouse do."""

from __future__ import annotations

from functools import partial

import pytest
from rich.cells import cell_len
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection
from textual.theme import Theme

from seatrial_tui.lines.filter_bar import FilterBar
from seatrial_tui.lines.table import Column, LineTable
from seatrial_tui.lines.tones import Tone
from tests.tui.table.table_stage import COLUMNS, Item, Stage, items, on_stage, table_of, until


def _text_column(name: str, *, width: int = 0, middle: bool = False, priority: int = 0) -> Column[Item]:
    return Column(name=name, title=name, cell=lambda row: row.text, width=width, middle=middle, priority=priority)


def _selected(table: LineTable[Item]) -> str:
    row = table.selected
    return row.id if row else ""


def _stands_on(table: LineTable[Item], app: Stage, key: str) -> bool:
    return _selected(table) == key and any(line.startswith(f"{key} ") for line in app.lines)


def _sorted_like(table: LineTable[Item], expected: tuple[str, bool]) -> bool:
    return table.sorting == expected


def test_rows_stand_below_their_titles() -> None:
    table = table_of([Item("a", 5, "x"), Item("bcd", 12_345, "y")])

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "bcd" in app.text)
        assert app.lines[:3] == ["id     amount  text", "a         5 B  x", "bcd  12,345 B  y"]

    on_stage(table, act, (40, 8))


def test_text_that_looks_like_markup_or_drives_a_terminal_is_only_text() -> None:
    table = table_of([Item("[/var/x]", 1, "[bold]no[/]"), Item("esc", 2, "\x1b[31mred\nsecond\x00"), Item("raw", 3, "caf\udce9")])

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "[/var/x]" in app.text)
        assert "[bold]no[/]" in app.text
        assert r"\x1b[31mred\nsecond\x00" in app.text
        assert r"caf\xe9" in app.text
        assert len([line for line in app.lines if line]) == 4

    on_stage(table, act, (60, 8))


def test_wide_and_zero_width_characters_shift_nothing_that_stands_behind_them() -> None:
    names = ["漢字漢字", "e\u0301e\u0301", "plain", "zero\u200bwidth", "漢" * 40]
    table = table_of([Item(name, number, "|") for number, name in enumerate(names)])

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "plain" in app.text)
        bars = {cell_len(line[: line.index("|")]) for line in app.lines[1:6]}
        assert len(bars) == 1
        assert {strip.cell_length for strip in app.screen._compositor.render_strips()} == {60}

    on_stage(table, act, (60, 8))


def test_a_cell_that_is_too_long_is_cut_at_its_end_or_in_its_middle() -> None:
    table = table_of([Item("k", 0, "/repository/data")], (_text_column("end", width=8), _text_column("middle", width=8, middle=True)))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "…" in app.text)
        assert app.lines[1] == "/reposi…  /rep…ata"

    on_stage(table, act, (40, 6))


def test_where_it_is_narrow_the_columns_of_the_highest_number_go_first_and_come_back() -> None:
    columns = (*COLUMNS, _text_column("spare", width=10, priority=2), _text_column("sparer", width=10, priority=3))
    table = table_of(items(3), columns)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "sparer" in app.lines[0])
        await pilot.resize_terminal(45, 10)
        await until(lambda: app.lines[0].split() == ["id", "amount", "text", "spare"])
        await pilot.resize_terminal(30, 10)
        await until(lambda: app.lines[0].split() == ["id", "amount", "text"])
        assert not table.show_horizontal_scrollbar
        await pilot.resize_terminal(80, 10)
        await until(lambda: "sparer" in app.lines[0])

    on_stage(table, act, (80, 10))


def test_columns_that_must_stay_are_scrolled_to_and_new_rows_do_not_scroll_back() -> None:
    table = table_of(items(3), tuple(_text_column(f"c{number}", width=20) for number in range(4)))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: table.show_horizontal_scrollbar)
        assert "c3" not in app.lines[0]
        await pilot.press("right", "right", "right")
        await until(lambda: table.scroll_offset.x == 3)
        table.show(items(3, 1))
        await until(lambda: "of 1" in app.text)
        assert table.scroll_offset.x == 3
        assert app.lines[1].startswith(" 0 of 1")

    on_stage(table, act, (50, 8))


def test_only_lines_whose_row_is_another_object_are_asked_for_again() -> None:
    asked: list[str] = []

    def cell(row: Item) -> str:
        asked.append(row.id)
        return row.text

    table = table_of(items(200), (Column(name="text", title="text", cell=cell),))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "row 5 of" in app.text)
        asked.clear()
        rows = list(table.shown)
        rows[3], rows[150] = Item("k3", 0, "changed"), Item("k150", 0, "changed out of sight")
        table.show(tuple(rows))
        await until(lambda: "changed" in app.text)
        assert asked == ["k3"]

    on_stage(table, act, (40, 12))


def test_the_selection_stays_on_its_row_wherever_that_goes() -> None:
    table = table_of(items(60))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down")
        await until(lambda: _selected(table) == "k2")
        table.show(tuple(reversed(items(60))))
        await until(lambda: any(line.startswith("k2 ") for line in app.lines))
        assert _selected(table) == "k2"
        table.show((Item("new", 0, "on top"), *items(60)))
        assert _selected(table) == "k2"
        table.sort_by("amount", descending=True)
        assert _selected(table) == "k2"

    on_stage(table, act, (40, 12))


def test_until_a_row_is_chosen_the_first_line_is_selected_whichever_row_that_is() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: _selected(table) == "k0")
        table.show((Item("newest"), *items(5)))
        assert _selected(table) == "newest"
        await pilot.press("down")
        await until(lambda: _selected(table) == "k0")
        table.show((Item("newer still"), Item("newest"), *items(5)))
        assert _selected(table) == "k0"

    on_stage(table, act, (40, 12))


def test_a_selected_row_that_goes_leaves_its_place_and_takes_it_again() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        table.select("k2")
        rows = items(5)
        table.show((*rows[:2], *rows[3:]))
        assert _selected(table) == "k3"
        table.show(rows)
        assert _selected(table) == "k2"
        table.show(())
        assert table.selected is None
        await pilot.press("enter", "down", "end")
        assert not [message for message in app.asked if isinstance(message, LineTable.Chosen)]

    on_stage(table, act, (40, 12))


def test_keys_move_the_selection_and_bring_it_into_sight() -> None:
    table = table_of(items(100))
    moves = (("end", "k99"), ("pageup", "k89"), ("g", "k0"), ("j", "k1"), ("k", "k0"), ("k", "k0"), ("G", "k99"), ("home", "k0"))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        for key, expected in moves:
            await pilot.press(key)
            await until(partial(_stands_on, table, app, expected), f"{key} selects {expected}")

    on_stage(table, act, (40, 12))


def test_a_selection_that_was_scrolled_away_from_is_not_jumped_back_to() -> None:
    table = table_of(items(100))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: table.show_vertical_scrollbar)
        table.select("k1")
        table.scroll_to(y=50, animate=False)
        await until(lambda: "k50 " in app.text)
        table.show(tuple(reversed(items(100, 1))))
        await until(lambda: "of 1" in app.text)
        assert table.scroll_offset.y == 50
        assert _selected(table) == "k1"

    on_stage(table, act, (40, 12))


@pytest.mark.parametrize(
    ("name", "descending", "expected"),
    [("amount", False, ["b", "c", "a"]), ("amount", True, ["a", "c", "b"]), ("text", False, ["c", "b", "a"]), ("", False, ["a", "b", "c"])],
)
def test_sorting_is_by_value_not_by_text(name: str, descending: bool, expected: list[str]) -> None:
    table = table_of([Item("a", 1_000, "Zeta"), Item("b", 9, "eta"), Item("c", 200, "alpha")])
    table.sort_by(name, descending=descending)
    assert [row.id for row in table.shown] == expected


def test_what_has_no_value_comes_last_whichever_the_direction() -> None:
    column: Column[Item] = Column(name="n", title="n", cell=lambda row: row.id, value=lambda row: row.amount or None)
    table = table_of([Item("none"), Item("two", 2), Item("one", 1)], (column,))
    table.sort_by("n")
    assert [row.id for row in table.shown] == ["one", "two", "none"]
    table.sort_by("n", descending=True)
    assert [row.id for row in table.shown] == ["two", "one", "none"]


def test_keys_sort_by_one_column_after_the_other_and_the_title_says_so() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        for expected in (("id", False), ("amount", True), ("text", False), ("", False)):
            await pilot.press("s")
            await until(partial(_sorted_like, table, expected), str(expected))
        await pilot.press("s", "s")
        await until(lambda: "amount▼" in app.lines[0])
        await pilot.press("S")
        await until(lambda: "amount▲" in app.lines[0])
        assert [row.amount for row in table.shown] == sorted(row.amount for row in items(5))

    on_stage(table, act, (40, 12))


def test_a_click_on_a_title_sorts_a_second_one_reverses() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "amount" in app.text)
        place = app.lines[0].index("amount")
        await pilot.click(table, offset=(place, 0))
        await until(lambda: table.sorting == ("amount", True))
        await pilot.click(table, offset=(place, 0))
        await until(lambda: table.sorting == ("amount", False))

    on_stage(table, act, (40, 12))


def test_a_click_selects_a_double_click_and_enter_choose() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "k3" in app.text)
        await pilot.click(table, offset=(2, 4))
        await until(lambda: _selected(table) == "k3")
        assert not [message for message in app.asked if isinstance(message, LineTable.Chosen)]
        await pilot.click(table, offset=(2, 2), times=2)
        await pilot.press("down", "enter")
        await until(lambda: len([message for message in app.asked if isinstance(message, LineTable.Chosen)]) == 2)
        chosen = [message.key for message in app.asked if isinstance(message, LineTable.Chosen)]
        assert chosen == ["k1", "k2"]
        await pilot.click(table, offset=(2, 10))
        assert _selected(table) == "k2", "below the last row there is nothing to select"

    on_stage(table, act, (40, 14))


def test_moves_are_told_once_each() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await pilot.press("down")
        table.show(items(5, 1))
        await pilot.press("down")
        await until(lambda: len([message for message in app.asked if isinstance(message, LineTable.Moved)]) == 3)
        assert [message.key for message in app.asked if isinstance(message, LineTable.Moved)] == ["k0", "k1", "k2"]

    on_stage(table, act)


def test_a_filter_is_typed_below_the_rows_and_counts_what_matches() -> None:
    table = table_of(items(200))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        table.select("k3")
        await pilot.press("slash", *"^k1.$")
        await until(lambda: "10 of 200" in app.lines[-1])
        assert app.lines[-1].startswith("/^k1.$")
        assert [row.id for row in table.shown] == [f"k1{digit}" for digit in range(10)]
        await pilot.press("enter")
        await until(lambda: app.focused is table and not table.query(FilterBar))
        assert "/^k1.$" in app.lines[-1]
        assert "10 of 200" in app.lines[-1]
        await pilot.press("escape")
        await until(lambda: table.filter == "" and len(table.shown) == 200)
        assert _selected(table) == "k3", "the row that was selected before the filter"
        await until(lambda: "of 200" not in app.lines[-1])

    on_stage(table, act, (60, 12))


def test_a_filter_may_invert_and_be_left_by_escape_or_arrow() -> None:
    table = table_of(items(20))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"!k1", "down")
        await until(lambda: app.focused is table)
        assert [row.id for row in table.shown] == ["k0", *(f"k{number}" for number in range(2, 10))]
        await pilot.press("slash")
        await until(lambda: app.focused is not table)
        await pilot.press("escape")
        await until(lambda: app.focused is table and not table.filter)

    on_stage(table, act, (60, 12))


def test_a_broken_filter_is_shown_as_such_and_filters_nothing() -> None:
    table = table_of(items(20))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        table.filter = "k(1"
        await until(lambda: "no regex" in app.lines[-1])
        assert app.lines[-1].startswith("/k(1")
        assert len(table.shown) == 20

    on_stage(table, act, (80, 12))


def test_the_last_row_can_be_seen_above_the_filter_line() -> None:
    table = table_of(items(50))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        table.filter = "k"
        await pilot.press("end")
        await until(lambda: app.lines[-2].startswith("k49 "))
        await pilot.press("slash")
        await until(lambda: table.query(FilterBar))
        await until(lambda: app.lines[-2].startswith("k49 "))

    on_stage(table, act, (60, 12))


def test_a_row_that_changes_so_that_it_matches_no_more_goes() -> None:
    table = table_of([Item("a", 0, "bad"), Item("b", 0, "good")])
    table.filter = "bad"
    assert [row.id for row in table.shown] == ["a"]
    table.show([Item("a", 0, "good"), Item("b", 0, "bad")])
    assert [row.id for row in table.shown] == ["b"]


def test_an_empty_table_says_so_and_a_filter_that_nothing_matches_too() -> None:
    table = table_of((), empty="nobody there yet")

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "nobody there yet" in app.text)
        table.show(items(3))
        await until(lambda: "k2" in app.text)
        assert "nobody" not in app.text
        table.filter = "zzz"
        await until(lambda: "nothing matches" in app.text)

    on_stage(table, act, (60, 12))


def test_escape_is_left_to_others_where_there_is_no_filter() -> None:
    table = table_of(items(3))
    assert table.check_action("clear_filter", ()) is False
    table.filter = "k"
    assert table.check_action("clear_filter", ()) is True


def test_ten_thousand_rows_are_scrolled_filtered_and_sorted() -> None:
    table = table_of(items(10_000))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await pilot.press("end")
        await until(lambda: app.lines[-1].startswith("k9999 "))
        await pilot.press("s")
        table.filter = "k123."
        await until(lambda: "10 of 10,000" in app.lines[-1])
        table.filter = ""
        assert [row.id for row in table.shown] == sorted((row.id for row in items(10_000)), key=str.casefold)

    on_stage(table, act, (60, 12))


def test_a_smaller_screen_keeps_the_selection_in_sight() -> None:
    table = table_of(items(100))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        table.select("k15")
        await until(lambda: "k15 " in app.text)
        await pilot.resize_terminal(40, 6)
        await until(lambda: len(app.lines) == 6 and any(line.startswith("k15 ") for line in app.lines))
        await pilot.resize_terminal(40, 2)
        await until(lambda: len(app.lines) == 2 and app.lines[1].startswith("k15"))

    on_stage(table, act, (80, 24))


def test_the_selected_line_is_told_from_the_others_without_any_colour() -> None:
    grey = "#808080"
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        plain = dict.fromkeys(("block-cursor-background", "block-cursor-foreground", "block-cursor-blurred-background"), "#000000")
        app.register_theme(Theme(name="grey", primary=grey, background="#000000", surface="#000000", dark=True, variables=plain))
        app.theme = "grey"
        table.focus()
        table.styles.background = "#000000"

        def style(line: int) -> tuple[object, object]:
            segment = next(iter(table.render_line(line)))
            assert segment.style is not None
            return segment.style.reverse, segment.style.underline

        await until(lambda: style(1) == (True, False))
        assert style(2) == (None, None)
        app.set_focus(None)
        await until(lambda: style(1) == (False, True))

    on_stage(table, act, (40, 8))


def test_a_change_of_theme_is_seen_at_once() -> None:
    table = table_of(items(5))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        app.theme = "textual-dark"
        await until(lambda: table.render_line(2) is not None)
        before = list(table.render_line(2))
        app.theme = "textual-light"
        await until(lambda: list(table.render_line(2)) != before)

    on_stage(table, act, (40, 8))


def test_the_mouse_selects_text_over_several_lines() -> None:
    table = table_of([Item("k0", 1, "first [/line]"), Item("k1", 2, "second"), Item("k2", 3, "third")])

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "third" in app.text)
        left = app.lines[1].index("first")
        await pilot.mouse_down(table, offset=(left, 1))
        await pilot.hover(table, offset=(left + 3, 2))
        await pilot.mouse_up(table, offset=(left + 3, 2))
        await until(lambda: table.text_selection is not None)
        selected = app.screen.get_selected_text()
        assert selected is not None
        assert selected.split("\n")[0] == "first [/line]"
        assert selected.split("\n")[1].split()[0] == "k1"
        assert _selected(table) == "k0", "selecting text is no click"
        assert table.get_selection(Selection(Offset(0, 2), Offset(2, 2))) == ("k2", "\n")

    on_stage(table, act, (60, 8))


def test_an_export_has_all_columns_of_what_is_shown_as_values() -> None:
    columns = (*COLUMNS, _text_column("hidden", width=10, priority=9))
    table = table_of([Item("b", 2_000, "x"), Item("a", 1, "y"), Item("c", 3, "z")], columns)
    table.sort_by("id")
    table.filter = "!z"
    exported = table.export("things")
    assert exported.name == "things"
    assert exported.columns == ["id", "amount", "text", "hidden"]
    assert exported.rows == [["a", 1, "y", "y"], ["b", 2_000, "x", "x"]]


def test_tones_are_those_of_the_cell() -> None:
    table = table_of([Item("a", 1), Item("b", 2)])

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "2 B" in app.text)
        styles = {segment.style.color for segment in table.render_line(2) if segment.style and "2 B" in segment.text}
        assert styles == {table.tone(Tone.GOOD).color}

    on_stage(table, act, (40, 8))
