"""Sorting, filtering and selection of the table against the simplest thing that could do the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rich.cells import cell_len

from seatrial_tui.lines.columns import GAP, Column, Widths, fit, split
from seatrial_tui.lines.rows import Pattern, Rows, sort_key
from tests.tui.table.table_stage import COLUMNS, Item, table_of

_IDS = [f"k{number}" for number in range(12)]
_TEXTS = st.sampled_from(["", "ok", "failed [/x]", "OK", "漢字", "a\nb"])
_ITEMS = st.lists(
    st.builds(Item, id=st.sampled_from(_IDS), amount=st.integers(-3, 3), text=_TEXTS), unique_by=lambda item: item.id, max_size=len(_IDS)
)
_PATTERNS = ["", "k1", "!k1", "ok", "OK", "^ok$", "(", "!", "!(", "a$"]


class TableMachine(RuleBasedStateMachine):
    """A table, never on a screen, and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.table = table_of()
        self.rows: list[Item] = []
        self.sort, self.descending, self.pattern = "", False, ""
        self.wanted, self.line = "", 0

    @rule(rows=_ITEMS)
    def show_others(self, rows: list[Item]) -> None:
        self.rows = rows
        self.table.show(tuple(rows))
        self._settle()

    @rule(data=st.data())
    def change_some(self, data: st.DataObject) -> None:
        self.rows = [
            Item(row.id, data.draw(st.integers(-3, 3)), data.draw(_TEXTS)) if data.draw(st.booleans()) else row for row in self.rows
        ]
        self.table.show(self.rows)
        self._settle()

    @rule(name=st.sampled_from(["", "id", "amount", "text"]), descending=st.booleans())
    def sort_by(self, name: str, descending: bool) -> None:
        self.sort, self.descending = name, descending
        self.table.sort_by(name, descending=descending)
        self._settle()

    @rule(pattern=st.sampled_from(_PATTERNS))
    def match(self, pattern: str) -> None:
        self.pattern = pattern
        self.table.filter = pattern
        self._settle()

    @rule(key=st.sampled_from(_IDS))
    def select(self, key: str) -> None:
        self.wanted = key
        self.table.select(key)
        self._settle()

    @rule(steps=st.integers(-3, 3))
    def move(self, steps: int) -> None:
        shown = self._expected()
        self.table.action_move(steps)
        if shown:
            self.line = max(0, min(len(shown) - 1, self.line + steps))
            self.wanted = shown[self.line].id

    def _settle(self) -> None:
        ids = [row.id for row in self._expected()]
        if self.wanted in ids:
            self.line = ids.index(self.wanted)
        elif not self.wanted:
            self.line = 0
        self.line = max(0, min(self.line, len(ids) - 1))

    def _expected(self) -> list[Item]:
        rows = [row for row in self.rows if self._matches(row)]
        if self.sort:
            by = {"id": lambda row: row.id, "amount": lambda row: row.amount, "text": lambda row: split(row.text)[0].casefold()}[self.sort]
            rows.sort(key=by, reverse=self.descending)
        return rows

    def _matches(self, row: Item) -> bool:
        body = self.pattern.removeprefix("!")
        if not body or body == "(":
            return True
        flags = re.IGNORECASE if body == body.lower() else 0
        found = any(re.search(body, cell, flags) for cell in (row.id, f"{row.amount:,} B", split(row.text)[0]))
        return found is not self.pattern.startswith("!")

    @invariant()
    def the_same_rows_are_shown(self) -> None:
        assert list(self.table.shown) == self._expected()

    @invariant()
    def the_same_row_is_selected(self) -> None:
        shown = self._expected()
        assert self.table.selected == (shown[self.line] if shown else None)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("text", ["", "plain", "漢字漢字", "e\u0301e\u0301e\u0301", "a漢b字c", "/var/漢/data", "👩\u200d🚀 x"])
@pytest.mark.parametrize("width", range(13))
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("middle", [False, True])
def test_a_fitted_text_has_exactly_the_cells_it_may_have(text: str, width: int, right: bool, middle: bool) -> None:
    shown = split(text)[0]
    fitted = fit(shown, width, right=right, middle=middle)
    assert cell_len(fitted) == width
    if cell_len(shown) <= width:
        assert fitted.strip(" ") == shown.strip(" ")


def test_widths_learn_from_what_is_seen_and_never_shrink() -> None:
    widths = Widths(COLUMNS)
    assert [placed.width for placed in widths.place(100)][:2] == [2, 6]
    assert widths.learn([split("k123456"), split("1 B"), split("x")])
    assert [placed.width for placed in widths.place(100)][:2] == [7, 6]
    assert not widths.learn([split("k"), split("1 B"), split("x")])
    assert [placed.width for placed in widths.place(100)][:2] == [7, 6]


@pytest.mark.parametrize("room", range(1, 120, 7))
def test_columns_fill_the_room_and_no_more_unless_none_can_be_spared(room: int) -> None:
    def column(name: str, priority: int, *, grow: bool = False) -> Column[Item]:
        return Column(name=name, title=name * 10, cell=lambda row: row.id, priority=priority, grow=grow)

    placed = Widths([column("a", 0), column("b", 2), column("c", 1), column("d", 0, grow=True)]).place(room)
    names = [each.column.name for each in placed]
    total = placed[-1].left + placed[-1].width
    assert {"a", "d"} <= set(names)
    assert "b" not in names or "c" in names, "the highest number goes first"
    assert total == max(room, 2 * 10 + GAP) if room >= 22 else total == 22


def test_rows_are_not_looked_at_again_where_they_are_the_same_objects() -> None:
    looked: list[str] = []

    def value(row: Item) -> int:
        looked.append(row.id)
        return row.amount

    rows: Rows[Item] = Rows([Column(name="n", title="n", cell=lambda row: row.id, value=value)], key=lambda row: row.id)
    source = tuple(Item(key, number) for number, key in enumerate(_IDS))
    rows.sort("n", descending=False)
    rows.replace(source)
    looked.clear()
    assert not rows.replace(source)
    assert not rows.replace(list(source))
    assert rows.replace((*source[:3], Item("k3", 99), *source[4:]))
    assert looked == ["k3"]
    assert rows.key(len(rows) - 1) == "k3"


@pytest.mark.parametrize("pattern", ["k(", "!k(", "*", "k{99999999999}"])
def test_a_broken_pattern_says_so_and_selects_nothing(pattern: str) -> None:
    broken = Pattern(pattern)
    assert broken.error.startswith("no regex: ")
    assert not broken.selects
    assert broken.matching(["anything"]) == []


_UNLUCKY = r"^(\w+\s?)*$"
"""Takes exponential time on many words followed by a sign that is none."""


def test_a_pattern_that_takes_too_long_is_given_up_and_all_rows_are_shown() -> None:
    rows = _texts("fine", "word " * 40 + "!")
    rows.match(Pattern(_UNLUCKY))
    assert rows.broken
    assert "too long" in rows.note()
    assert len(rows) == 2
    rows.match(Pattern("fine"))
    assert (len(rows), rows.note()) == (1, "1 of 2")


def test_a_pattern_may_begin_to_take_too_long_with_a_row_that_changes() -> None:
    rows = _texts("fine", "!")
    source = rows.shown()
    rows.match(Pattern(_UNLUCKY))
    assert rows.note() == "1 of 2"
    rows.replace([source[0], Item("k1", 0, "word " * 40 + "!")])
    assert rows.broken
    assert len(rows) == 2


def _texts(*texts: str) -> Rows[Item]:
    rows: Rows[Item] = Rows([Column(name="text", title="text", cell=lambda row: row.text)], key=lambda row: row.id)
    rows.replace([Item(f"k{number}", 0, text) for number, text in enumerate(texts)])
    return rows


def test_values_of_any_kind_have_an_order() -> None:
    values = [None, "b", 2, "A", 1.5, True, float("nan")]
    known = sorted(key for value in values if (key := sort_key(value)) is not None)
    assert known == [(0, 1), (0, 1.5), (0, 2), (1, "a"), (1, "b")]
