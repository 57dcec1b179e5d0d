"""A table that repaints only the lines that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from seatrial_tui.lines import painter
from seatrial_tui.lines.columns import GAP, Column, Placed, R, Widths, fit
from seatrial_tui.lines.filter_bar import FilterBar
from seatrial_tui.lines.painter import Lines, Palette
from seatrial_tui.lines.rows import Pattern, Rows
from seatrial_tui.lines.table_keys import KEYS
from seatrial_tui.lines.tones import Tone, Toned
from seatrial_tui.panes.pane import Exported

__all__ = ["Column", "LineTable"]

HEADER_LINES = 1


class LineTable(Toned, ScrollView, Generic[R], can_focus=True, inherit_bindings=False):
    """Rows of ``R``, by key, compared by ``is``; 60 lines at most are looked at more closely, however many rows there are.

    The selection stays on its key wherever sorting and filtering put it. Until somebody has chosen a row it is the first line, whichever
    row that is. Where the chosen row is not shown it is the line in its place, and the chosen one again once that is back.
    ``Toned`` comes first among the bases because Textual inherits CSS and component classes from the first one only.

    Threading: the screen's thread only.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-table--cursor", "line-table--cursor-without-keys"}
    DEFAULT_CSS = """
    LineTable {
        width: 1fr; height: 1fr; overflow-x: auto; overflow-y: auto; scrollbar-gutter: stable;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1;
    }
    LineTable > .line-table--cursor-without-keys {
        color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background;
        text-style: $block-cursor-blurred-text-style;
    }
    LineTable > .line-table--cursor {
        color: $block-cursor-foreground; background: $block-cursor-background; text-style: $block-cursor-text-style;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    filter: reactive[str] = reactive("", init=False)
    """A regular expression over all cells of a row; a leading ``!`` inverts; a broken one filters nothing and is shown as such."""

    class _About(Message):
        def __init__(self, table: LineTable[Any], row: Any, key: str) -> None:
            super().__init__()
            self.table, self.row, self.key = table, row, key

        @property
        def control(self) -> LineTable[Any]:
            return self.table

    class Chosen(_About):
        """Enter or a double click on a row."""

    class Moved(_About):
        """The selection is on another row."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        *,
        key: Callable[[R], str],
        sort: str = "",
        descending: bool = False,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - Textual's own name for it
    ) -> None:
        super().__init__(id=id)
        self._columns, self._empty = tuple(columns), empty
        self._rows: Rows[R] = Rows(self._columns, key)
        self._widths: Widths[R] = Widths(self._columns)
        self._sort, self._descending = sort, descending
        self._rows.sort(sort, descending=descending)
        self._wanted = ""  # the key that somebody chose
        self._cursor = 0
        self._selected_key = ""
        self._bar: FilterBar | None = None
        self._palette: Palette | None = None
        self._lines: Lines[R] = Lines(self._columns)
        self._on_screen: list[tuple[R, bool] | None] = []
        self._placed: Sequence[Placed[R]] = ()

    # What others ask of it

    def show(self, rows: Sequence[R]) -> None:
        """Show these rows, which must not be changed afterwards. Costs next to nothing where they are the same objects as before."""
        in_sight = self._in_sight(self._page_lines)
        if self._rows.replace(rows):
            self._follow(reveal=in_sight)

    @property
    def selected(self) -> R | None:
        """The row of the selection; None where no row is shown."""
        return self._rows[self._cursor] if len(self._rows) else None

    def select(self, key: str) -> None:
        """Put the selection on the row of that key, now or as soon as it is shown, and bring it into sight."""
        self._wanted = key
        self._follow(reveal=True)

    @property
    def shown(self) -> Sequence[R]:
        """The rows as they are filtered and sorted."""
        return self._rows.shown()

    @property
    def total(self) -> int:
        """How many rows there are, shown or not."""
        return self._rows.total

    @property
    def sorting(self) -> tuple[str, bool]:
        """Name of the column it is sorted by (empty: as the rows come), and whether descending."""
        return self._sort, self._descending

    def sort_by(self, name: str, *, descending: bool = False) -> None:
        """Sort by that column; empty: as the rows come."""
        self._sort, self._descending = name, descending
        self._rows.sort(name, descending=descending)
        self._follow(reveal=True)
        self.refresh(Region(0, 0, self.size.width, HEADER_LINES))

    def export(self, name: str) -> Exported:
        """What is shown, with all columns, also those for which there is no room."""
        return Exported(
            name=name,
            columns=[column.name for column in self._columns],
            rows=[[column.plain_value(row) for column in self._columns] for row in self._rows.shown()],
        )

    # Geometry

    @property
    def is_container(self) -> bool:
        """While a filter is typed it holds the line for that."""
        return self._bar is not None

    @property
    def _footer_lines(self) -> int:
        return 1 if self.filter or self._bar is not None else 0

    @property
    def _page_lines(self) -> int:
        """How many rows there is room for."""
        return max(0, self.scrollable_size.height - HEADER_LINES - self._footer_lines)

    def _in_sight(self, page: int) -> bool:
        return 0 <= self._cursor - self.scroll_offset.y < max(1, page)

    def _fit(self) -> None:
        """Have as much to scroll as there is to see."""
        width = self._placed[-1].left + self._placed[-1].width if self._placed else 0
        lines = len(self._rows) + HEADER_LINES + self._footer_lines
        # 0 where all columns fit: else a narrower screen would show a scroll bar until the columns have given way.
        self.virtual_size = Size(width if width > self.scrollable_size.width else 0, lines)

    def _reveal(self) -> None:
        top, page = self.scroll_offset.y, max(1, self._page_lines)
        wanted = min(max(top, self._cursor - page + 1), self._cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True)

    # What follows from a change

    def _follow(self, *, reveal: bool) -> None:
        """Bring selection, columns and screen in line with the rows."""
        line = self._rows.line(self._wanted) if self._wanted else 0
        last = len(self._rows) - 1
        self._cursor = max(0, min(self._cursor if line is None else line, last))
        if self.scrollable_size:
            self._fit()
            if reveal:
                self._reveal()
            self._repaint()
        key = self._rows.key(self._cursor) if last >= 0 else ""
        if key != self._selected_key:
            self._selected_key = key
            if key:
                self.post_message(self.Moved(self, self._rows[self._cursor], key))

    def _repaint(self) -> None:
        """Refresh the lines whose row or selection is not the one that was painted."""
        if self._measure():
            self.refresh()
        if self._bar is not None:
            self._bar.note(self._rows.note())
        top, page = self.scroll_offset.y, self._page_lines
        rows, count = self._rows, len(self._rows)
        now = [(rows[line], line == self._cursor) if line < count else None for line in range(top, top + page)]
        before, self._on_screen = self._on_screen, now
        if len(before) != len(now) or not count:
            self.refresh()
            return
        changed = [
            Region(0, HEADER_LINES + y, self.size.width, 1)
            for y, (new, old) in enumerate(zip(now, before, strict=True))
            if new is not old and (new is None or old is None or new[0] is not old[0] or new[1] is not old[1])
        ]
        if self._footer_lines:
            changed.append(Region(0, self.scrollable_size.height - 1, self.size.width, 1))
        if changed:
            self.refresh(*changed)

    def _measure(self) -> bool:
        """Learn the widths from what can be seen; whether the columns are now placed otherwise."""
        top = self.scroll_offset.y
        for line in range(top, min(top + self._page_lines, len(self._rows))):
            entry = self._lines.of(self._rows.key(line), self._rows[line])
            if not entry.learnt:
                entry.learnt = True
                self._widths.learn(entry.cells)
        placed = self._widths.place(self.scrollable_size.width)
        if placed is self._placed:
            return False
        self._placed = placed
        self._fit()
        self._lines.forget_strips()
        return True

    def on_resize(self) -> None:
        in_sight = self._in_sight(len(self._on_screen))  # before the change
        self._on_screen = []
        self._follow(reveal=in_sight)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._on_screen = []
            if self.scrollable_size:
                self._repaint()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette = None
        self._lines.forget_strips()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Instead of what Textual does, which is to look for all its styles anew: one line is painted otherwise."""
        self._palette = None
        if len(self._rows):
            self._lines.of(self._rows.key(self._cursor), self._rows[self._cursor]).strip = None

    def selection_updated(self, selection: Selection | None) -> None:
        self._lines.forget_strips()
        super().selection_updated(selection)

    # Painting

    def _colors(self) -> Palette:
        if self._palette is None:
            base = self.base
            cursor = self.get_component_rich_style(f"line-table--cursor{'' if self.has_focus else '-without-keys'}")
            if self.app.no_color or cursor.bgcolor == base.bgcolor:
                cursor += Style(reverse=self.has_focus, underline=not self.has_focus)
            self._palette = Palette(base=base, cursor=cursor, tones={tone: self.tone(tone) for tone in Tone})
        return self._palette

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, a row, what the filter does."""
        width, base = self.size.width, self._colors().base
        left, top = self.scroll_offset
        if y < HEADER_LINES:
            strip = painter.header(self._placed, self._sort, self._colors(), descending=self._descending)
            return strip.crop_extend(left, left + width, base)
        if self._footer_lines and y == self.scrollable_size.height - 1:
            strip = painter.footer(self.filter, self._rows.note(), self._colors(), self.scrollable_size.width, broken=self._rows.broken)
            return strip.crop_extend(0, width, base)
        line = top + y - HEADER_LINES
        if line < len(self._rows):
            return self.placed(self._row(line).crop_extend(left, left + width, base), left, line)
        if line == 0:
            text = "nothing matches" if self._rows.total else self._empty
            return Strip([Segment(fit(text, width), self._colors().tones[Tone.FAINT])])
        return Strip.blank(width, base)

    def _row(self, line: int) -> Strip:
        known, selected = self._lines.of(self._rows.key(line), self._rows[line]), line == self._cursor
        if known.strip is None or known.selected is not selected:
            segments, width = painter.row(self._placed, known.cells, self._colors(), self.size.width, selected=selected)
            span = self.text_selection.get_span(line) if self.text_selection is not None else None
            if span is not None:
                segments = painter.marked(segments, span, self.screen.get_component_rich_style("screen--selection"))
            known.strip, known.selected = Strip(segments, width), selected
        return known.strip

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What the mouse has selected, as it stands on the screen."""
        return selection.extract("\n".join(self._row(line).text.rstrip() for line in range(len(self._rows)))), "\n"

    # Keys and mouse

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is left to others where there is no filter."""
        return bool(self.filter or self._bar) if action == "clear_filter" else True

    def _move_to(self, line: int) -> None:
        if len(self._rows):
            self.select(self._rows.key(max(0, min(line, len(self._rows) - 1))))

    def action_move(self, lines: int) -> None:
        self._move_to(self._cursor + lines)

    def action_page(self, pages: int) -> None:
        self._move_to(self._cursor + pages * max(1, self._page_lines - 1))

    def action_go(self, line: int) -> None:
        """To that line; -1 is the last one."""
        self._move_to(line % len(self._rows) if len(self._rows) else 0)

    def action_choose(self) -> None:
        row = self.selected
        if row is not None:
            self.post_message(self.Chosen(self, row, self._rows.key(self._cursor)))

    def action_sort_next(self) -> None:
        """By the next column that can be seen; after the last one as the rows come."""
        names = ["", *(placed.column.name for placed in self._placed)]
        position = names.index(self._sort) + 1 if self._sort in names else 0
        self._sort_from_start(names[position % len(names)])

    def action_sort_reverse(self) -> None:
        if self._sort:
            self.sort_by(self._sort, descending=not self._descending)

    def _sort_from_start(self, name: str) -> None:
        self.sort_by(name, descending=any(column.right for column in self._columns if column.name == name))

    async def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if event.widget is not self or offset is None:
            return
        event.prevent_default()  # Textual would select all text at a double click
        if offset.y < HEADER_LINES:
            self._click_header(offset.x + self.scroll_offset.x)
        elif self._footer_lines and offset.y == self.scrollable_size.height - 1:
            await self.action_ask_filter()
        elif (line := self.scroll_offset.y + offset.y - HEADER_LINES) < len(self._rows) and self.text_selection is None:
            self._move_to(line)
            if event.chain == 2:
                self.action_choose()

    def _click_header(self, x: int) -> None:
        for placed in self._placed:
            if placed.left <= x < placed.left + placed.width + GAP:
                if placed.column.name == self._sort:
                    self.action_sort_reverse()
                else:
                    self._sort_from_start(placed.column.name)

    # The filter

    def watch_filter(self, pattern: str) -> None:
        self._rows.match(Pattern(pattern))
        self._on_screen = []
        self._follow(reveal=True)
        self.refresh_bindings()

    def action_clear_filter(self) -> None:
        self.filter = ""
        self._close_bar()

    async def action_ask_filter(self) -> None:
        if self._bar is None:
            self._bar = FilterBar(self.filter)
            await self.mount(self._bar)
            self._on_screen = []
            self._follow(reveal=True)

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self.filter = event.pattern

    def on_filter_bar_closed(self, event: FilterBar.Closed) -> None:
        event.stop()
        if not event.keep:
            self.filter = ""
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar is not None:
            if self.app.focused is None or self._bar in self.app.focused.ancestors:
                self.focus()
            self._bar.remove()
            self._bar = None
            self._on_screen = []
            self._follow(reveal=True)
