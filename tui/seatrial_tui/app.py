"""The dashboard: it looks at runs a few times a second, and steers them by their request sockets."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from textual import events, on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Input

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import UiSettings
from seatrial.errors import SeatrialError
from seatrial.report.prose import plain, shorten
from seatrial.verdicts import ExitCode
from seatrial_tui.ending import Ending
from seatrial_tui.export import fresh_path, write_csv, write_json
from seatrial_tui.garbage import Sweeper
from seatrial_tui.keymap import commands, mapped
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, Drive, JumpToLog, OpenClient, OpenFinding, OpenShell
from seatrial_tui.news import News
from seatrial_tui.panes.pane import Pane
from seatrial_tui.panes.server_log.pane import ServerLogPane
from seatrial_tui.panes.server_log.view import LogView
from seatrial_tui.requests import Requests
from seatrial_tui.screens.ask import Choice, Confirm, Prompt, QuitChoice
from seatrial_tui.screens.client import ClientScreen
from seatrial_tui.screens.finding import FindingScreen
from seatrial_tui.screens.help import HelpScreen
from seatrial_tui.screens.run import LEFT, RIGHT, RunScreen
from seatrial_tui.source.moment import Moment
from seatrial_tui.source.reader import RunReader
from seatrial_tui.theming.shelf import Shelf
from seatrial_tui.theming.themed import ThemedApp

TOAST_CELLS = 240
FIRST_TICK_S = 0.05
"""After it began to read: a short run is read by then."""
_STEERING = frozenset({"drive", "pause_run", "remark"})
"""Actions that need an engine."""
_LEAVES = ("stop", "stop-now")
"""Commands after which the dashboard ends with its run."""
_ASKED_FIRST = {
    "stop-now": ("End the run at once?", "What is there will not be verified."),
    "remove-client": ("Remove this client?", "Its data directory and its cache go; its snapshots stay and will be verified."),
}
"""Commands that cannot be taken back."""


class Engine(Protocol):
    """The engine that this dashboard has started: ``seatrial.cli.engine_process.EngineProcess``."""

    @property
    def returncode(self) -> ExitCode | None:
        """None while it runs."""

    def detach(self) -> None:
        """Let it go on without us."""


class Dashboard(ThemedApp[None], Ending[None]):
    """Shows one run, or several in turn.

    Owner of the sources while it runs: it closes them. Threading: Textual's; whatever takes time is done by the sources' threads and by
    the one of ``Requests``, and looked at by the timer.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="quit"),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("p", "pause_run", "Pause run", id="pause-run"),
        Binding("ctrl+g", "drive('gc')", "Collect garbage", show=False, id="gc"),
        Binding("m", "remark", "Remark", id="remark"),
        Binding("ctrl+x", "drive('stop')", "Stop run", show=False, id="stop-run"),
        Binding("ctrl+k", "drive('stop-now')", "End run at once", show=False, id="stop-run-now"),
        Binding("ctrl+e", "export('csv')", "Export CSV", show=False, id="export-csv"),
        Binding("ctrl+o", "export('json')", "Export JSON", show=False, id="export-json"),
        Binding("ctrl+t", "next_theme", "Next theme", show=False, id="next-theme"),
        Binding("f12", "screenshot", "Screenshot", show=False, id="screenshot"),
        Binding("right_curly_bracket", "turn(1)", "Next run", show=False, id="next-run"),
        Binding("left_curly_bracket", "turn(-1)", "Previous run", show=False, id="previous-run"),
    ]

    def __init__(
        self,
        runs: Sequence[RunReader],
        engine: Engine | None,
        ui: UiSettings,
        *,
        files: Path,
        shell: str = "",
        shelf: Shelf | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``engine`` belongs to the first of ``runs``. Exports and screenshots go to ``files``; ``shell`` is the user's, empty for none."""
        super().__init__(ui.theme, shelf)
        self.title = "seatrial"
        self._engine, self._ui, self._files, self._shell, self._clock = engine, ui, files, shell, clock
        self._screens = [RunScreen(run) for run in runs]
        self._news = [News() for _ in runs]
        self._at = 0
        self._requests = Requests()
        self._sweeper = Sweeper(clock)
        self._live = False
        """Of the run in front."""
        self._leaving = False
        """The run was told to stop, and we go when it has ended."""

    def on_mount(self) -> None:
        for number, screen in enumerate(self._screens):
            self.install_screen(screen, f"run-{number}")
        self.push_screen("run-0")
        keymap, complaints = mapped(self._ui.keys, commands(*WITH_KEYS))
        self.set_keymap(keymap)
        for complaint in complaints:
            self._toast(complaint, "warning")
        self._tick()

    def on_ready(self) -> None:
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """The screen is there; now it is filled."""
        for screen in self._screens:
            screen.run.begin()
        self._sweeper.begin()
        self.set_timer(FIRST_TICK_S, self._tick)
        self.set_interval(1 / self._ui.refresh_hz, self._tick)

    def on_unmount(self) -> None:
        self._sweeper.close()
        self._requests.close()
        for screen in self._screens:
            screen.run.close()

    @property
    def in_front(self) -> RunReader:
        """The run in front."""
        return self._screens[self._at].run

    # -- the timer

    def _tick(self) -> None:
        for number, screen in enumerate(self._screens):
            moment = screen.run.moment()
            self._tell(number, moment)
            if number == self._at:
                self._show(moment)
                if moment.live != self._live:
                    self._live = moment.live
                    self.refresh_bindings()
        for answer in self._requests.answers():
            self._toast(answer.text, "warning" if answer.refused else "information")
            if answer.refused and self._leaving and answer.command in _LEAVES:
                self.exit()  # an engine that begins takes no requests yet; that its tie is cut it always hears
        if self._engine is not None and self._engine.returncode is not None and self._leaving:
            self.exit()
        self._sweeper.look()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent):
            self._sweeper.typed()
        await super().on_event(event)

    def on_key(self, event: events.Key) -> None:
        """What comes here was taken by nobody. Whatever would have been taken by who has the keys now was pressed before they had them:
        ``/`` and what is typed behind it may come at once.
        """
        if isinstance(self.focused, Input) and event.is_printable and event.character:
            event.prevent_default()
            self.focused.insert_text_at_cursor(event.character)
        elif isinstance(self.screen, Choice):
            self.screen.on_key(event)

    def _show(self, moment: Moment) -> None:
        for screen in reversed(self.screen_stack):
            if isinstance(screen, RunScreen | ClientScreen | FindingScreen):
                screen.show(moment)
                return

    def _tell(self, number: int, moment: Moment) -> None:
        for text, grave in self._news[number].of(moment):
            self._toast(f"{moment.view.header.run_id}: {text}" if len(self._screens) > 1 else text, "error" if grave else "information")

    def _toast(self, text: str, severity: str = "information") -> None:
        known = "error" if severity == "error" else "warning" if severity == "warning" else "information"
        self.notify(shorten(plain(text), TOAST_CELLS), severity=known, markup=False)  # type: ignore[arg-type]  # narrowed to three literals

    # -- steering

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run that is over takes no commands, so no key offers them."""
        return self._live if action in _STEERING else True

    @on(Drive)
    def _drive(self, event: Drive) -> None:
        self.drive(event.command, event.argument)

    def action_drive(self, command: str) -> None:
        self.drive(command)

    def drive(self, command: str, argument: str = "") -> None:
        """Ask the engine of the run in front; first the person, where it cannot be taken back."""
        run = self.in_front.directory
        if command not in _ASKED_FIRST:
            self._requests.send(run, command, argument)
            return

        def go_on(sure: bool | None) -> None:
            if sure:
                self._requests.send(run, command, argument)

        question, detail = _ASKED_FIRST[command]
        self.push_screen(Confirm(question, command.replace("-", " "), f"{argument}\n{detail}".strip()), go_on)

    def action_pause_run(self) -> None:
        self.drive("resume" if self.in_front.moment().view.paused else "pause")

    def action_remark(self) -> None:
        run = self.in_front.directory

        def send(text: str | None) -> None:
            if text:
                self._requests.send(run, "remark", text)

        self.push_screen(Prompt("A remark for the journal, at this moment:"), send)

    # -- screens

    @on(OpenClient)
    def _open_client(self, event: OpenClient) -> None:
        self.push_screen(ClientScreen(self.in_front, event.client))

    @on(OpenFinding)
    def _open_finding(self, event: OpenFinding) -> None:
        self.push_screen(FindingScreen(self.in_front, event.group))

    @on(JumpToLog)
    def _jump_to_log(self, event: JumpToLog) -> None:
        while not isinstance(self.screen, RunScreen):
            self.pop_screen()
        self.screen.bring(ServerLogPane.NAME)
        self.screen.query_one(ServerLogPane).jump_to_offset(event.offset)

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            pane = self.screen.pane if isinstance(self.screen, RunScreen) else self.screen
            self.push_screen(HelpScreen(pane))

    def action_turn(self, by: int) -> None:
        """To the next run, where several are watched."""
        if len(self._screens) > 1 and isinstance(self.screen, RunScreen):
            self._at = (self._at + by) % len(self._screens)
            self.switch_screen(f"run-{self._at}")
            self._toast(str(self.in_front.directory.name))

    # -- leaving

    async def action_quit(self) -> None:
        """Leave; where the run is ours and not over, ask what becomes of it."""
        if self._engine is None or self._engine.returncode is not None or self.in_front.moment().view.end is not None:
            self.exit()
        elif not isinstance(self.screen, QuitChoice):
            self.push_screen(QuitChoice(stopping=self._leaving), self._leave)

    def _leave(self, choice: str | None) -> None:
        if choice == "leave" and self._engine is not None:
            self._engine.detach()
            self.exit()
        elif choice in _LEAVES:
            self._leaving = True
            self._requests.send(self._screens[0].run.directory, choice)
            self._toast("The run stops: no new action begins, what is there is verified. The dashboard ends with it.")

    # -- what leaves the dashboard

    @on(CopyText)
    def _copy(self, event: CopyText) -> None:
        self.copy_to_clipboard(event.text)
        self._toast(f"copied: {event.what}")

    @on(OpenShell)
    def _open_shell(self, event: OpenShell) -> None:
        if not event.path.is_dir():
            self._toast(f"there is no directory {event.path} here, or no more", "warning")
            return
        if not self._shell:
            self._toast(f"no shell is known (SHELL is not set): {event.path}", "warning")
            return
        with self.suspend():
            subprocess.run([self._shell], cwd=event.path, check=False)

    def action_export(self, form: str) -> None:
        pane = self.screen.pane if isinstance(self.screen, RunScreen) else self.screen
        exported = pane.export() if isinstance(pane, Pane | ClientScreen) else None
        if exported is None:
            self._toast("there is no table here to export", "warning")
            return
        path = fresh_path(self._files, self.in_front.directory.name, exported.name, form, self._clock)
        self._write(lambda: (write_csv if form == "csv" else write_json)(exported, path), path)

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Write an SVG of what is on the screen."""
        to = fresh_path(self._files, self.in_front.directory.name, "screen", "svg", self._clock)
        self._write(lambda: to.write_text(self.export_screenshot(), encoding="utf-8"), to)

    def _write(self, write: Callable[[], object], path: Path) -> None:
        try:
            write()
        except (SeatrialError, OSError) as error:
            self._toast(f"not written: {error}", "error")
        else:
            self._toast(f"written: {path}")

    def action_next_theme(self) -> None:
        """Through ours, by name."""
        names = sorted(self.shelf.current.themes)
        later = [name for name in names if name > self.theme]
        self.theme = (later or names)[0]
        self._toast(f"theme {self.theme}")

    # -- the palette

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Whatever a key does here, and the themes."""
        yield SystemCommand("Theme", "Choose another theme", self.action_change_theme)
        seen = set[str]()
        for active in screen.active_bindings.values():
            binding, node = active.binding, active.node
            if binding.description and active.enabled and binding.action not in seen:
                seen.add(binding.action)
                yield SystemCommand(binding.description, f"key {self.get_key_display(binding)}", self._run(binding.action, node))

    def _run(self, action: str, node: DOMNode) -> Callable[[], None]:
        def run() -> None:
            self.call_later(self.run_action, action, node)

        return run


WITH_KEYS: tuple[type[DOMNode], ...] = (Dashboard, RunScreen, LineTable, LogView, ClientScreen, FindingScreen, *LEFT, *RIGHT)
"""Whose keys the user may change."""
