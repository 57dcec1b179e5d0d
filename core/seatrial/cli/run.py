"""``seatrial run``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from seatrial.cli.conduct import Conductor, Runnable
from seatrial.cli.dry_run import plan_document, plan_lines
from seatrial.cli.json_lines import JsonLines
from seatrial.cli.lines import Detail, Lines, Narrator
from seatrial.cli.options import config_option, load, runs_dir_option, runs_place, set_option
from seatrial.cli.params import Directory, Duration
from seatrial.cli.terminal import Screen, Tone
from seatrial.config.loader import LoadedConfig, place
from seatrial.config.model import Preset
from seatrial.engine.plan import Plan
from seatrial.errors import UsageError
from seatrial.harness.trial import Trial, TrialRequest
from seatrial.seeds import SEED_BITS, new_root_seed
from seatrial.targets.registry import target_named
from seatrial.verdicts import ExitCode, worst_exit_code

ENDING = frozenset({ExitCode.INTERRUPTED, ExitCode.BROKEN, ExitCode.USAGE})
"""After these a further run makes no sense."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """The command line of ``seatrial run``; None or empty where an option was not given."""

    preset_name: str | None
    target: str | None
    exe: str | None
    server: str | None
    clients: int | None
    duration: float | None
    seed: int | None
    sets: tuple[str, ...]
    config_file: Path | None
    dry_run: bool
    fail_fast: bool
    repeat: int | None
    until_fail: bool
    runs_dir: Path | None
    repo_path_prefix: Path | None
    as_json: bool
    quiet: bool
    verbose: bool

    @property
    def detail(self) -> Detail:
        return Detail.QUIET if self.quiet else Detail.VERBOSE if self.verbose else Detail.NORMAL


@click.command(short_help="Run a preset, headless.")
@click.argument("preset_name", metavar="[PRESET]", required=False)
@click.option("--no-ui", is_flag=True, expose_value=False, help="Headless lines, also on a terminal.")
@click.option("--target", metavar="T", help="The system under test; `seatrial doctor` lists them.")
@click.option("--exe", metavar="PATH", help="The target's program, where it has one.")
@click.option("--server", metavar="URL", help="Test a server that is already there, where the target can.")
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
def run(**given: Any) -> ExitCode:
    """Run PRESET (`smoke` where none is given and none configured) and judge it.

    The first Ctrl-C stops cleanly: heal, verify, report. The second ends it at once. Exit codes: 0 pass, 1 robustness failure, 2 usage
    or configuration, 3 inconclusive, 4 harness or target broke, 130 interrupted; of several runs the gravest (130, 4, 1, 3, 0).
    """
    options = RunOptions(**given)
    _check(options)
    return Command(options).execute()


def _check(options: RunOptions) -> None:
    if options.quiet and options.verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    if options.until_fail and options.repeat is not None:
        raise click.UsageError("--repeat and --until-fail exclude each other")
    if options.until_fail and options.seed is not None:
        raise click.UsageError("--until-fail draws a new seed for each run: leave out --seed, or use --repeat")


class Command:
    """One call of ``seatrial run``: configuration, then as many runs as were asked for."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._loaded: LoadedConfig = load(options.config_file, settings_of(options), options.preset_name)
        self._name = options.preset_name or self._loaded.config.default_preset
        self._preset = pinned(self._loaded.preset(self._name), options.clients)
        self._runs_dir = runs_place(options.runs_dir, self._loaded)
        self._prefix = options.repo_path_prefix or place(self._loaded.config.run.repo_path_prefix)
        self._screen = Screen(sys.stdout)
        self._diagnostics = Screen(sys.stderr)

    def execute(self) -> ExitCode:
        self._check_target()
        if self._options.dry_run:
            return self._show_plan()
        codes: list[ExitCode] = []
        for number, seed in enumerate(self._seeds(), 1):
            self._announce(number, seed)
            code, stopped = self._run_once(seed)
            codes.append(code)
            if stopped or self._is_enough(code):
                break
        return worst_exit_code(codes)

    def _check_target(self) -> None:
        target = target_named(self._preset.target)
        for option, value in (("--exe", self._options.exe), ("--server", self._options.server)):
            if value is not None:
                raise UsageError(
                    f"the target {target.name!r} brings its own server and its own clients",
                    where=option,
                    remedy=f"leave out {option}, or choose another --target; `seatrial doctor` lists them",
                )
        found = target.availability()
        if not found.usable:
            raise UsageError(f"the target {target.name!r} cannot run here: {found.why_not}", remedy=found.how_to_get)

    def _show_plan(self) -> ExitCode:
        seed = new_root_seed() if self._options.seed is None else self._options.seed
        plan = Plan.make(self._name, self._preset, seed)
        if self._options.as_json:
            document = plan_document(plan, self._command(seed), self._runs_dir, self._prefix)
            self._screen.line(msgspec.json.encode(document).decode())
        else:
            for line in plan_lines(plan, self._command(seed), self._runs_dir, self._prefix):
                self._screen.line(line)
        return ExitCode.PASS

    def _seeds(self) -> Iterator[int]:
        """One for each run; without end for ``--until-fail``."""
        left = self._options.repeat or 1
        while self._options.until_fail or left:
            left -= 1
            yield new_root_seed() if self._options.seed is None else self._options.seed

    def _announce(self, number: int, seed: int) -> None:
        """Which of several runs this is; for ``--quiet`` and ``--json`` on standard error, where it forges nothing."""
        if not self._options.until_fail and (self._options.repeat or 1) == 1:
            return
        of = "" if self._options.until_fail else f" of {self._options.repeat}"
        aside = self._options.as_json or self._options.quiet
        (self._diagnostics if aside else self._screen).line(f"run {number}{of}, seed {seed}", Tone.HEAD)

    def _run_once(self, seed: int) -> tuple[ExitCode, bool]:
        """The code of one run, and whether somebody stopped it."""
        command = self._command(seed)
        conductor = Conductor(self._trial(seed, command), self._narrator(seed, command))
        return conductor.conduct(), conductor.stopped

    def _trial(self, seed: int, command: tuple[str, ...]) -> Runnable:
        return Trial(
            TrialRequest(
                preset_name=self._name,
                preset=self._preset,
                seed=seed,
                runs_dir=self._runs_dir,
                repo_path_prefix=self._prefix,
                fail_fast=self._options.fail_fast,
                command=command,
            )
        )

    def _narrator(self, seed: int, command: tuple[str, ...]) -> Narrator:
        if self._options.as_json:
            return JsonLines(self._screen, self._diagnostics, seed, command, self._options.detail)
        return Lines(self._screen, seed, command, self._options.detail)

    def _is_enough(self, code: ExitCode) -> bool:
        if code in ENDING:
            return True
        if self._options.until_fail:
            return code is ExitCode.ROBUSTNESS_FAILURE
        return self._options.fail_fast and code is not ExitCode.PASS

    def _command(self, seed: int) -> tuple[str, ...]:
        return again(self._options, self._name, seed)


def settings_of(options: RunOptions) -> list[str]:
    """``--set`` and the options that are short forms of it, which win."""
    settings = list(options.sets)
    if options.target is not None:
        settings.append(f"target={options.target}")
    if options.clients is not None:
        settings.append(f"clients={options.clients}")
    if options.duration is not None:
        settings.append(f"duration_s={options.duration:g}")
    return settings


def pinned(preset: Preset, clients: int | None) -> Preset:
    """A swarm preset draws its clients; a number that was asked for leaves nothing to draw."""
    if clients is None or preset.swarm is None:
        return preset
    return msgspec.structs.replace(preset, swarm=msgspec.structs.replace(preset.swarm, clients=(clients, clients)))


def again(options: RunOptions, name: str, seed: int) -> tuple[str, ...]:
    """The command that runs the same plan again, once."""
    command = ["seatrial", "run", name, "--seed", str(seed)]
    for option, value in (
        ("--target", options.target),
        ("--clients", options.clients),
        ("--duration", None if options.duration is None else f"{options.duration:g}s"),
        ("--config", options.config_file and options.config_file.absolute()),
        ("--runs-dir", options.runs_dir),
        ("--repo-path-prefix", options.repo_path_prefix),
    ):
        if value is not None:
            command += [option, str(value)]
    for setting in options.sets:
        command += ["--set", setting]
    return (*command, "--fail-fast") if options.fail_fast else tuple(command)
