"""What the ``seatrial`` command calls: the only way into this package. Imports as it goes: the launch screen must be there at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.verdicts import ExitCode

if TYPE_CHECKING:
    from seatrial.config.model import UiSettings
    from seatrial_tui.app import Dashboard, Engine
    from seatrial_tui.screens.launch import Launch


def dashboard(runs: Sequence[Path], engine: Engine | None, ui: UiSettings) -> ExitCode:
    """Show the runs in these directories until it is closed. ``engine`` is that of the first run, where we have started it.

    Raises what a defect of ours has raised, once the terminal is as it was before.
    """
    with no_garbage_yet():
        readers = [import_module("seatrial_tui.source.reader").RunReader(run, at_once=False) for run in runs]
        shell = import_module("seatrial.config.loader").user_shell()
        app: Dashboard = import_module("seatrial_tui.app").Dashboard(readers, engine, ui, files=Path.cwd(), shell=shell)
        import_module("seatrial_tui.ending").run_to_end(app)
    return ExitCode.PASS


def launch() -> Sequence[str] | None:
    """Show what can be run; the arguments of ``seatrial`` that do what was chosen, None where nothing was. Raises as ``dashboard`` does."""
    with no_garbage_yet():
        app: Launch = import_module("seatrial_tui.screens.launch").Launch()
        chosen: Sequence[str] | None = import_module("seatrial_tui.ending").run_to_end(app)
    return chosen


def complaints(ui: UiSettings) -> list[tuple[list[str], str]]:
    """What the dashboard would not take of these settings: their names, as in ``theme`` or ``keys.pause``, and what is wrong. Shows
    nothing."""
    shelf, app = import_module("seatrial_tui.theming.shelf"), import_module("seatrial_tui.app")
    keymap, found = import_module("seatrial_tui.keymap"), []
    themes = shelf.Shelf().current
    if ui.theme not in themes.themes and ui.theme not in import_module("textual.theme").BUILTIN_THEMES:
        found.append((["theme"], "ui.theme: " + "; ".join((shelf.no_theme(ui.theme, themes), *themes.problems))))
    taken = keymap.mapped(ui.keys, keymap.commands(*app.WITH_KEYS))
    if taken.complaints:
        found.append(([f"keys.{command}" for command in ui.keys if command not in taken.keymap], "; ".join(taken.complaints)))
    return found


@contextmanager
def no_garbage_yet() -> Iterator[None]:
    """Nothing that is made for the first frame is garbage, and looking for some would take a tenth of its time. ``Ending`` looks again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
