"""Where the dashboard stands, and whether it can be shown here. By name only: the engine's packages know no screen."""

from __future__ import annotations

import os
import sys
from codecs import lookup
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.verdicts import ExitCode

if TYPE_CHECKING:
    from seatrial.cli.engine_process import EngineProcess
    from seatrial.config.model import UiSettings

WHERE = "seatrial_tui.command"


def has_screen() -> bool:
    """Whether a dashboard can be shown here: somebody sees it, somebody's keys reach it, the terminal is more than a typewriter and
    has the signs that it is drawn with.
    """
    if os.environ.get("TERM") == "dumb" or not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        return False
    return lookup(sys.stdout.encoding).name.startswith("utf")


def dashboard() -> Callable[[Sequence[Path], EngineProcess | None, UiSettings], ExitCode]:
    """Import it: what shows the runs in these directories until it is closed, and drives the engine's where there is one."""
    show: Callable[[Sequence[Path], EngineProcess | None, UiSettings], ExitCode] = import_module(WHERE).dashboard
    return show


def complaints(ui: UiSettings) -> list[tuple[list[str], str]]:
    """What the dashboard would not take of these settings: their names below ``ui``, and what is wrong. Shows nothing."""
    found: list[tuple[list[str], str]] = import_module(WHERE).complaints(ui)
    return found


def launch() -> Sequence[str] | None:
    """Show what can be run; the arguments of the ``run`` command that was chosen, None where none was."""
    chosen: Sequence[str] | None = import_module(WHERE).launch()
    return chosen
