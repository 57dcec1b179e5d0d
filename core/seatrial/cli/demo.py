"""``seatrial demo``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from seatrial.cli.conduct import Conductor
from seatrial.cli.lines import Lines
from seatrial.cli.options import load, runs_dir_option, runs_place
from seatrial.cli.terminal import Screen, Tone
from seatrial.harness.demo import trials
from seatrial.harness.trial import Trial
from seatrial.verdicts import ExitCode, worst_exit_code

COMMAND = ("seatrial", "demo")
ACTS = (
    "1 of 2: a bit of a stored pack is flipped just before the verification. Seatrial must catch it and say where.",
    "2 of 2: the same again without the defect. Now there is nothing to be found.",
)


@click.command(short_help="Half a minute: a planted defect caught and explained, then a clean pass.")
@runs_dir_option
def demo(runs_dir: Path | None) -> ExitCode:
    """Half a minute: a planted defect caught and explained, then a clean pass.

    Exit code 0 when the defect was caught and the clean run passed.
    """
    screen = Screen(sys.stdout)
    codes: list[ExitCode] = []
    for act, request in zip(ACTS, trials(runs_place(runs_dir, load())), strict=True):
        screen.line(act, Tone.HEAD)
        conductor = Conductor(Trial(replace(request, command=COMMAND)), Lines(screen, request.seed, COMMAND))
        codes.append(conductor.conduct())
        screen.line()
        if conductor.stopped:
            break
    code = worst_exit_code(codes)
    if code is ExitCode.PASS:
        screen.line("The planted defect was caught, and the clean run reported nothing.", Tone.GOOD)
    return code
