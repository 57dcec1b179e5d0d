"""A whole trial on a server whose nodes fail: the preset, as it is shipped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from seatrial.config.loader import load_config
from seatrial.config.model import EmbeddedSettings, ResticSettings
from seatrial.errors import UsageError
from seatrial.history.events import ClusterEvent, Fault, NodeEvent
from seatrial.verdicts import ExitCode
from tests.e2e.trials import QUICK, run_trial

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", ["embedded", pytest.param("restic", marks=pytest.mark.needs_program("restic"))])
def test_two_of_five_nodes_lose_everything_and_the_run_passes(target: str, tmp_path: Path) -> None:
    preset = msgspec.structs.replace(load_config().preset("cluster-smoke"), target=target, restic=ResticSettings(server="embedded"))
    ended = run_trial(tmp_path, preset=preset)
    assert (ended.code, ended.findings) == (ExitCode.PASS, [])
    outages = [event for event in ended.events if isinstance(event, Fault)]
    assert [event.state for event in outages] == ["begin", "end"] * 2
    changes = [event for event in ended.events if isinstance(event, NodeEvent)]
    assert Counter(event.node for event in changes if event.state == "down") == {"n1": 1, "n3": 1}
    assert [event.state for event in changes if event.node == "n1"] == ["up", "down", "recovering", "up"]
    done = [event for event in ended.events if isinstance(event, ClusterEvent)]
    assert done[0].ring.startswith("5 nodes, 3 owners per key")
    assert sum(event.hints_queued for event in done) > 0
    assert sum(event.pulled for event in done) > 0


def test_a_prefix_that_was_used_before_is_refused(tmp_path: Path) -> None:
    """Its snapshots ended with the server that had them: a second run would call them lost."""
    preset = msgspec.structs.replace(QUICK, embedded=EmbeddedSettings(store="cluster", nodes=3))
    prefix = tmp_path / "prefix"
    assert run_trial(tmp_path / "first", preset=preset, prefix=prefix).code is ExitCode.PASS
    again = run_trial(tmp_path / "second", preset=preset, prefix=prefix)
    assert isinstance(again.error, UsageError)
    assert "volatile" in str(again.error)
