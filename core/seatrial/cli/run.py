"""``seatrial run``: its options, and who carries it out. What that takes is imported only then: the engine should begin soon."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from seatrial.cli.complete import preset_names
from seatrial.cli.dashboard import has_screen
from seatrial.cli.options import config_option, runs_dir_option, set_option, theme_option
from seatrial.cli.params import Directory, Duration, Program
from seatrial.cli.run_options import RunOptions
from seatrial.seeds import SEED_BITS
from seatrial.verdicts import ExitCode


@click.command(short_help="Run a preset: in the dashboard on a terminal, in lines elsewhere.")
@click.argument("preset_name", metavar="[PRESET]", required=False, shell_complete=preset_names)
@theme_option
@click.option("--no-ui", is_flag=True, help="Lines instead of the dashboard, also on a terminal.")
@click.option("--target", metavar="T[,T...]", help="The system under test; `seatrial doctor` lists them. Several: a run on each.")
@click.option("--exe", type=Program(), metavar="PATH", help="The target's program: a build of your own in place of the installed one.")
@click.option("--server", metavar="URL", help="Test a server that is already there: spoken to, never started or stopped.")
@click.option("--repo", metavar="URL", help="Where the repository lies, such as s3://bucket/prefix; with --server: the one meant.")
@click.option("--clients", type=click.IntRange(min=1), metavar="N", help="How many clients.")
@click.option("--duration", type=Duration(), metavar="TIME", help="Of random actions: 90s, 5m, 1h30m.")
@click.option("--seed", type=click.IntRange(0, (1 << SEED_BITS) - 1), metavar="S", help="Repeats a plan (not its interleaving).")
@set_option
@config_option
@click.option("--dry-run", is_flag=True, help="Show the plan, start nothing.")
@click.option("--fail-fast", is_flag=True, help="End at the first failure; with --repeat, also at the first run that does not pass.")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="Run N times: with --seed the same plan, else a new seed each.")
@click.option("--until-fail", is_flag=True, help="Run again and again with new seeds, until one run fails.")
@runs_dir_option
@click.option("--repo-path-prefix", type=Directory(), metavar="DIR", help="Where the repository lives and survives the run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line: start, each event, the summary.")
@click.option("--quiet", "-q", is_flag=True, help="Findings and the closing lines only.")
@click.option("--verbose", "-v", is_flag=True, help="Each action's result too.")
@click.option("--tied-to", type=int, metavar="FD", hidden=True, help="Of the dashboard's own use.")
def run(**given: Any) -> ExitCode:
    """Run PRESET (`smoke` where none is given and none configured) and judge it.

    On a terminal the dashboard shows the run and drives it. Without a terminal, and with --no-ui, --json, --quiet, --dry-run, --repeat
    or --until-fail, it is told in lines; so are runs on several targets.

    The first Ctrl-C stops cleanly: heal, verify, report. The second ends it at once. Exit codes: 0 pass, 1 robustness failure, 2 usage
    or configuration, 3 inconclusive, 4 harness or target broke, 130 interrupted; of several runs the gravest (130, 4, 1, 3, 0).
    """
    options = RunOptions(**given)
    _check(options)
    if options.wants_screen and has_screen():
        attached = import_module("seatrial.cli.attached")
        if not attached.over_several_targets(options):
            shown: ExitCode = attached.run_shown(options)
            return shown
    code: ExitCode = import_module("seatrial.cli.headless").Headless(options).execute()
    return code


def _check(options: RunOptions) -> None:
    if options.quiet and options.verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    if options.until_fail and options.repeat is not None:
        raise click.UsageError("--repeat and --until-fail exclude each other")
    if options.until_fail and options.seed is not None:
        raise click.UsageError("--until-fail draws a new seed for each run: leave out --seed, or use --repeat")
