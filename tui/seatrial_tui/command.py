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


@contextmanager
def no_garbage_yet() -> Iterator[None]:
    """Nothing that is made for the first frame is garbage, and looking for some would take a tenth of its time. ``Ending`` looks again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
