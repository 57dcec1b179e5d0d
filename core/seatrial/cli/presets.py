"""``seatrial presets``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from seatrial.cli.options import config_option, load
from seatrial.cli.terminal import Screen
from seatrial.config.loader import LoadedConfig
from seatrial.report.listing import described, shape_of
from seatrial.report.prose import plain, table


@click.command(short_help="List the presets.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document: presets by name, with all their settings.")
def presets(config_file: Path | None, as_json: bool) -> None:
    """List the presets, built in and yours; the default one is marked with a star.

    `seatrial run PRESET --dry-run` shows one in full.
    """
    loaded = load(config_file)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_as_json(loaded)), indent=2).decode())
        return
    screen = Screen(sys.stdout)
    default = loaded.config.default_preset
    rows = [
        (f"{'*' if name == default else ' '} {plain(name)}", plain(", ".join(preset.all_targets)), shape_of(preset), described(preset))
        for name, preset in loaded.config.presets.items()
    ]
    for line in table(("  preset", "target", "what it does", "description"), rows, left=4):
        screen.line(screen.fit(line))


def _as_json(loaded: LoadedConfig) -> dict[str, object]:
    return {"default_preset": loaded.config.default_preset, "presets": msgspec.to_builtins(loaded.config.presets)}
