"""Recorded runs for everybody: made once per session (under xdist: per worker), by trials on the embedded target. Only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.recorded import record_clean_run, record_failed_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that passed: three clients, deletes, restores, GC, a remark, telemetry, a server's log."""
    return record_clean_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def failed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run in which restored files came back flipped: findings with hex, damage, last good."""
    return record_failed_run(tmp_path_factory.mktemp("failed"))
