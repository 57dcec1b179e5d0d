"""The pytest plugin in a stranger's suite: a session of its own, with nothing but the installed entry point."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SUITE = """
def test_with_the_fixtures(test_harness, client_context, repo_path_prefix):
    engine = test_harness.engine
    engine.exec_action(client_context, "write-random-files", small())
    snapshot = engine.exec_action(client_context, "snapshot-root").snapshot
    assert engine.exec_action(client_context, "restore-random-snapID").snapshot
    assert test_harness.history.ledger.live_count >= 1
    print("PREFIX", repo_path_prefix, "LIVE", test_harness.history.ledger.live_count)


def small():
    from seatrial import ActionOptions
    from seatrial.config.model import WriteOptions

    return ActionOptions(write=WriteOptions(max_dir_depth=1, max_num_files_per_write=2, max_file_size=8192))
"""


BOUNDS = """
def test_a_write_is_small_unless_told_otherwise(test_harness):
    write = test_harness.plan.preset.options.write
    assert write.max_num_files_per_write * write.max_file_size <= 4 << 20


"""
README = Path(__file__).parents[3] / "README.md"


def example() -> str:
    """The test that README.md shows."""
    lines = README.read_text().split("## In your own tests", 1)[1].splitlines()[2:]
    end = next(number for number, line in enumerate(lines) if line and not line.startswith(" "))
    return textwrap.dedent("\n".join(lines[:end]))


def session(place: Path, *arguments: str, suite: str = SUITE) -> subprocess.CompletedProcess[str]:
    (place / "test_stranger.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=100)


def test_a_strangers_test_gets_a_harness_and_a_client(tmp_path: Path) -> None:
    done = session(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PREFIX None LIVE 1" in done.stdout


def test_the_readme_shows_a_test_that_passes_and_writes_little(tmp_path: Path) -> None:
    done = session(tmp_path, "-x", suite=BOUNDS + example())  # in this order: a test that fills the disk is not to begin
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout, done.stdout


def test_the_option_keeps_the_repository_between_sessions(tmp_path: Path) -> None:
    for live in (1, 2):
        done = session(tmp_path, "--repo-path-prefix", str(tmp_path / "kept"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"PREFIX {tmp_path / 'kept'} LIVE {live}" in done.stdout


def test_who_does_not_use_it_does_not_load_seatrial(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_it(): assert not [m for m in sys.modules if m.startswith('seatrial.') and 'testing' not in m]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout
