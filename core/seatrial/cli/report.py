"""``seatrial report``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seatrial.cli.options import run_argument, run_directory, runs_dir_option
from seatrial.history.journal import is_running
from seatrial.report import render_json, render_text, summarise
from seatrial.verdicts import ExitCode


@click.command(short_help="Judge a run again from its journal, and report.")
@run_argument
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For a person, or a machine."
)
@runs_dir_option
def report(run: str, form: str, runs_dir: Path | None) -> ExitCode:
    """Judge RUN again from its journal alone, and report.

    The exit code is the run's, judged anew: 0 pass, 1 robustness failure, 3 inconclusive, 4 harness or target broke, 130 interrupted.
    """
    directory = run_directory(run, runs_dir)
    summary = summarise(directory, running=is_running(directory))
    sys.stdout.write(render_json(summary) if form == "json" else render_text(summary))
    return summary.judgement.exit_code
