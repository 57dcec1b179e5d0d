"""``seatrial stop``, ``pause``, ``snapshot`` and the like: requests to a run in another process."""

from __future__ import annotations

from pathlib import Path

import click

from seatrial.cli.options import run_argument, run_directory, runs_dir_option
from seatrial.harness.control import request
from seatrial.report.prose import plain


def _ask(run: str, runs_dir: Path | None, command: str, argument: str = "") -> None:
    click.echo(plain(request(run_directory(run, runs_dir), command, argument)))


@click.command(short_help="Stop a run cleanly: heal, verify, report.")
@run_argument
@runs_dir_option
@click.option("--now", is_flag=True, help="End it at once, without verifying.")
def stop(run: str, runs_dir: Path | None, now: bool) -> None:
    """Stop RUN cleanly: no new actions, then heal, verify and report, as with Ctrl-C in its terminal."""
    _ask(run, runs_dir, "stop-now" if now else "stop")


@click.command(short_help="Let no further action of a run begin.")
@run_argument
@runs_dir_option
def pause(run: str, runs_dir: Path | None) -> None:
    """Let no further action of RUN begin; those under way go on."""
    _ask(run, runs_dir, "pause")


@click.command(short_help="Let a paused run go on.")
@run_argument
@runs_dir_option
def resume(run: str, runs_dir: Path | None) -> None:
    """Let RUN go on after a pause."""
    _ask(run, runs_dir, "resume")


@click.command(short_help="Collect garbage in a run, now.")
@run_argument
@runs_dir_option
def gc(run: str, runs_dir: Path | None) -> None:
    """Have RUN collect garbage now; the result is in its journal."""
    _ask(run, runs_dir, "gc")


client_argument = click.argument("client", metavar="CLIENT")


@click.command(short_help="Have one client of a run take a snapshot, now.")
@run_argument
@client_argument
@runs_dir_option
def snapshot(run: str, client: str, runs_dir: Path | None) -> None:
    """Have CLIENT (its id, its pet name or a unique prefix) of RUN take a snapshot once its action under way has ended."""
    _ask(run, runs_dir, "snapshot", client)


@click.command(short_help="Have one more client join a run.")
@run_argument
@runs_dir_option
def add_client(run: str, runs_dir: Path | None) -> None:
    """Have one more client join RUN and act at random with the others until they are done."""
    _ask(run, runs_dir, "add-client")


@click.command(short_help="Have a client leave a run.")
@run_argument
@client_argument
@runs_dir_option
def remove_client(run: str, client: str, runs_dir: Path | None) -> None:
    """Have CLIENT (its id, its pet name or a unique prefix) leave RUN once its action under way has ended. Its snapshots stay."""
    _ask(run, runs_dir, "remove-client", client)


@click.command(short_help="Where a run stands, in a line.")
@run_argument
@runs_dir_option
def status(run: str, runs_dir: Path | None) -> None:
    """Say where RUN stands: phase, clients, actions, findings."""
    _ask(run, runs_dir, "status")


@click.command(short_help="Leave a remark in the journal of a run.")
@run_argument
@click.argument("text")
@runs_dir_option
def remark(run: str, text: str, runs_dir: Path | None) -> None:
    """Leave TEXT in the journal of RUN, at this moment."""
    _ask(run, runs_dir, "remark", text)
