"""A clean run reports nothing, whatever its seed: what speaks against a target must be the target's fault."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.history.events import Finding, RunEnded
from seatrial.seeds import derive, new_root_seed
from seatrial.verdicts import ExitCode, Verdict
from tests.support.command import World, world

RUNS = 50


def smoke(place: World, seed: int) -> list[str]:
    """What one run says against the target; empty for a clean one."""
    run = place.start("run", "smoke", "--seed", str(seed), "--quiet", runs_dir=place.runs_dir / str(seed))
    code = run.end()
    findings = [f"{event.check}/{event.damage}: {event.message}" for event in run.events(Finding)]
    verdicts = [event.verdict for event in run.events(RunEnded)]
    if (code, findings, verdicts) == (ExitCode.PASS, [], [Verdict.PASS]):
        return []
    return [f"seed {seed} ended with {code}, {verdicts}: {findings}\n{run.out}{run.err}"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_clean_smoke_runs_report_nothing(tmp_path: Path) -> None:
    root = new_root_seed()
    seeds = [derive(root, "smoke", number) >> 1 for number in range(RUNS)]
    with world(tmp_path) as place, ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(smoke, place, seed) for seed in seeds]
        wrong = [text for run in runs for text in run.result()]
        assert place.gone(), place.left()
    assert not wrong, f"{len(wrong)} of {RUNS}, root seed {root}:\n" + "\n".join(wrong)
