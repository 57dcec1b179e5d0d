"""``seatrial run`` without a screen: lines or JSON on standard output, as many runs as were asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from seatrial.cli.conduct import Conductor, Runnable
from seatrial.cli.dry_run import plan_document, plan_lines
from seatrial.cli.json_lines import JsonLines
from seatrial.cli.lines import Detail, Lines, Narrator
from seatrial.cli.options import load, runs_place
from seatrial.cli.run_options import RunOptions, again, settings_of
from seatrial.cli.terminal import Screen, Tone
from seatrial.cli.tether import Tether
from seatrial.config.loader import LoadedConfig, place
from seatrial.config.swarm import pinned
from seatrial.engine.plan import Plan
from seatrial.errors import UsageError
from seatrial.harness.trial import Trial, TrialRequest
from seatrial.seeds import new_root_seed
from seatrial.targets.registry import target_named
from seatrial.verdicts import ExitCode, worst_exit_code

ENDING = frozenset({ExitCode.INTERRUPTED, ExitCode.BROKEN, ExitCode.USAGE})
"""After these a further run makes no sense."""


class Headless:
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
        self._tether = None if options.tied_to is None else Tether(options.tied_to)

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
        found = target.availability(self._preset)
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
        conductor = Conductor(self._trial(seed, command), self._narrator(seed, command), tether=self._tether)
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
            return JsonLines(self._screen, self._diagnostics, seed, command, _detail(self._options))
        return Lines(self._screen, seed, command, _detail(self._options))

    def _is_enough(self, code: ExitCode) -> bool:
        if code in ENDING:
            return True
        if self._options.until_fail:
            return code is ExitCode.ROBUSTNESS_FAILURE
        return self._options.fail_fast and code is not ExitCode.PASS

    def _command(self, seed: int) -> tuple[str, ...]:
        return again(self._options, self._name, seed)


def _detail(options: RunOptions) -> Detail:
    return Detail.QUIET if options.quiet else Detail.VERBOSE if options.verbose else Detail.NORMAL
