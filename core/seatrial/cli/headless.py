"""``seatrial run`` without a screen: lines or JSON on standard output, as many runs on as many targets as were asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

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
from seatrial.config.model import Preset
from seatrial.config.swarm import pinned
from seatrial.engine.plan import Plan
from seatrial.errors import SeatrialError, UsageError
from seatrial.harness.trial import Trial, TrialRequest
from seatrial.report.prose import plain
from seatrial.report.text import MEANING
from seatrial.seeds import new_root_seed
from seatrial.targets.registry import target_named
from seatrial.verdicts import ExitCode, worst_exit_code

ENDING = frozenset({ExitCode.INTERRUPTED, ExitCode.BROKEN, ExitCode.USAGE})
"""After these a further run makes no sense."""
_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """How one run ended, or why there was none."""

    code: ExitCode
    stopped: bool = False
    """Somebody asked it to stop."""
    why: str = ""
    """What kept it from being carried through."""


class Headless:
    """One call of ``seatrial run``: configuration, then as many runs as were asked for."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._loaded: LoadedConfig = load(options.config_file, settings_of(options), options.preset_name)
        self._name = options.preset_name or self._loaded.config.default_preset
        preset = pinned(self._loaded.preset_to_run(self._name), options.clients)
        self._presets = [self._on(preset, name) for name in preset.all_targets]
        self._runs_dir = runs_place(options.runs_dir, self._loaded)
        self._prefix = options.repo_path_prefix or place(self._loaded.config.run.repo_path_prefix)
        self._screen = Screen(sys.stdout)
        self._diagnostics = Screen(sys.stderr)
        self._tether = None if options.tied_to is None else Tether(options.tied_to)

    def execute(self) -> ExitCode:
        self._check()
        if self._options.dry_run:
            return self._show_plans()
        codes: list[ExitCode] = []
        for number, seed in enumerate(self._seeds(), 1):
            self._announce(number, seed)
            ending = self._run_on_each(seed) if self._several else self._run_once(self._presets[0], seed)
            codes.append(ending.code)
            if ending.stopped or self._is_enough(ending.code):
                break
        return worst_exit_code(codes)

    @property
    def _several(self) -> bool:
        """Whether it goes over several targets."""
        return len(self._presets) > 1

    # -- what was asked for

    def _on(self, preset: Preset, target: str) -> Preset:
        """The preset as it is run on one target."""
        preset = _replace(preset, target=target, targets=[])
        repo = self._options.repo
        if repo is None:
            return preset
        if preset.server:
            return _replace(preset, repo=repo)
        if target == "kopia":
            return _replace(preset, kopia=_replace(preset.kopia, repo=repo))
        raise UsageError(
            f"the target {target!r} keeps its repository below --repo-path-prefix",
            where="--repo",
            remedy="leave it out, or name a --server on which that repository is",
        )

    def _check(self) -> None:
        """Refuse what cannot work, before anything begins. Of several targets a missing one is told when its turn comes."""
        for preset in self._presets:
            target_named(preset.target)
        if self._several:
            for option, value in (("--exe", self._options.exe), ("--server", self._options.server), ("--repo", self._options.repo)):
                if value is not None:
                    raise UsageError("it is of one target, and there are several", where=option, remedy="choose one with --target")
            if self._tether is not None:
                raise UsageError("a dashboard shows a run on one target", where="targets", remedy="choose one with --target, or --no-ui")
            if self._prefix is not None:
                raise UsageError(
                    "one repository cannot be of several targets", where="--repo-path-prefix", remedy="choose one with --target"
                )
        elif missing := self._missing(self._presets[0]):
            raise missing

    @staticmethod
    def _missing(preset: Preset) -> UsageError | None:
        """Why its target cannot run here; None where it can."""
        found = target_named(preset.target).availability(preset)
        if found.usable:
            return None
        return UsageError(f"the target {preset.target!r} cannot run here: {found.why_not}", remedy=found.how_to_get)

    def _show_plans(self) -> ExitCode:
        seed = new_root_seed() if self._options.seed is None else self._options.seed
        for number, preset in enumerate(self._presets):
            plan, command = Plan.make(self._name, preset, seed), self._command(preset, seed)
            if self._options.as_json:
                self._screen.line(msgspec.json.encode(plan_document(plan, command, self._runs_dir, self._prefix)).decode())
                continue
            if number:
                self._screen.line()
            for line in plan_lines(plan, command, self._runs_dir, self._prefix):
                self._screen.line(line)
        return ExitCode.PASS

    # -- runs

    def _seeds(self) -> Iterator[int]:
        """One for each run; without end for ``--until-fail``."""
        left = self._options.repeat or 1
        while self._options.until_fail or left:
            left -= 1
            yield new_root_seed() if self._options.seed is None else self._options.seed

    def _announce(self, number: int, seed: int) -> None:
        """Which of several runs this is."""
        if not self._options.until_fail and (self._options.repeat or 1) == 1:
            return
        of = "" if self._options.until_fail else f" of {self._options.repeat}"
        self._aside(f"run {number}{of}, seed {seed}", Tone.HEAD)

    def _aside(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Of several runs together; for ``--quiet`` and ``--json`` on standard error, where it forges nothing."""
        aside = self._options.as_json or self._options.quiet
        (self._diagnostics if aside else self._screen).line(plain(text), tone)

    def _run_on_each(self, seed: int) -> _Ending:
        """One run on each target with the same seed; one that is missing or breaks keeps none of the others from its turn."""
        endings: dict[str, _Ending] = {}
        for number, preset in enumerate(self._presets, 1):
            self._aside(f"target {preset.target}, {number} of {len(self._presets)}", Tone.HEAD)
            ending = endings[preset.target] = self._run_in_turn(preset, seed)
            if ending.stopped or ending.code is ExitCode.INTERRUPTED or (self._options.fail_fast and ending.code is not ExitCode.PASS):
                break
        for preset in self._presets:
            self._tell_ending(preset.target, endings.get(preset.target))
        return _Ending(code=worst_exit_code(each.code for each in endings.values()), stopped=any(each.stopped for each in endings.values()))

    def _run_in_turn(self, preset: Preset, seed: int) -> _Ending:
        if missing := self._missing(preset):
            self._diagnostics.line(plain(f"seatrial: {missing}"))
            return _Ending(code=ExitCode.INCONCLUSIVE, why=f"not run, {missing}")
        try:
            return self._run_once(preset, seed)
        except SeatrialError as error:
            for line in str(error).splitlines():
                self._diagnostics.line(plain(f"seatrial: {line}"))
            return _Ending(code=error.exit_code, why=str(error).partition("\n")[0])

    def _tell_ending(self, target: str, ending: _Ending | None) -> None:
        if ending is None:
            self._aside(f"  {target}: its turn did not come")
            return
        meaning = f"exit code {int(ending.code)}: {MEANING[ending.code]}"
        tone = Tone.GOOD if ending.code is ExitCode.PASS else Tone.WARN if ending.code is ExitCode.INCONCLUSIVE else Tone.BAD
        self._aside(f"  {target}: {meaning}" + (f" ({ending.why})" if ending.why else ""), tone)

    def _run_once(self, preset: Preset, seed: int) -> _Ending:
        """Raises what kept the run from being carried through, after it was told."""
        command = self._command(preset, seed)
        conductor = Conductor(self._trial(preset, seed, command), self._narrator(seed, command), tether=self._tether)
        return _Ending(code=conductor.conduct(), stopped=conductor.stopped)

    def _trial(self, preset: Preset, seed: int, command: tuple[str, ...]) -> Runnable:
        return Trial(
            TrialRequest(
                preset_name=self._name,
                preset=preset,
                seed=seed,
                runs_dir=self._runs_dir,
                repo_path_prefix=self._prefix,
                fail_fast=self._options.fail_fast,
                command=command,
            )
        )

    def _narrator(self, seed: int, command: tuple[str, ...]) -> Narrator:
        detail = Detail.QUIET if self._options.quiet else Detail.VERBOSE if self._options.verbose else Detail.NORMAL
        make = partial(JsonLines, self._screen, self._diagnostics) if self._options.as_json else partial(Lines, self._screen)
        return make(seed, command, detail)

    def _is_enough(self, code: ExitCode) -> bool:
        if code in ENDING:
            return True
        if self._options.until_fail:
            return code is ExitCode.ROBUSTNESS_FAILURE
        return self._options.fail_fast and code is not ExitCode.PASS

    def _command(self, preset: Preset, seed: int) -> tuple[str, ...]:
        return again(self._options, self._name, seed, preset.target if self._several else None)
