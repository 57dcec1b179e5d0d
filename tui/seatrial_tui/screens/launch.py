"""The launch screen of a bare ``seatrial``: painted at once, filled as things become known.

The first frame needs Textual and nothing else. Configuration, former runs and what this machine lacks are found out by a thread that starts
after it, and so are the imports that they and the tables need.
"""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from seatrial_tui.ending import Ending
from seatrial_tui.lines.tones import TonedApp

if TYPE_CHECKING:
    from seatrial.config.model import UiSettings
    from seatrial_tui.screens.choose import ChooseScreen
    from seatrial_tui.screens.offers import News, Offers, Unreadable
    from seatrial_tui.theming.shelf import Themes

LEAVE_S = 2.0
"""For the thread to end, which may be waiting for a program's version."""


class Launch(TonedApp[tuple[str, ...] | None], Ending[tuple[str, ...] | None]):
    """Returns the arguments of ``seatrial`` that do what was chosen; None where nothing was.

    Threading: the screen's thread; one daemon thread of its own at a time finds things out and posts messages. At the end it is waited for,
    at most ``LEAVE_S``.
    """

    TITLE = "seatrial"
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_CSS = "Launch #waiting { width: 1fr; height: 1fr; content-align: center middle; color: $text-muted; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="quit"),
        Binding("question_mark", "help", "Help", id="help"),
        Binding("f5,ctrl+r", "read_again", "Read again", show=False, id="launch-read-again"),
    ]

    class Told(Message):
        """The thread has found something out."""

        def __init__(self, news: News) -> None:
            super().__init__()
            self.news = news

    class Dressed(Message):
        """The thread has read the themes, and what the user wants of them and of the keys."""

        def __init__(self, themes: Themes, ui: UiSettings) -> None:
            super().__init__()
            self.themes, self.ui = themes, ui

    class Broke(Message):
        """The thread has ended by a defect."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(self, config_file: Path | None = None) -> None:
        super().__init__()
        self._config_file = config_file
        self._thread: threading.Thread | None = None
        self._chooser: ChooseScreen | None = None

    def compose(self) -> ComposeResult:
        yield Static("seatrial\n\nTake a repository server to sea before your data does.", id="waiting", markup=False)

    def on_ready(self) -> None:
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    # -- the thread

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._find_out, name="launch", daemon=True)
        self._thread.start()

    def _find_out(self) -> None:
        try:
            import_module("seatrial_tui.screens.choose")
            import_module("seatrial_tui.screens.offers").survey(self._tell, self._config_file)
        except Exception as error:  # noqa: BLE001  # handed to the screen's thread, which ends by it
            self.post_message(self.Broke(error))

    def _tell(self, news: News) -> None:
        offers = import_module("seatrial_tui.screens.offers")
        if isinstance(news, offers.Offers):
            themes = import_module("seatrial_tui.theming.shelf").Shelf().current
            self.post_message(self.Dressed(themes, news.loaded.config.ui))
        self.post_message(self.Told(news))

    # -- its news

    def on_launch_dressed(self, event: Dressed) -> None:
        for theme in event.themes.themes.values():
            self.register_theme(theme)
        if event.ui.theme in event.themes.themes:
            self.theme = event.ui.theme
        for problem in event.themes.problems:
            self.notify(import_module("seatrial.report.prose").plain(problem), severity="warning", markup=False)
        keymap, choose = import_module("seatrial_tui.keymap"), import_module("seatrial_tui.screens.choose")
        known = keymap.commands(type(self), choose.ChooseScreen, choose.LineTable, choose.Page)
        self.set_keymap(keymap.mapped(event.ui.keys, known).keymap)  # what fits no command is told by the dashboard, which has them all

    async def on_launch_told(self, event: Told) -> None:
        offers = import_module("seatrial_tui.screens.offers")
        match event.news:
            case offers.Offers() | offers.Unreadable():
                await self._choose_from(event.news)
            case offers.Runs() if self._chooser is not None:
                self._chooser.show_runs(event.news)
            case offers.Signs() if self._chooser is not None:
                self._chooser.show_signs(event.news)

    async def _choose_from(self, offers: Offers | Unreadable) -> None:
        former = self._chooser
        self._chooser = import_module("seatrial_tui.screens.choose").ChooseScreen(offers)
        if former is None:
            await self.push_screen(self._chooser)
        else:
            await self.switch_screen(self._chooser)

    def on_launch_broke(self, event: Broke) -> None:
        raise event.error

    # -- keys

    def action_read_again(self) -> None:
        """The configuration has been mended, or a program installed."""
        if self._chooser is not None and self.screen is self._chooser and self._thread is not None and not self._thread.is_alive():
            self._begin()

    def action_help(self) -> None:
        if self._chooser is not None and self.screen is self._chooser:
            self.push_screen(import_module("seatrial_tui.screens.help").HelpScreen(self._chooser))
