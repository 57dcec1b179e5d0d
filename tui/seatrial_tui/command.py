"""What the ``seatrial`` command calls: the only way into this package. Imports as it goes: the launch screen must be there at once."""

from __future__ import annotations

from collections.abc import Sequence
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
    readers = [import_module("seatrial_tui.source.reader").RunReader(run, at_once=False) for run in runs]
    shell = import_module("seatrial.config.loader").user_shell()
    app: Dashboard = import_module("seatrial_tui.app").Dashboard(readers, engine, ui, files=Path.cwd(), shell=shell)
    import_module("seatrial_tui.ending").run_to_end(app)
    return ExitCode.PASS


def launch() -> Sequence[str] | None:
    """Show what can be run; the arguments of ``seatrial`` that do what was chosen, None where nothing was. Raises as ``dashboard`` does."""
    app: Launch = import_module("seatrial_tui.screens.launch").Launch()
    chosen: Sequence[str] | None = import_module("seatrial_tui.ending").run_to_end(app)
    return chosen
