"""Small real trials on the embedded target, for whoever needs one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from seatrial.config.model import ActionName, ActionOptions, Preset, WriteOptions
from seatrial.errors import SeatrialError
from seatrial.harness.harness import TestHarness
from seatrial.harness.trial import Trial, TrialRequest
from seatrial.history.events import Event, Finding
from seatrial.history.reader import read_journal
from seatrial.targets.protocols import Target
from seatrial.verdicts import ExitCode

QUICK = Preset(
    clients=3,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT, ActionName.WRITE, ActionName.SNAPSHOT],
    actions_per_client=4,
    mix={ActionName.WRITE: 1, ActionName.SNAPSHOT: 1, ActionName.RESTORE: 1, ActionName.LIST: 1},
    options=ActionOptions(write=WriteOptions(max_dir_depth=2, max_num_files_per_write=8, max_file_size=64 << 10)),
)
"""A few seconds; nothing is deleted, so every stored byte is live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A trial that is over."""

    code: ExitCode | None
    error: SeatrialError | None
    directory: Path
    events: list[Event]

    @property
    def findings(self) -> list[Finding]:
        return [event for event in self.events if isinstance(event, Finding)]

    def of(self, kind: type[msgspec.Struct]) -> list[msgspec.Struct]:
        return [event for event in self.events if isinstance(event, kind)]


def run_trial(
    runs_dir: Path,
    *,
    preset: Preset = QUICK,
    seed: int = 1,
    prefix: Path | None = None,
    target: Target | None = None,
    before_verify: Callable[[TestHarness], object] | None = None,
    meanwhile: Callable[[Trial], None] | None = None,
) -> Ended:
    """Run to the end. ``meanwhile`` gets the trial before it runs, to subscribe or to start a thread."""
    trial = Trial(
        TrialRequest(
            preset_name="quick",
            preset=preset,
            seed=seed,
            runs_dir=runs_dir,
            repo_path_prefix=prefix,
            target=target,
            before_verify=before_verify,
        )
    )
    if meanwhile is not None:
        meanwhile(trial)
    code, error = None, None
    try:
        code = trial.run()
    except SeatrialError as raised:
        error = raised
    directory = trial.directory
    assert directory is not None, f"the trial did not come to a run directory: {error}"
    return Ended(code=code, error=error, directory=directory, events=[record.event for record in read_journal(directory)])
