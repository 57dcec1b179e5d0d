"""Runs that really took place, for the tests of the screen: small trials on the embedded target."""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial.config.model import ActionName, ActionOptions, EmbeddedSettings, Preset, WriteOptions
from seatrial.context import Context
from seatrial.history.events import Steer
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.target import EmbeddedTarget
from seatrial.targets.protocols import Surroundings, TargetClient
from seatrial.verdicts import ExitCode
from tests.e2e.trials import run_trial

WORK = Preset(
    description="three clients that write, snapshot, restore, delete and collect",
    clients=3,
    steps=[
        ActionName.WRITE,
        ActionName.SNAPSHOT,
        ActionName.RESTORE,
        ActionName.WRITE,
        ActionName.SNAPSHOT,
        ActionName.DELETE_SNAPSHOT,
        ActionName.GC,
    ],
    actions_per_client=8,
    mix={
        ActionName.WRITE: 2,
        ActionName.SNAPSHOT: 2,
        ActionName.RESTORE: 2,
        ActionName.DELETE_SNAPSHOT: 1,
        ActionName.DELETE_FILES: 1,
        ActionName.LIST: 1,
    },
    options=ActionOptions(
        write=WriteOptions(max_dir_depth=2, min_num_files_per_write=4, max_num_files_per_write=12, max_file_size=64 << 10),
    ),
    embedded=EmbeddedSettings(fsync=False),
)


class RottingClient(EmbeddedClient):
    """What it restores is right until the rot begins, then one bit of it is not."""

    def __init__(self, around: Surroundings, directory: Path, target: RottingTarget) -> None:
        super().__init__(around, directory)
        self._target = target

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        super().restore(ctx, snapshot_id, into)
        if self._target.rotten:
            _flip_a_bit(into)


class RottingTarget(EmbeddedTarget):
    """The embedded target, good until somebody sets ``rotten``."""

    def __init__(self) -> None:
        self.rotten = False

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        return RottingClient(around, directory, self)


def _flip_a_bit(tree: Path) -> None:
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size]
    if not files:
        return
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0x10
    largest.write_bytes(content)


def record_clean_run(runs_dir: Path) -> Path:
    """A run that passes, with a remark in its journal; its directory."""
    remark = Steer(command="remark", argument="for the log", by="a test")
    ended = run_trial(runs_dir, preset=WORK, seed=7, before_verify=lambda harness: harness.history.emit(remark))
    assert (ended.code, ended.error, ended.findings) == (ExitCode.PASS, None, [])
    return ended.directory


def record_failed_run(runs_dir: Path) -> Path:
    """A run whose restores were good at first and then flipped: findings with hex, kind of damage and last good; its directory."""
    target = RottingTarget()
    preset = msgspec.structs.replace(WORK, description="the same with restores that rot", expect="fail")

    def rot(_: object) -> None:
        target.rotten = True

    ended = run_trial(runs_dir, preset=preset, seed=7, target=target, before_verify=rot)
    assert ended.findings, (ended.code, ended.error)
    restores = [finding for finding in ended.findings if finding.check == "restore"]
    assert any(finding.last_good_ns for finding in restores), restores
    assert all(finding.damage == "flipped" and finding.detail for finding in restores), restores
    return ended.directory
