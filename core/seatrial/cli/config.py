"""``seatrial config``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from seatrial.cli.dashboard import complaints
from seatrial.cli.options import config_option, load, set_option
from seatrial.cli.terminal import Screen
from seatrial.config.check import dotted
from seatrial.errors import UsageError
from seatrial.report.prose import pad, plain


@click.group(short_help="Show or validate the configuration.")
def config() -> None:
    """The configuration: built in, your file, ./config.toml or --config, the environment, --set; each laid over the one before."""


@config.command(short_help="Every value and where it came from.")
@click.argument("preset_name", metavar="[PRESET]", required=False)
@config_option
@set_option
@click.option("--all", "everything", is_flag=True, help="Also what no layer gave: the defaults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document: a list of key, value, origin.")
def show(preset_name: str | None, config_file: Path | None, sets: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Every value and where it came from; of PRESET only, where one is given."""
    loaded = load(config_file, sets, preset_name)
    rows = loaded.rows(defaults=everything)
    if preset_name is not None:
        loaded.preset(preset_name)
        rows = [row for row in rows if row[0].startswith(dotted(("presets", preset_name)) + ".")]
    if as_json:
        sys.stdout.write(json.dumps([dict(zip(("key", "value", "origin"), row, strict=True)) for row in rows], indent=2) + "\n")
        return
    screen = Screen(sys.stdout)
    lines = [(f"{plain(key)} = {plain(json.dumps(value, ensure_ascii=False))}", plain(origin)) for key, value, origin in rows]
    width = min(max((len(text) for text, _ in lines), default=0), screen.width * 2 // 3)
    for text, origin in lines:
        screen.line(f"{pad(text, width)}  # {origin}")


@config.command(short_help="Whether it is right, in every layer.")
@config_option
@set_option
def validate(config_file: Path | None, sets: tuple[str, ...]) -> None:
    """Whether the configuration is right: exit code 0, or 2 and one message that names file, key, value and what would be valid."""
    loaded = load(config_file, sets)
    for name in loaded.config.presets:
        loaded.preset_to_run(name)
    for names, what in complaints(loaded.config.ui):
        places = dict.fromkeys(loaded.origin(dotted(("ui", *name.split(".", 1)))) for name in names)
        raise UsageError(plain(what), where=", ".join(places))
    count = len(loaded.config.presets)
    click.echo(f"the configuration is valid: {count} presets, {len(loaded.rows())} values")
