"""``seatrial presets``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from seatrial.cli.options import config_option, load
from seatrial.cli.terminal import Screen
from seatrial.config.loader import LoadedConfig
from seatrial.config.model import Preset
from seatrial.engine.plan import weights_of
from seatrial.report.prose import duration, plain, plural, table


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
        (f"{'*' if name == default else ' '} {plain(name)}", plain(preset.target), shape(preset), _described(preset))
        for name, preset in loaded.config.presets.items()
    ]
    for line in table(("  preset", "target", "what it does", "description"), rows, left=4):
        screen.line(screen.fit(line))


def _as_json(loaded: LoadedConfig) -> dict[str, object]:
    return {"default_preset": loaded.config.default_preset, "presets": msgspec.to_builtins(loaded.config.presets)}


def _described(preset: Preset) -> str:
    contract = " (off contract: loss is expected, the detector is proved)" if preset.expect == "fail" else ""
    return plain(preset.description.replace("\n", " ").strip()) + contract


def shape(preset: Preset) -> str:
    """Clients, steps and random actions in a few words."""
    clients = "{}-{} clients".format(*preset.swarm.clients) if preset.swarm else plural(preset.clients, "client")
    steps = f"{plural(len(preset.steps), 'step')} x {preset.rounds}" if preset.steps else ""
    return ", ".join(part for part in (clients, steps, random_part(preset)) if part)


def random_part(preset: Preset) -> str:
    """How long random actions go on, empty where there are none."""
    limits = [duration(preset.duration_s)] if preset.duration_s else []
    limits += [f"{preset.actions_per_client:,} actions per client"] if preset.actions_per_client else []
    kinds = len(weights_of(preset))
    return f"{' or '.join(limits)} of {plural(kinds, 'kind')} of random action" if limits else ""
