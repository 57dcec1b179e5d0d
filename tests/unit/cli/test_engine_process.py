"""The dashboard's side of its engine: a real process, and every way in which it may not begin."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seatrial.cli.engine_process import EngineEndedError, EngineProcess
from seatrial.errors import HarnessError
from seatrial.verdicts import ExitCode
from tests.support.processes import SOURCE_ROOT, alive
from tests.support.waiting import eventually

ENDS_S = 30.0
RUN = ("run", "smoke", "--clients", "1", "--set", "actions_per_client=1")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", SOURCE_ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield
    gc.collect()  # what was left open would be told here, as an error


def test_it_says_where_its_run_is_and_how_it_ended(tmp_path: Path) -> None:
    with closing(EngineProcess.start([*RUN, "--duration", "300ms", "--runs-dir", str(tmp_path / "runs")])) as engine:
        directory = engine.directory
        assert directory.parent == tmp_path / "runs"
        assert engine.wait(ENDS_S) is ExitCode.PASS
    assert (engine.returncode, engine.killed_by, engine.detached) == (ExitCode.PASS, 0, False)
    assert engine.directory == directory, "known after its end too"
    assert engine.complaint() == ""


def test_closing_it_stops_its_run_and_does_not_wait_for_that(tmp_path: Path) -> None:
    engine = EngineProcess.start([*RUN, "--duration", "10m", "--runs-dir", str(tmp_path / "runs")])
    engine.await_directory()
    engine.close()
    engine.close()
    assert engine.wait(ENDS_S) is ExitCode.PASS
    assert not alive(engine.pid)


def test_one_that_ends_before_its_run_begins_tells_all_it_said() -> None:
    with closing(EngineProcess.start(["run", "smok"])) as engine, pytest.raises(EngineEndedError, match="did you mean 'smoke'") as caught:
        engine.await_directory()
    assert caught.value.code is ExitCode.USAGE
    assert engine.wait() is ExitCode.USAGE
    assert "did you mean 'smoke'" in engine.complaint()


def test_one_that_is_late_is_said_to_be_late() -> None:
    with closing(EngineProcess.start(["run", "smok"])) as engine:
        with pytest.raises(HarnessError, match="no run directory after 0 s"):
            engine.await_directory(0.0)
        assert engine.wait(ENDS_S) is ExitCode.USAGE


def test_one_that_cannot_be_started_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "absent"))
    with pytest.raises(HarnessError, match=r"cannot be started.*run again"):
        EngineProcess.start(list(RUN))


def test_one_that_is_killed_is_broken_and_named(tmp_path: Path) -> None:
    with closing(EngineProcess.start([*RUN, "--duration", "10m", "--runs-dir", str(tmp_path / "runs")])) as engine:
        engine.await_directory()
        engine._process.kill()
        assert engine.wait(ENDS_S) is ExitCode.BROKEN
    assert engine.killed_by == 9
    engine.detach()  # nobody hears it: no error
    engine.end_at_once()
    assert eventually(lambda: not alive(engine.pid))
