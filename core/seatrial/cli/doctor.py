"""``seatrial doctor``: what this machine can run, and what is missing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from seatrial.cli.options import config_option, load, runs_dir_option, runs_place
from seatrial.cli.terminal import Screen, Tone
from seatrial.report.prose import pad, plain
from seatrial.report.readiness import Sign, readiness
from seatrial.verdicts import ExitCode


@click.command(short_help="What this machine can run, and what is missing.")
@config_option
@runs_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document: a list of what was looked at.")
def doctor(config_file: Path | None, runs_dir: Path | None, as_json: bool) -> ExitCode:
    """What this machine can run, and what is missing.

    Exit code 0 if the embedded target can run, 2 if not. A program that is missing only limits which targets can be tested.
    """
    signs = readiness(runs_place(runs_dir, load(config_file)))
    if as_json:
        sys.stdout.write(json.dumps([asdict(sign) for sign in signs], indent=2) + "\n")
    else:
        _show(signs)
    return ExitCode.PASS if all(sign.good for sign in signs if sign.required) else ExitCode.USAGE


def _show(signs: list[Sign]) -> None:
    screen = Screen(sys.stdout)
    width = max(len(sign.name) for sign in signs)
    for sign in signs:
        word, tone = ("ok", Tone.GOOD) if sign.good else ("missing", Tone.BAD) if sign.required else ("-", Tone.WARN)
        screen.line(screen.fit(f"{pad(word, 7)}  {pad(sign.name, width)}  {plain(sign.text)}"), tone)
        if sign.remedy:
            screen.line(f"{'':7}  {'':{width}}  {plain(sign.remedy)}")
