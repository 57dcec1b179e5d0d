"""Options that several commands share, and how a command finds its configuration, its runs directory and a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from seatrial.cli.complete import run_ids, theme_names
from seatrial.cli.params import Directory
from seatrial.config.loader import LoadedConfig, load_config, place
from seatrial.history.runs import find_run, runs_root
from seatrial.report.prose import plain

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read this file instead of ./config.toml.",
)
set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key, of the preset or of the whole configuration: clients=8, verify.budget_s=30s. Repeatable.",
)
runs_dir_option = click.option("--runs-dir", type=Directory(), metavar="DIR", help="Where runs are kept.")
theme_option = click.option(
    "--theme", metavar="NAME", shell_complete=theme_names, help="The dashboard's colours; the configuration says which otherwise."
)
run_argument = click.argument("run", metavar="RUN", shell_complete=run_ids)


def load(config_file: Path | None = None, sets: Sequence[str] = (), preset: str | None = None) -> LoadedConfig:
    """The configuration of this command; what it left out is said on standard error."""
    loaded = load_config(config_file=config_file, sets=sets, preset=preset)
    for note in loaded.notes:
        click.echo(f"seatrial: note: {plain(note)}", err=True)
    return loaded


def runs_place(given: Path | None, loaded: LoadedConfig | None = None) -> Path:
    """Where runs are kept: as given on the command line, else as configured, else the user's own place."""
    if given is not None:
        return given
    return runs_root(place((loaded or load()).config.run.runs_dir) or "")


def run_directory(run: str, runs_dir: Path | None) -> Path:
    """The directory of the run that a command names. A path needs neither configuration nor home."""
    return find_run(Path() if os.sep in run else runs_place(runs_dir), run).path
