"""The pytest plugin in a stranger's suite: a session of its own, with nothing but the installed entry point."""

from __future__ import annotations

import subprocess
import sys
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


def session(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (place / "test_stranger.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=100)


def test_a_strangers_test_gets_a_harness_and_a_client(tmp_path: Path) -> None:
    done = session(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PREFIX None LIVE 1" in done.stdout


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
