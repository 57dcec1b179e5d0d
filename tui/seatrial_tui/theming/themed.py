"""An application that takes its looks from the shelf."""

from __future__ import annotations

from textual.app import App, ReturnType
from textual.css.errors import StylesheetError
from textual.theme import Theme

from seatrial.report.prose import plain
from seatrial_tui.lines.tones import TonedApp
from seatrial_tui.theming.shelf import DEFAULT, Shelf, Themes, no_theme


class ThemedApp(TonedApp[ReturnType]):
    """Registers all themes, wears the one that was chosen, and changes with its file.

    A theme that is not there or is broken never ends the application: it is told, and the last good one stays.
    """

    def __init__(self, theme: str, shelf: Shelf | None = None) -> None:
        super().__init__()
        self.shelf = shelf or Shelf()
        """All themes; closed with the application."""
        self._complaints = list(self.shelf.current.problems)
        self._put_on_shelf(self.shelf.current)
        if theme not in self.available_themes:
            self._complaints.append(no_theme(theme, self.shelf.current))
            theme = DEFAULT
        self.theme = theme

    def on_mount(self) -> None:
        self.call_after_refresh(self.shelf.watch)
        self._complain()
        self.set_interval(0.25, self._look_at_themes)

    def on_unmount(self) -> None:
        self.shelf.close()

    def _put_on_shelf(self, themes: Themes) -> None:
        for theme in themes.themes.values():
            self.register_theme(theme)

    def _look_at_themes(self) -> None:
        worn = self.shelf.current.themes.get(self.theme)
        themes = self.shelf.take()
        if themes is None:
            return
        self._complaints += themes.problems
        fresh = themes.themes.get(self.theme)
        self._put_on_shelf(themes)
        if fresh is not None and fresh != worn:
            self._wear(fresh, worn)
        self._complain()

    def _wear(self, fresh: Theme, worn: Theme | None) -> None:
        """The same name with other colours. Should the stylesheet refuse them, the former ones come back."""
        trial = self.stylesheet.copy()
        try:
            trial.set_variables({**self.get_theme_variable_defaults(), **fresh.to_color_system().generate(), **fresh.variables})
            trial.reparse()
        except StylesheetError as error:
            if worn is not None:
                self.register_theme(worn)
            self._complaints.append(f"theme {fresh.name} not taken: {error}")
            return
        self.mutate_reactive(App.theme)

    def _complain(self) -> None:
        for complaint in self._complaints:
            self.notify(plain(complaint), title="Themes", severity="warning", timeout=15, markup=False)
        self._complaints.clear()
