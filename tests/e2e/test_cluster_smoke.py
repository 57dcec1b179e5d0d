"""A whole trial on a server whose nodes fail: the preset, as it is shipped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from seatrial.config.loader import load_config
from seatrial.config.model import ActionName, EmbeddedSettings, ResticSettings
from seatrial.errors import UsageError
from seatrial.history.events import ClusterEvent, Event, Fault, Invoke, NodeEvent, Result
from seatrial.targets.embedded.nodefaults import planned_faults
from seatrial.verdicts import ExitCode, Outcome
from tests.e2e.trials import QUICK, run_trial

WAYS = {
    "stop-node": ["down", "recovering", "up"],
    "drain-node": ["draining", "down", "recovering", "up"],
    "split-nodes": ["split", "recovering", "up"],
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", ["embedded", pytest.param("restic", marks=pytest.mark.needs_program("restic"))])
def test_nodes_are_stopped_drained_and_split_while_clients_act_and_the_run_passes(target: str, tmp_path: Path) -> None:
    preset = msgspec.structs.replace(load_config().preset("cluster-smoke"), target=target, restic=ResticSettings(server="embedded"))
    ended = run_trial(tmp_path, preset=preset)
    assert (ended.code, ended.findings) == (ExitCode.PASS, [])
    planned = planned_faults(preset.embedded, 1)
    assert Counter(fault.fault for fault in planned) == {"stop-node": 2, "drain-node": 1, "split-nodes": 1}
    told = [(event.fault, event.state) for event in ended.events if isinstance(event, Fault)]
    assert told == [(fault.fault, state) for fault in planned for state in ("begin", "end")]
    for during in faults_of(ended.events):
        assert any(isinstance(event, Invoke | Result) for event in during)
    for fault in planned:
        for name in fault.nodes:
            assert changes_of(ended.events, name) == ["up", *WAYS[fault.fault]]
    done = [event for event in ended.events if isinstance(event, ClusterEvent)]
    assert done[0].ring.startswith("5 nodes, 3 owners per key")
    assert sum(event.hints_queued for event in done) > 0
    assert sum(event.pulled for event in done) > 0
    assert any(
        isinstance(event, Result) and event.action == ActionName.RESTORE.value and event.outcome is Outcome.OK for event in ended.events
    )


@pytest.mark.parametrize("replication", [1, 3])
def test_a_plan_that_loses_more_than_the_quorums_share_is_caught_as_loss(replication: int, tmp_path: Path) -> None:
    """Two of five nodes lose all they hold: nothing, where each blob is on three, and where it is on one what the quorum was."""
    preset = msgspec.structs.replace(
        QUICK,
        expect="fail" if replication == 1 else "pass",
        actions_per_client=0,
        duration_s=5.0,
        embedded=EmbeddedSettings(store="cluster", nodes=5, replication=replication, stop_nodes=2, outage_s=1.0),
    )
    ended = run_trial(tmp_path, preset=preset)
    assert [event.state for event in ended.events if isinstance(event, Fault)][:2] == ["begin", "end"]
    if replication == 1:
        assert {"lost", "missing"} & {finding.damage for finding in ended.findings}
    else:
        assert (ended.code, ended.findings) == (ExitCode.PASS, [])


def faults_of(events: list[Event]) -> list[list[Event]]:
    """What was told while each fault lasted."""
    bounds = [index for index, event in enumerate(events) if isinstance(event, Fault)]
    return [events[begin:end] for begin, end in zip(bounds[::2], bounds[1::2], strict=True)]


def changes_of(events: list[Event], node: str) -> list[str]:
    return [event.state for event in events if isinstance(event, NodeEvent) and event.node == node]


def test_a_prefix_that_was_used_before_is_refused(tmp_path: Path) -> None:
    """Its snapshots ended with the server that had them: a second run would call them lost."""
    preset = msgspec.structs.replace(QUICK, embedded=EmbeddedSettings(store="cluster", nodes=3))
    prefix = tmp_path / "prefix"
    assert run_trial(tmp_path / "first", preset=preset, prefix=prefix).code is ExitCode.PASS
    again = run_trial(tmp_path / "second", preset=preset, prefix=prefix)
    assert isinstance(again.error, UsageError)
    assert "volatile" in str(again.error)
