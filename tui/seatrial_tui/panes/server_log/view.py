"""The lines of a log on the screen: a window over a listing of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Offset, Region, Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from seatrial_tui.lines.tones import Tone, Toned
from seatrial_tui.log.listing import Listing
from seatrial_tui.log.logfile import LogFile, LogState
from seatrial_tui.panes.server_log.layout import GUTTER, Row, Stamps, cells_of, characters_in, fitting, rows_of, shown_text
from seatrial_tui.panes.server_log.painting import Styles, Window, painted

COPY_LINES = 10_000
"""Copied at a time: a terminal's clipboard is no place for more."""
COPY_PATIENCE_S = 0.25
"""Somebody has asked for it and waits."""
_STRIPS_KEPT = 512
_SIDEWAYS = 8
_RETRY_S = 0.03


class LogView(Toned, ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a ``Listing`` of a ``LogFile``; only the lines in sight are read. Lines scroll one by one, wrapped or not.

    Following means that the end stays in sight; scrolling up ends it, ``End`` begins it again, nothing else does.
    Threading: the screen's thread only.
    """

    DEFAULT_CSS = """
    LogView {
        width: 1fr; height: 1fr; overflow-x: auto; overflow-y: scroll;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="log-up"),
        Binding("down,j", "move(1)", "Down", show=False, id="log-down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="log-page-up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="log-page-down"),
        Binding("home,g", "first", "First line", show=False, id="log-first"),
        Binding("end,G", "last", "Last line, and follow", show=False, id="log-last"),
        Binding("left", "sideways(-1)", "Left", show=False, id="log-left"),
        Binding("right", "sideways(1)", "Right", show=False, id="log-right"),
        Binding("F", "follow", "Follow", id="log-follow"),
        Binding("w", "wrap", "Wrap", id="log-wrap"),
        Binding("t", "stamps", "Timestamps", id="log-timestamps"),
    ]

    following: Reactive[bool] = Reactive(True, repaint=False)
    """Whether the end stays in sight."""
    moves: Reactive[int] = Reactive(0, repaint=False)
    """Grows whenever somebody scrolls. Who watches these is told at once: what he says of it is in the same frame."""

    def __init__(self, log: LogFile) -> None:
        super().__init__()
        self._log = log
        self._listing = Listing(LogState())
        self._void: object = None
        self._skip = 0  # rows of the first line that are scrolled out, where it is wrapped and taller than the screen
        self._placing = False
        self._seen = 0  # lines there were when following ended
        self._marked = -1
        self._widest = 0
        self._rows: Sequence[Row] = ()
        self._rows_key: object = None
        self._painted_key: object = None
        self._open_bytes = 0
        self._strips: LRUCache[tuple[int, int, int, int], Strip] = LRUCache(_STRIPS_KEPT)
        self._palette: Styles | None = None
        self._window: Window | None = None  # while the rows are painted
        self.wrapped, self.stamps = False, Stamps.CLOCK
        self.empty = ""
        """What to say where there is no line."""

    # -- what others ask of it

    def show(self, listing: Listing, state: LogState, *, anew: bool = False) -> None:
        """Show this listing; ``anew``: its places mean other lines than before. Paints only what has changed in sight."""
        self._listing = listing
        self._open_bytes = state.indexed_bytes if state.open else 0
        self._seen = min(self._seen, listing.lines)
        if anew:
            self._forget()
        self._settle()

    def forget_lines(self) -> None:
        """Line numbers mean other lines than before: a new file."""
        self._marked, self._seen, self._widest = -1, 0, 0
        self._forget()

    @property
    def new(self) -> int:
        """Lines that came since following ended, of those shown."""
        return 0 if self.following else self._listing.count - self._listing.place_of(self._seen)

    @property
    def in_sight(self) -> tuple[int, int]:
        """The place of the first line in sight, and of the one after the last."""
        rows = self._laid_out()
        return (rows[0].place, rows[-1].place + 1) if rows else (0, 0)

    def go_to(self, number: int, *, mark: bool = False) -> None:
        """Bring the line of that number to the top, or a little below, and mark it."""
        self.stop_following()
        if mark:
            self._marked = number
            self._strips.clear()
        self._put(max(0, self._listing.place_of(number) - (self._page // 3 if mark else 0)))
        self.refresh()

    def stop_following(self) -> None:
        """Whatever comes, what is in sight stays there."""
        if self.following:
            self._seen = self._listing.lines
            self.following = False

    def text_of(self, begin: int, end: int) -> list[str]:
        """What is shown of the lines at these places, at most ``COPY_LINES``."""
        numbers = self._listing.numbers(begin, min(end, begin + COPY_LINES))
        found = self._log.lines(numbers, wait_s=COPY_PATIENCE_S)
        return [shown_text(line, self.stamps)[0] for line in found if line is not None]

    # -- geometry

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_size.height)

    @property
    def _room(self) -> int:
        """Cells for text in a row."""
        return max(2, self.scrollable_size.width - GUTTER)

    def _settle(self) -> None:
        """Bring scroll bar, position and screen in line with the listing."""
        if not self.scrollable_size:
            return
        self._fit()
        if self.following:
            self._put(self._last_top())
        if self._key() != self._painted_key:
            self.refresh()

    def _last_top(self) -> int:
        """The place of the first line in sight when the end is."""
        count = self._listing.count
        first = max(0, count - self._page)
        if not self.wrapped:
            return first
        found = self._log.lines(self._listing.numbers(first, count))
        return count - fitting(found, self.stamps, self._room, self._page)

    def _fit(self) -> None:
        """Have as much to scroll as there is to see. Textual would lay out the whole screen anew for each new line: only where a bar
        comes or goes there is need for that."""
        last = self._last_top()
        width = 0 if self.wrapped else self._widest + GUTTER
        size = Size(width if width > self.scrollable_size.width else 0, last + self._page if last else min(self._listing.count, self._page))
        if size == self.virtual_size:
            return
        if (size.width > 0) is not (self.virtual_size.width > 0) or not self.show_vertical_scrollbar:
            self.virtual_size = size
        else:
            self.set_reactive(ScrollView.virtual_size, size)
            self._turn_bar()
        self._placing = True
        self.scroll_y, self.scroll_x = self.validate_scroll_y(self.scroll_y), self.validate_scroll_x(self.scroll_x)
        self._placing = False

    def _put(self, top: int) -> None:
        """Scroll without its being somebody's wish."""
        self._placing, self._skip = True, 0
        self.scroll_to(y=top, animate=False, force=True)
        self._placing = False

    def _turn_bar(self) -> None:
        """Move the scroll bar, where that can be seen: else it would be painted for every line that comes."""
        bar, cells, height, top = self.vertical_scrollbar, 8 * self._page, max(1, self.virtual_size.height), self.scroll_y
        before = max(1, bar.window_virtual_size)
        if (cells * self._page // height, cells * top // height) != (cells * self._page // before, cells * bar.position // before):
            bar.window_virtual_size, bar.position = height, top

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Instead of what ``ScrollView`` does."""
        if round(old_value) == round(new_value):
            return
        if self.show_vertical_scrollbar:
            self._turn_bar()
        self.refresh()
        self._skip = 0
        if not self._placing:
            if new_value < min(old_value, self.max_scroll_y):
                self.stop_following()
            self.moves += 1

    def on_resize(self) -> None:
        self._strips.clear()
        self._settle()

    # -- rows

    def _key(self) -> object:
        """What the rows in sight depend on."""
        top, page, count = self.scroll_offset.y, self._page, self._listing.count
        return (
            self._void, top, self._skip, page, self._room, self.wrapped, self.stamps, min(count, top + page),
            self.max_scroll_y > top, self._open_bytes if count <= top + page else 0, self.empty if not count else "",
        )  # fmt: skip

    def _laid_out(self) -> Sequence[Row]:
        """The rows in sight, at most as many as there is room for."""
        key = self._key()
        if key == self._rows_key:
            return self._rows
        top, page = self.scroll_offset.y, self._page
        at_end = self.wrapped and top >= self.max_scroll_y > 0
        first = top - at_end
        found = self._log.lines(self._listing.numbers(first, top + page))
        width = self._room if self.wrapped else None
        rows = [row for place, line in enumerate(found, first) for row in rows_of(place, line, self.stamps, width)]
        # At the end the last row is that of the last line, and the first may be any row of its line.
        rows = rows[-page:] if at_end else rows[self._skip :][:page]
        if not self.wrapped:
            self._widest = max(self._widest, max((cells_of(row.text) for row in rows), default=0))
        if any(row.line is None for row in rows):
            self.set_timer(_RETRY_S, self._retry)
            key = None
        self._rows, self._rows_key = rows, key
        return rows

    def _retry(self) -> None:
        self._painted_key = None
        self._settle()

    def _forget(self) -> None:
        self._void = object()
        self._skip = 0
        self._strips.clear()

    # -- painting

    def render_lines(self, crop: Region) -> list[Strip]:
        """All rows at once: what they need is found once."""
        self._painted_key = self._key()
        self._window = self._look_through()
        try:
            return super().render_lines(crop)
        finally:
            self._window = None

    def _look_through(self) -> Window:
        left = 0 if self.wrapped else self.scroll_offset.x
        return Window(
            rows=self._laid_out(),
            left=left,
            room=self._room,
            width=self.size.width,
            styles=self._styles(),
            selection=self.text_selection,
            marked=self._marked,
        )

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        painting = self._window is not None
        window = self._window or self._look_through()
        if y >= len(window.rows):
            text = self.empty[: window.width] if y == 0 else ""
            style = window.styles.tones[Tone.FAINT] if text else window.styles.base
            return Strip([Segment(text.ljust(window.width), style)], window.width)
        row = window.rows[y]
        strip = self._strip(row, window)
        if painting:
            return strip
        # The mouse asks where it is. On the way to the screen that would cost more than all the rest.
        first = row.begin + (characters_in(row.text, window.left) if window.left else 0)
        return strip.apply_offsets(first - GUTTER, row.place)

    def _strip(self, row: Row, window: Window) -> Strip:
        """A row, from the first cell in sight on, as wide as the widget."""
        if row.line is None or window.selection is not None:
            return painted(row, window)
        key = (row.line.number, row.begin, row.end, window.left)
        known = self._strips.get(key)
        if known is None:
            known = self._strips[key] = painted(row, window)
        return known

    def _styles(self) -> Styles:
        if self._palette is None:
            chosen = self.screen.get_component_rich_style("screen--selection")
            self._palette = Styles(base=self.base, tones={tone: self.tone(tone) for tone in Tone}, chosen=chosen)
        return self._palette

    def watch_has_focus(self, has_focus: bool) -> None:
        """Nothing, instead of looking for all its styles anew: who has the keys is told by the border of the pane."""

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette = None
        self._strips.clear()

    # -- the mouse's selection

    def selection_updated(self, selection: Selection | None) -> None:
        if selection is not None:
            self.stop_following()
        self._strips.clear()
        self.refresh()

    def selected_text(self) -> str:
        """What the mouse has selected here; empty for nothing."""
        selection = self.text_selection
        found = self.get_selection(selection) if selection is not None else None
        return found[0] if found is not None else ""

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What the mouse has selected; where it went beyond this widget, as far as can be seen."""
        rows = self._laid_out()
        if not rows:
            return None
        start = selection.start or Offset(0, rows[0].place)
        end_x, end_y = selection.end or (-1, rows[-1].place)
        texts = self.text_of(start.y, end_y + 1)
        if not texts:
            return None
        if end_x >= 0 and len(texts) == end_y + 1 - start.y:
            texts[-1] = texts[-1][:end_x]
        texts[0] = texts[0][max(0, start.x) :]
        return "\n".join(texts), "\n"

    # -- keys

    def action_move(self, lines: int) -> None:
        if self.wrapped and self._scroll_within(lines):
            return
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def _scroll_within(self, rows: int) -> bool:
        """Scroll by rows inside a wrapped line that is taller than the screen; whether that was possible."""
        top = self.scroll_offset.y
        if top >= self.max_scroll_y > 0:
            return False
        found = self._log.lines(self._listing.numbers(top, top + 1))
        height = len(rows_of(top, found[0], self.stamps, self._room)) if found else 0
        skip = min(max(0, self._skip + rows), max(0, height - self._page))
        if skip == self._skip:
            return False
        self.stop_following()
        self._skip = skip
        self.refresh()
        return True

    def action_page(self, pages: int) -> None:
        step = self._page - 1
        if self.wrapped:
            rows = self._laid_out()
            step = max(1, rows[-1].place - rows[0].place) if rows else 1
        self.scroll_to(y=self.scroll_offset.y + pages * max(1, step), animate=False)

    def action_first(self) -> None:
        self.scroll_to(y=0, animate=False)
        self.stop_following()

    def action_last(self) -> None:
        self.following = True
        self._settle()
        self.moves += 1

    def action_sideways(self, steps: int) -> None:
        self._fit()  # how wide the lines in sight are was learned when they were painted
        self.scroll_to(x=self.scroll_offset.x + steps * _SIDEWAYS, animate=False, force=True)

    def action_follow(self) -> None:
        if self.following:
            self.stop_following()
        else:
            self.action_last()

    def action_wrap(self) -> None:
        self.wrapped = not self.wrapped
        self._forget()
        self._settle()

    def action_stamps(self) -> None:
        kinds = list(Stamps)
        self.stamps = kinds[(kinds.index(self.stamps) + 1) % len(kinds)]
        self._widest = 0
        self._forget()
        self._settle()
