"""A target of somebody else's: registered by an entry point of its package, tested by the conformance suite in three lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from seatrial.errors import UsageError
from seatrial.targets.registry import target_named, target_names
from seatrial.verdicts import ExitCode
from tests.e2e.trials import QUICK, run_trial

PACKAGE = '''
from seatrial.targets.embedded.target import EmbeddedTarget


class MyTarget(EmbeddedTarget):
    """Somebody else's: as far as seatrial can tell, a server and clients that it has never seen."""

    name = "mine"
'''
THREE_LINES = """
from mine import MyTarget
from seatrial.testing import TargetConformance

class TestMine(TargetConformance):
    target = MyTarget()
"""


def installed(place: Path, entry: str) -> Path:
    """What ``pip install`` leaves behind of a package that registers a target."""
    place.mkdir(exist_ok=True)
    (place / "mine.py").write_text(PACKAGE)
    metadata = place / "mine-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[seatrial.targets]\nmine = {entry}\n")
    return place


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return installed(tmp_path, "mine:MyTarget")


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}  # noqa: TID251 (a child's, with one more place in it)
    return subprocess.run([sys.executable, *arguments], cwd=site, env=environment, capture_output=True, text=True, check=False, timeout=100)


def test_a_registered_target_is_known_by_its_name_and_runs_a_trial(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    assert "mine" in target_names()
    assert target_named("mine").name == "mine"
    ended = run_trial(tmp_path / "runs", preset=msgspec.structs.replace(QUICK, target="mine", clients=1, actions_per_client=0))
    assert (ended.error, ended.code) == (None, ExitCode.PASS)


def test_the_command_knows_it_too(site: Path) -> None:
    done = python(site, "-m", "seatrial.cli.main", "doctor", "--json", "--runs-dir", str(site / "runs"))
    assert done.returncode == ExitCode.PASS, done.stderr
    assert {sign["name"]: sign["good"] for sign in json.loads(done.stdout)}["target mine"] is True


def test_the_conformance_suite_takes_three_lines(site: Path) -> None:
    (site / "test_mine.py").write_text(THREE_LINES)
    chosen = "everything or side_by_side or missing"
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, "test_mine.py")
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    assert "4 passed, 17 deselected" in done.stdout


def test_one_that_cannot_be_loaded_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path / "site", "absent:Target")))
    with pytest.raises(UsageError, match="the target 'mine' cannot be loaded") as told:
        target_named("mine")
    assert told.value.where == "absent:Target"
