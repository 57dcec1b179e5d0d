"""One call over several targets, for real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.history.events import PlanEvent
from seatrial.history.reader import read_journal
from seatrial.verdicts import ExitCode


@pytest.mark.slow
@pytest.mark.needs_program("restic", "borg", "sshd")
def test_each_target_has_a_run_of_its_own_and_a_missing_one_leaves_it_inconclusive(tmp_path: Path) -> None:
    settings = ("--set", "duration_s=0s", "--set", "clients=2", "--set", "verify.budget_s=60s", "--set", "action_timeout_s=60s")
    command = (sys.executable, "-m", "seatrial.cli.main", "run", "all-targets", "--no-ui", "--seed", "5", *settings)
    environment = {**os.environ, "KOPIA_EXE": str(tmp_path / "absent")}  # noqa: TID251 (of a child, where kopia is never there)
    runs = tmp_path / "runs"
    done = subprocess.run((*command, "--runs-dir", str(runs)), capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == ExitCode.INCONCLUSIVE, done.stdout + done.stderr
    assert "the target 'kopia' cannot run here: KOPIA_EXE: there is no program" in done.stderr
    told = [line.partition(" (")[0].strip() for line in done.stdout.splitlines()[-4:]]
    passed, missing = "exit code 0: pass", "exit code 3: inconclusive"
    assert told == [f"embedded: {passed}", f"kopia: {missing}", f"restic: {passed}", f"borg: {passed}"]
    plans = [next(record.event for record in read_journal(directory)) for directory in sorted(runs.iterdir())]
    assert [(plan.target, plan.seed) for plan in plans if isinstance(plan, PlanEvent)] == [("embedded", 5), ("restic", 5), ("borg", 5)]
