"""The two trials of ``seatrial demo``: one with a planted defect that must be caught, one without."""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial.config.model import ActionName, ActionOptions, Preset, WriteOptions
from seatrial.faults.at_rest import flip_byte
from seatrial.harness.harness import TestHarness
from seatrial.harness.trial import TrialRequest
from seatrial.seeds import new_root_seed

CLEAN = Preset(
    description="a few clients for a few seconds",
    clients=3,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT],
    duration_s=3.0,
    mix={ActionName.WRITE: 2, ActionName.SNAPSHOT: 2, ActionName.RESTORE: 2, ActionName.LIST: 1},
    options=ActionOptions(write=WriteOptions(max_dir_depth=2, max_num_files_per_write=20, max_file_size=256 << 10)),
)
"""Nothing is deleted in it, so every stored byte belongs to a live snapshot and a flipped one must show."""
PLANTED = msgspec.structs.replace(CLEAN, description="the same, and one flipped bit in a stored pack", expect="fail")


def trials(runs_dir: Path) -> tuple[TrialRequest, TrialRequest]:
    """(planted, clean); both end with exit code 0 when seatrial does what it says."""
    return (
        TrialRequest(preset_name="demo-planted-defect", preset=PLANTED, seed=new_root_seed(), runs_dir=runs_dir, before_verify=_flip),
        TrialRequest(preset_name="demo-clean", preset=CLEAN, seed=new_root_seed(), runs_dir=runs_dir),
    )


def _flip(harness: TestHarness) -> None:
    harness.history.emit(flip_byte(harness.history.prefix.data))
