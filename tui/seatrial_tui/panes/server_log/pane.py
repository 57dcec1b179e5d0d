"""What the server says: followed, searched, as of any moment of the run."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import SeatrialError
from seatrial.report.prose import plain, plural
from seatrial_tui.export import fresh_path
from seatrial_tui.filters import BROKEN, compile_filter
from seatrial_tui.lines.filter_bar import FilterBar
from seatrial_tui.log.listing import Listing
from seatrial_tui.log.logfile import LogFile, LogState
from seatrial_tui.log.saving import Saving
from seatrial_tui.log.scan import Scan
from seatrial_tui.messages import CopyText
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.panes.server_log.view import COPY_PATIENCE_S, LogView
from seatrial_tui.source.moment import Moment, RunSource

LOG_NAME = "server.log"
EXPORT_LINES = 1_000
"""As a table; more goes to a file with ``ctrl+s``."""
_TICK_S = 0.25
_TYPING_S = 0.2
"""A filter is begun when nobody has typed for so long: each one is a process."""


class ServerLogPane(Pane):
    """Owner of the log's reader, of the filter's process and of a copy under way: all end with it.

    Threading: the screen's thread only. It has a timer of its own, because an index grows and a filter finds while the moment stands still.
    """

    NAME = "server-log"
    TITLE = "Server log"
    HELP = """\
Standard output and standard error of the server, from server.log in the run directory. ✖ error, ▲ warning, · debug, as far as a line says.
The end is followed until you scroll up or press F; the border then counts what is new. End or G follows again.
/ keeps the lines that match a regular expression, !error those that do not; without a capital letter, case does not matter. ▶ is the line
that somebody jumped to. t shows the time of day, the date too, or neither. y copies what the mouse has selected, or else the lines in
sight. ctrl+s saves all lines that pass the filter, byte for byte, to a new file in the working directory."""
    DEFAULT_CSS = """
    ServerLogPane { padding: 0 0 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask_filter", "Filter", key_display="/", id="log-filter"),
        Binding("escape", "clear_filter", "Clear the filter", show=False, id="log-clear-filter"),
        Binding("y", "copy", "Copy", id="log-copy"),
        Binding("ctrl+s", "save", "Save", id="log-save"),
    ]

    def __init__(self, run: RunSource, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(run)
        self._clock = clock
        self._log = LogFile(run.directory / LOG_NAME, clock=clock)
        self._view = LogView(self._log)
        self._state = LogState()
        self._listing = Listing(self._state)
        self._live = self._shown = False
        self._as_of: int | None = None  # bytes of the log at the moment shown; None for all of it
        self._limit: int | None = None  # lines, likewise
        self._filter, self._typed_pattern, self._broken = "", "", ""
        self._scan: Scan | None = None
        self._bar: FilterBar | None = None
        self._typing: Timer | None = None
        self._jump: int | None = None  # offset
        self._seek: tuple[int, int] | None = None  # line, moves of the view by then
        self._saving: Saving | None = None
        self._told: tuple[str, str] = ("", "")

    def compose(self) -> ComposeResult:
        yield self._view

    def on_mount(self) -> None:
        for name in ("following", "moves"):
            self.watch(self._view, name, self._tell, init=False)
        self._log.start()
        self.set_interval(_TICK_S, self._tick)

    def on_unmount(self) -> None:
        if self._saving is not None:
            self._saving.close()
        if self._scan is not None:
            self._scan.close()
            self._scan.join()
        self._log.close()

    # -- what others ask of it

    def show(self, moment: Moment) -> None:
        """Show the log as of this moment: all of it where the run goes on or the moment is its end."""
        self._live = moment.live
        past = not moment.live and moment.now_ns < moment.end_ns
        self._as_of = max(moment.view.server_log_offset, moment.view.server_log_bytes) if past else None
        self._shown = True
        self._look(newest=True)

    def jump_to_offset(self, offset: int) -> None:
        """Show the place in the log that was written when it was ``offset`` bytes long, all lines around it, and mark it."""
        self._jump, self._seek = offset, None
        self._view.stop_following()
        self._set_filter("")
        self._look(newest=True)

    def export(self) -> Exported:
        """The lines in sight and what stands before them, at most ``EXPORT_LINES``."""
        _, end = self._view.in_sight
        lines = self._log.lines(self._listing.numbers(end - EXPORT_LINES, end), wait_s=COPY_PATIENCE_S)
        rows = [(line.number + 1, line.level.value, line.text) for line in lines if line is not None]
        return Exported(name=self.NAME, columns=("line", "level", "text"), rows=rows)

    # -- the timer

    def _tick(self) -> None:
        # A live log grows by ``show`` only, which stops while the screen is frozen; what a filter finds is told even then.
        if not self._shown:
            self._look(newest=not self._live)
        self._shown = False
        saving = self._saving
        if saving is not None and saving.outcome is not None:
            self._saving = None
            if saving.outcome:
                self._toast(f"The log was not saved: {saving.outcome}", error=True)
            else:
                self._toast(f"{plural(saving.saved, 'line')} saved: {saving.path}")

    def _look(self, *, newest: bool) -> None:
        if not self.is_mounted:
            return
        state = self._log.state
        anew = state.generation != self._state.generation
        if anew:
            self._toast(f"The server's log was {state.reason}: it is read from its beginning.")
            self._view.forget_lines()
            self._seek = None
            self._begin_scan()
        if anew or newest:
            self._state = state
        self._limit = self._find_limit()
        self._show_listing(anew=anew)
        self._find_place()
        self._tell()

    def _find_limit(self) -> int | None:
        if self._as_of is None:
            return None
        found = self._log.line_at(self._as_of)
        return self._limit if found is None else found

    def _show_listing(self, *, anew: bool = False) -> None:
        self._listing = Listing(self._state, self._scan, self._limit)
        self._view.empty = self._why_empty()
        self._view.show(self._listing, self._state, anew=anew)

    def _why_empty(self) -> str:
        if self._listing.lines:
            settled = self._listing.settled(self._listing.lines - self._state.open)
            return "no line matches" if settled else "looking for lines that match"
        if self._state.missing:
            return f"no {LOG_NAME} here: the server has not started, or is not ours to start"
        return "the server has said nothing yet"

    def _find_place(self) -> None:
        """Go where somebody asked to go, as soon as that is known, unless somebody has scrolled since."""
        if self._jump is not None:
            number = self._log.line_at(min(self._jump, self._state.size_bytes))
            if number is not None and (self._state.indexed_bytes or not self._state.size_bytes):
                self._jump = None
                self._view.go_to(max(0, min(number, self._state.lines - 1)), mark=True)
        elif self._seek is not None:
            number, moves = self._seek
            if self._view.moves != moves:
                self._seek = None
            elif self._listing.settled(number):
                self._seek = None
                self._view.go_to(number)

    # -- titles

    def _tell(self) -> None:
        told = (self._title(), self._position())
        if told != self._told:
            self._told = told
            # Content: a filter may hold brackets.
            self.border_title, self.border_subtitle = Content(told[0]), Content(told[1])
            if self._bar is not None:
                self._bar.note(self._found())

    def _title(self) -> str:
        parts = [self.TITLE]
        if self._filter:
            parts.append(f"/{plain(self._filter)}")
            parts.append(self._found())
        if self._as_of is not None:
            parts.append("as of the moment shown")
        elif self._live and not self._view.following:
            parts.append(f"paused, {plural(self._view.new, 'new line')}")
        if self._state.missing and self._state.lines:
            parts.append("the file is gone")
        return "  ".join(parts)

    def _found(self) -> str:
        state = self._listing.state
        if self._broken:
            return f"is no regular expression: {self._broken}"
        if state is None:
            return ""
        text = f"{self._listing.count:,} of {self._listing.lines:,}"
        if state.ended:
            text += f", stopped at line {state.lines:,}: {state.ended}"
        elif state.bytes < self._state.indexed_bytes:
            text += f", {100 * state.bytes // self._state.indexed_bytes} % looked through"
        if state.costly and not state.ended:
            text += f", {plural(state.costly, 'line')} left out: the pattern takes too long"
        return text

    def _position(self) -> str:
        begin, end = self._view.in_sight
        count = self._listing.count
        percent = 100 if end >= count else 100 * end // count
        parts = [f"{begin + 1:,}-{end:,} of {count:,}", f"{percent} %"] if count else []
        if self._state.indexed_bytes < self._state.size_bytes and count:
            parts.append(f"{100 * self._state.indexed_bytes // self._state.size_bytes} % read")
        if self._view.following and self._live:
            parts.append("following")
        return "  ".join(parts)

    # -- the filter

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is left to others where there is no filter."""
        return bool(self._filter) if action == "clear_filter" else True

    async def action_ask_filter(self) -> None:
        if self._bar is None:
            self._typed_pattern = self._filter
            self._bar = FilterBar(self._filter)
            await self.mount(self._bar)
        else:
            self._bar.query_one(Input).focus()

    def action_clear_filter(self) -> None:
        self._close_bar()
        self._set_filter("")

    @on(FilterBar.Changed)
    def _typed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self._typed_pattern = event.pattern
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(_TYPING_S, lambda: self._set_filter(event.pattern))

    @on(FilterBar.Closed)
    def _done(self, event: FilterBar.Closed) -> None:
        event.stop()
        self._close_bar()
        self._set_filter(self._typed_pattern if event.keep else "")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.remove()
            self._bar = None
            self._view.focus()

    def _set_filter(self, pattern: str) -> None:
        """Show what matches, of what is known and of what comes; the lines in sight stay in sight, as far as they match."""
        if self._typing is not None:
            self._typing.stop()
            self._typing = None
        if pattern == self._filter:
            return
        if not self._view.following and self._seek is None and self._jump is None:
            numbers = self._listing.numbers(*self._view.in_sight)
            self._seek = (numbers[0], self._view.moves) if numbers else None
        self._filter, self._broken = pattern, ""
        self._begin_scan()
        self.screen.clear_selection()
        self._show_listing(anew=True)
        self._find_place()
        self._tell()
        self.refresh_bindings()

    def _begin_scan(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None
        try:
            if compile_filter(self._filter) is not None:
                self._scan = Scan(self._log, self._filter, clock=self._clock)
        except BROKEN as error:
            self._broken = str(error)

    # -- what leaves the pane

    def action_copy(self) -> None:
        selected = self._view.selected_text()
        lines = selected.splitlines() if selected else self._view.text_of(*self._view.in_sight)
        if lines:
            self.post_message(CopyText("\n".join(lines), f"{plural(len(lines), 'line')} of the server's log"))

    def action_save(self) -> None:
        if self._saving is not None:
            self._toast(f"A copy is still under way: {plural(self._saving.saved, 'line')} so far.")
            return
        try:
            path = fresh_path(Path.cwd(), self.run.directory.name, self.NAME, "log", self._clock)
        except (SeatrialError, OSError) as error:
            self._toast(f"The log was not saved: {error}", error=True)
            return
        self._saving = Saving(self._log, self._listing, path)

    def _toast(self, text: str, *, error: bool = False) -> None:
        self.notify(plain(text), severity="error" if error else "information", markup=False)
