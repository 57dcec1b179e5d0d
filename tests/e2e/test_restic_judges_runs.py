"""The program restic looks at what whole runs leave behind: our clients wrote it while garbage was collected."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from seatrial.checker.fingerprint import fingerprint
from seatrial.config.model import ActionName, GcOptions, Preset
from seatrial.context import new_client_context
from seatrial.harness.harness import HarnessSettings, TestHarness
from seatrial.history.events import Result
from seatrial.targets.secret import repository_secrets
from seatrial.verdicts import ExitCode, Outcome
from tests.e2e.trials import QUICK, run_trial
from tests.support.standing import ATTEMPTS, times_above

pytestmark = pytest.mark.needs_program("restic")

BUSY = msgspec.structs.replace(
    QUICK,
    duration_s=4.0,
    actions_per_client=0,
    mix={
        ActionName.WRITE: 3,
        ActionName.SNAPSHOT: 3,
        ActionName.DELETE_SNAPSHOT: 3,
        ActionName.DELETE_FILES: 1,
        ActionName.RESTORE: 1,
        ActionName.GC: 1.5,
    },
)
CONTENDING = msgspec.structs.replace(BUSY, options=msgspec.structs.replace(BUSY.options, gc=GcOptions(mode="contend", retry_lock_s=1.0)))


class Restic:
    """The program, on a prefix's repository as a directory."""

    def __init__(self, repository: Path, scratch: Path) -> None:
        secrets = repository_secrets(repository)
        self._base = ["restic", "-r", str(repository), "--no-cache"]
        scratch.mkdir(exist_ok=True)
        own = {"HOME": str(scratch), "TMPDIR": str(scratch)}  # its temporary files must not change the times of what it backs up
        self._env = {"PATH": os.defpath, "RESTIC_PASSWORD": secrets.repository_password, "TZ": "UTC", **own}

    def __call__(self, *args: str) -> str:
        done = subprocess.run([*self._base, *args], env=self._env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout


@pytest.mark.parametrize("preset", [BUSY, CONTENDING], ids=["window", "contend"])
def test_check_and_restore_are_clean_over_a_run_with_gc(tmp_path: Path, preset: Preset) -> None:
    live: list[tuple[str, str]] = []
    keeps: list[frozenset[str]] = []

    def note(harness: TestHarness) -> None:
        ledger = harness.history.ledger
        live.extend((snapshot, row.root) for snapshot in ledger.live() if (row := ledger.snapshot(snapshot)))
        keeps.append(harness.target.traits.keeps)

    ended = run_trial(tmp_path / "runs", preset=preset, prefix=tmp_path / "prefix", before_verify=note)
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    collected = [event for event in ended.events if isinstance(event, Result) and event.action == ActionName.GC.value]
    assert any(event.outcome is Outcome.OK for event in collected), "the run must have collected garbage"

    repository = tmp_path / "prefix" / "robustness-data"
    restic = Restic(repository, tmp_path / "scratch")
    assert "no errors were found" in restic("check", "--read-data")
    snapshots = {row["id"]: row["paths"][0] for row in json.loads(restic("snapshots", "--json"))}
    assert set(snapshots) == {snapshot for snapshot, _ in live}
    for snapshot, root in live[:5]:
        target = tmp_path / f"restored-{snapshot[:8]}"
        restic("restore", snapshot, "--target", str(target))
        assert fingerprint(target / snapshots[snapshot].lstrip("/"), keeps=keeps[0]).root == root


def test_our_client_goes_on_where_restic_has_backed_up(tmp_path: Path) -> None:
    """restic adds nothing to what ours stored, and ours restores what restic stored."""
    ctx = new_client_context()
    settings = HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=tmp_path / "prefix", preset=QUICK)
    with TestHarness(ctx, settings) as harness:
        harness.engine.exec_action(ctx, ActionName.WRITE)
        data = harness.engine.scene.writer.data_directory(ctx)
        restic = Restic(harness.history.prefix.data, tmp_path / "scratch")
        for _ in range(ATTEMPTS):
            before = times_above(data)
            harness.engine.exec_action(ctx, ActionName.SNAPSHOT)
            lines = restic("backup", "--force", "--json", str(data)).splitlines()
            summary = next(row for row in map(json.loads, lines) if row["message_type"] == "summary")
            if times_above(data) == before:
                break
        else:
            pytest.fail(f"the directories above {data} never stood still")
        assert summary["data_added"] == 0
        short = summary["snapshot_id"]
        (theirs,) = [row.id for row in harness.server.snapshot_ids(ctx) if row.id.startswith(short)]
        into = tmp_path / "into"
        into.mkdir()
        restored = harness.snapshotter.restore_snapshot(ctx, theirs, into)
        assert restored.root == fingerprint(data, keeps=harness.target.traits.keeps).root
        restic("forget", theirs)
