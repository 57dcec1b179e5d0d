"""The lines of a log on the screen: a window over a listing of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from seatrial_tui.lines.tones import Tone, Toned
from seatrial_tui.log.lines import LogLine
from seatrial_tui.log.listing import Listing
from seatrial_tui.log.logfile import LogFile, LogState
from seatrial_tui.panes.server_log.layout import GUTTER, MARK, SIGNS, TONES, Row, Stamps, cells_of, characters_in, rows_of, shown_text

COPY_LINES = 10_000
"""Copied at a time: a terminal's clipboard is no place for more."""
COPY_PATIENCE_S = 0.25
"""Somebody has asked for it and waits."""
_STRIPS_KEPT = 512
_SIDEWAYS = 8
_RETRY_S = 0.03


@dataclass(frozen=True, slots=True)
class _Styles:
    """The styles under one theme."""

    base: Style
    tones: Mapping[Tone, Style]


@dataclass(frozen=True, slots=True)
class _Window:
    """What one painting of the rows has in common."""

    rows: Sequence[Row]
    left: int
    """Cells of text that are scrolled out."""
    room: int
    """Cells for text."""
    width: int
    styles: _Styles
    selection: Selection | None


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
        Binding("up,k", "move(-1)", "Up", show=False, id="log.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="log.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="log.page-up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="log.page-down"),
        Binding("home,g", "first", "First line", show=False, id="log.first"),
        Binding("end,G", "last", "Last line, and follow", show=False, id="log.last"),
        Binding("left", "sideways(-1)", "Left", show=False, id="log.left"),
        Binding("right", "sideways(1)", "Right", show=False, id="log.right"),
        Binding("F", "follow", "Follow", id="log.follow"),
        Binding("w", "wrap", "Wrap", id="log.wrap"),
        Binding("t", "stamps", "Timestamps", id="log.timestamps"),
    ]

    class Moved(Message):
        """Somebody has scrolled, or following began or ended."""

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
        self._palette: _Styles | None = None
        self._window: _Window | None = None  # while the rows are painted
        self.following, self.wrapped, self.stamps = True, False, Stamps.CLOCK
        self.empty = ""
        """What to say where there is no line."""
        self.moves = 0
        """Grows whenever somebody scrolls."""

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
        """Lines that came since following ended, of those that are shown."""
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
            self.following, self._seen = False, self._listing.lines
            self.post_message(self.Moved())

    def text_of(self, begin: int, end: int) -> list[str]:
        """What is shown of the lines at these places, at most ``COPY_LINES``."""
        numbers = self._listing.numbers(begin, min(end, begin + COPY_LINES))
        found = self._log.lines(numbers, wait_s=COPY_PATIENCE_S)
        return [shown_text(line, self.stamps)[0] for line in found if line is not None]

    def visible_text(self) -> list[str]:
        """What is shown of the lines in sight, also what is cut off at the right."""
        return self.text_of(*self.in_sight)

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
        count, page = self._listing.count, self._page
        if not self.wrapped:
            return max(0, count - page)
        first = max(0, count - page)
        used = 0
        found = self._log.lines(self._listing.numbers(first, count))
        for place in range(count - 1, first - 1, -1):
            used += len(rows_of(place, found[place - first], self.stamps, self._room)) if place - first < len(found) else 1
            if used > page:
                return min(place + 1, count - 1)
        return first

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
            self.set_reactive(Widget.virtual_size, size)
            self._turn_bar()
        self._placing = True
        self.scroll_y, self.scroll_x = self.validate_scroll_y(self.scroll_y), self.validate_scroll_x(self.scroll_x)
        self._placing = False

    def _put(self, top: int, skip: int = 0) -> None:
        """Scroll without its being somebody's wish."""
        self._placing = True
        self.scroll_to(y=top, animate=False, force=True)
        self._placing = False
        if skip != self._skip:
            self._skip = skip
            self.refresh()

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
            self.moves += 1
            self.post_message(self.Moved())
            if new_value < min(old_value, self.max_scroll_y):
                self.stop_following()

    def on_resize(self) -> None:
        self._strips.clear()
        self._settle()

    # -- rows

    def _key(self) -> object:
        """What the rows in sight depend on."""
        top, page = self.scroll_offset.y, self._page
        count = self._listing.count
        at_end = count <= top + page
        return (
            self._void, top, self._skip, page, self._room, self.wrapped, self.stamps, min(count, top + page),
            self.max_scroll_y > top, self._open_bytes if at_end else 0, self.empty if not count else "",
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
            self._rows_key = None
        else:
            self._rows_key = key
        self._rows = rows
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

    def _look_through(self) -> _Window:
        left = 0 if self.wrapped else self.scroll_offset.x
        return _Window(self._laid_out(), left, self._room, self.size.width, self._styles(), self.text_selection)

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

    def _strip(self, row: Row, window: _Window) -> Strip:
        """A row, from the first cell in sight on, as wide as the widget."""
        if row.line is None:
            return _joined([Segment(" " * GUTTER + "…", window.styles.tones[Tone.FAINT])], window)
        key = (row.line.number, row.begin, row.end, window.left)
        known = self._strips.get(key) if window.selection is None else None
        if known is not None:
            return known
        strip = _joined([self._sign(row, window.styles), *_cut(self._segments(row, row.line, window), window)], window)
        if window.selection is None:
            self._strips[key] = strip
        return strip

    def _sign(self, row: Row, styles: _Styles) -> Segment:
        if row.line is None or row.begin:
            return Segment(" " * GUTTER, styles.base)
        if row.line.number == self._marked:
            return Segment(f"{MARK} ", styles.tones[Tone.ACCENT])
        return Segment(f"{SIGNS[row.line.level]} ", styles.tones[TONES[row.line.level]])

    def _segments(self, row: Row, line: LogLine, window: _Window) -> list[Segment]:
        tones, tone = window.styles.tones, TONES[line.level]
        if line.number == self._marked and tone is Tone.PLAIN:
            tone = Tone.ACCENT
        edge = min(max(row.stamp, row.begin), row.end)
        parts = [(row.begin, edge, tones[Tone.FAINT]), (edge, row.end, tones[tone])]
        span = window.selection.get_span(row.place) if window.selection is not None else None
        if span is not None:
            chosen = self.screen.get_component_rich_style("screen--selection")
            parts = _overlaid(parts, max(0, span[0]), span[1] if span[1] >= 0 else row.end, chosen)
        return [Segment(row.text[begin:end], style) for begin, end, style in parts if begin < end]

    def _styles(self) -> _Styles:
        if self._palette is None:
            self._palette = _Styles(self.rich_style, {tone: self.tone(tone) for tone in Tone})
        return self._palette

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
        self._wish(self.scroll_offset.y + lines)

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
        self._wish(self.scroll_offset.y + pages * max(1, step))

    def action_first(self) -> None:
        self._wish(0)
        self.stop_following()

    def action_last(self) -> None:
        self.following = True
        self._settle()
        self.post_message(self.Moved())

    def action_sideways(self, steps: int) -> None:
        self._fit()  # how wide the lines in sight are was learned when they were painted
        self.scroll_to(x=self.scroll_offset.x + steps * _SIDEWAYS, animate=False, force=True)

    def _wish(self, top: int) -> None:
        self.scroll_to(y=top, animate=False)

    def action_follow(self) -> None:
        if self.following:
            self.stop_following()
        else:
            self.action_last()

    def action_wrap(self) -> None:
        self.wrapped = not self.wrapped
        self._forget()
        self._put(self.scroll_offset.y)
        self._settle()

    def action_stamps(self) -> None:
        kinds = list(Stamps)
        self.stamps = kinds[(kinds.index(self.stamps) + 1) % len(kinds)]
        self._widest = 0
        self._forget()
        self._settle()


def _joined(segments: list[Segment], window: _Window) -> Strip:
    gap = window.width - sum(cells_of(segment.text) for segment in segments)
    return Strip([*segments, Segment(" " * max(0, gap), window.styles.base)], window.width)


def _cut(segments: list[Segment], window: _Window) -> list[Segment]:
    """What there is room for, with a sign where there is more at the right."""
    width = sum(cells_of(segment.text) for segment in segments)
    if not window.left and width <= window.room:
        return segments
    end = window.left + window.room
    if width <= end:
        return list(Strip(segments, width).crop(window.left, end))
    return [*Strip(segments, width).crop(window.left, end - 1), Segment("›", window.styles.tones[Tone.FAINT])]


def _overlaid(parts: Sequence[tuple[int, int, Style]], begin: int, end: int, style: Style) -> list[tuple[int, int, Style]]:
    """The parts of a text, with another style between ``begin`` and ``end``."""
    found = []
    for first, last, own in parts:
        low, high = min(max(begin, first), last), min(max(end, first), last)
        found += [(first, low, own), (low, high, own + style), (high, last, own)]
    return found
