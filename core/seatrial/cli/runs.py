"""``seatrial runs``."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import click

from seatrial.cli.options import runs_dir_option, runs_place
from seatrial.cli.params import Duration
from seatrial.cli.terminal import Screen
from seatrial.history.runs import RunSummary, list_runs, prune
from seatrial.report.listing import state_of
from seatrial.report.prose import duration, moment, plain, plural, table


@click.group(short_help="List the runs; remove old ones.", invoke_without_command=True)
@runs_dir_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="At most so many, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document: a list of runs.")
@click.pass_context
def runs(ctx: click.Context, runs_dir: Path | None, limit: int, as_json: bool) -> None:
    """List the runs, the newest first; `seatrial runs prune` removes old ones."""
    ctx.obj = runs_dir
    if ctx.invoked_subcommand is not None:
        return
    directory = runs_place(runs_dir)
    found = list(islice(list_runs(directory), limit))
    if as_json:
        sys.stdout.write(json.dumps([_document(run) for run in found], indent=2) + "\n")
        return
    screen = Screen(sys.stdout)
    if not found:
        click.echo(f"no run in {plain(str(directory))} yet; `seatrial run` starts one", err=True)
        return
    rows = ((plain(run.run_id), plain(run.preset), plain(run.target), state_of(run), moment(run.started_ns), _took(run)) for run in found)
    for line in table(("run", "preset", "target", "verdict", "started", "took"), rows, left=5):
        screen.line(screen.fit(line))


def _took(run: RunSummary) -> str:
    return duration(run.duration_s) if run.started_ns else "-"


def _document(run: RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "directory": str(run.path),
        "preset": run.preset,
        "target": run.target,
        "seed": run.seed,
        "verdict": run.verdict.name if run.verdict is not None else None,
        "exit_code": run.exit_code,
        "aborted": run.aborted,
        "running": run.running,
        "unreadable": run.unreadable,
        "started_at": moment(run.started_ns) if run.started_ns else None,
        "duration_s": round(run.duration_s, 3),
    }


@runs.command("prune", short_help="Remove old runs.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the N newest.")
@click.option("--older-than", type=Duration(), metavar="TIME", help="Only runs that began so long ago: 12h, 30d.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, remove nothing.")
@runs_dir_option
@click.pass_obj
def prune_runs(outer: Path | None, keep: int | None, older_than: float | None, dry_run: bool, runs_dir: Path | None) -> None:
    """Remove old runs with all their evidence. Runs under way stay, and so does what seatrial did not make."""
    if keep is None and older_than is None:
        raise click.UsageError("say which: --keep N, --older-than TIME, or both")
    removed = prune(runs_place(runs_dir or outer), keep=keep, older_than_s=older_than, dry_run=dry_run)
    for run in removed:
        click.echo(plain(str(run.path)))
    click.echo(f"{plural(len(removed), 'run')} {'would be ' if dry_run else ''}removed", err=True)
