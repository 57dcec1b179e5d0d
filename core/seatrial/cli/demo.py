"""``seatrial demo``."""

from __future__ import annotations

import sys

import click

from seatrial.harness.demo import run_demo
from seatrial.verdicts import ExitCode


@click.command(short_help="Half a minute: a planted defect caught and explained, then a clean pass.")
def demo() -> ExitCode:
    """Half a minute: a planted defect caught and explained, then a clean pass.

    Nothing is left behind but a temporary directory's name on the screen.
    """
    return run_demo(sys.stdout)
