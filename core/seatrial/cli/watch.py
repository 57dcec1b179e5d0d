"""``seatrial watch``."""

from __future__ import annotations

from pathlib import Path

import click

from seatrial.cli.complete import run_ids
from seatrial.cli.dashboard import dashboard, has_screen
from seatrial.cli.options import config_option, load, run_directory, runs_dir_option, theme_option
from seatrial.errors import UsageError
from seatrial.history.runs import LAST
from seatrial.verdicts import ExitCode


@click.command(short_help="The dashboard over runs that are under way or over.")
@click.argument("runs", metavar="[RUN...]", nargs=-1, shell_complete=run_ids)
@theme_option
@config_option
@runs_dir_option
def watch(runs: tuple[str, ...], theme: str | None, config_file: Path | None, runs_dir: Path | None) -> ExitCode:
    """Show each RUN (`last` where none is given) in the dashboard, whether it is under way, elsewhere on this machine, or over.

    To leave the dashboard ends no run that it did not start.
    """
    directories = dict.fromkeys(run_directory(run, runs_dir) for run in runs or (LAST,))
    if not has_screen():
        raise UsageError(
            "the dashboard needs a terminal",
            where="seatrial watch",
            remedy="`seatrial report RUN` tells what is known of a run in text; a terminal is one that shows UTF-8",
        )
    ui = load(config_file, [f"ui.theme={theme}"] if theme else ()).config.ui
    return dashboard()(tuple(directories), None, ui)
