"""What the verify phase does, and what it counts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial.history.events import Invoke, Phase
from seatrial.verdicts import ExitCode
from tests.e2e.trials import QUICK, run_trial


def test_what_repeats_its_actions_verifies_each_snapshot_once_and_counts_it_once(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=msgspec.structs.replace(QUICK, repeat_action=2))
    assert (ended.code, ended.findings) == (ExitCode.PASS, [])
    begins = [place for place, event in enumerate(ended.events) if isinstance(event, Phase) and event.state == "begin"]
    (verify,) = [place for place in begins if getattr(ended.events[place], "name", "") == "verify"]
    done = [event for event in ended.events[verify:] if isinstance(event, Invoke)]
    restored = [event.snapshot for event in done if event.action == "restore-random-snapID"]
    assert len(restored) == len(set(restored)) == getattr(ended.events[verify], "total", 0)
    assert [event.action for event in done].count("verify-repository") == 1
