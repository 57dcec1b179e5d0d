"""An error of seatrial's own in the middle of a run: the run is broken, and what is stored is verified all the same."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from seatrial.context import Context
from seatrial.engine.engine import ActionOut, Engine
from seatrial.errors import TargetError
from seatrial.harness.trial import Trial, TrialRequest
from seatrial.history.events import Finding, Phase, RunEnded
from seatrial.history.reader import read_journal
from seatrial.verdicts import ExitCode, Verdict
from tests.e2e.trials import QUICK

ENDLESS = msgspec.structs.replace(QUICK, actions_per_client=0, duration_s=600.0)


def broken_run(runs_dir: Path, monkeypatch: pytest.MonkeyPatch, planted: Exception) -> list[object]:
    """One client's first random action raises; the events of the run, which ends long before its duration is over."""
    once, act = threading.Lock(), Engine.random_action

    def break_once(engine: Engine, ctx: Context) -> ActionOut:
        if once.acquire(blocking=False):
            raise planted
        return act(engine, ctx)

    monkeypatch.setattr(Engine, "random_action", break_once)
    trial = Trial(TrialRequest(preset_name="quick", preset=ENDLESS, seed=1, runs_dir=runs_dir))
    with pytest.raises(type(planted), match="planted"):
        trial.run()
    assert trial.directory is not None
    return [record.event for record in read_journal(trial.directory)]


def phases(events: list[object]) -> dict[tuple[str, str], Phase]:
    return {(event.name, event.state): event for event in events if isinstance(event, Phase)}


def test_after_an_error_of_our_own_the_run_ends_soon_and_what_is_stored_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = broken_run(tmp_path, monkeypatch, KeyError("planted"))
    seen = phases(events)
    assert seen["verify", "begin"].total > 0
    assert ("verify", "end") in seen
    assert ("report", "end") in seen
    assert "KeyError" in seen["heal", "begin"].detail
    assert not [event for event in events if isinstance(event, Finding)]
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.exit_code, ended.verdict) == (ExitCode.BROKEN, Verdict.INCONCLUSIVE)
    assert "planted" in ended.reason


def test_after_an_error_of_the_server_nothing_is_verified_and_nobody_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = broken_run(tmp_path, monkeypatch, TargetError("planted"))
    assert ("heal", "begin") not in phases(events)
    assert not [event for event in events if isinstance(event, Finding)]
    assert isinstance(ended := events[-1], RunEnded)
    assert ended.exit_code == ExitCode.BROKEN
