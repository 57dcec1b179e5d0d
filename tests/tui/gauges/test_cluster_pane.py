"""The nodes of a server on a cluster: how they stand, what they did, and what is said where nobody tells."""

from __future__ import annotations

import pytest

from seatrial.history.events import ClusterEvent, Event, NodeEvent
from seatrial.history.frames import ClusterFrame, Frame, NodeFrame, NodeStateName, ServerFrame
from seatrial_tui.panes.cluster.pane import ClusterPane
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS, shown, told
from tests.tui.runs import NoRun

MIB = 1 << 20
STATES: list[NodeStateName] = ["down", "recovering", "up", "up", "up"]
EVENTS: list[Event] = [
    ClusterEvent(ring="5 nodes, 3 owners per key"),
    NodeEvent(node="n1", state="down", detail="42 keys lost"),
    ClusterEvent(hints_queued=7, hints_waiting=7),
]


def frame(second: int, states: list[NodeStateName]) -> Frame:
    nodes = [
        NodeFrame(
            name=f"n{number}",
            state=state,
            seen="suspect" if state == "down" else "alive",
            keys=0 if state == "down" else 40 + number,
            size_bytes=0 if state == "down" else number * MIB,
            owned_bytes=90 * MIB if number == 5 else 10 * MIB,
            ring_places=64,
            hints_waiting=7 if state == "down" else 0,
            starts=2 if state == "recovering" else 1,
        )
        for number, state in enumerate(states, 1)
    ]
    cluster = ClusterFrame(
        nodes=nodes,
        replication=3,
        write_consistency="quorum",
        read_consistency="one",
        node_memory_bytes=100 * MIB,
        ring_places=320,
        hints_queued=1234,
        hints_replayed=1227,
        repairs=5,
        pulled=43,
        quorum_failures=1,
    )
    return Frame(at_ns=BEGIN_NS + second * SECOND_NS, server=ServerFrame(cluster=cluster))


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_nodes_and_what_they_did_are_shown(size: tuple[int, int]) -> None:
    text = shown(
        ClusterPane(NoRun()),
        [told(EVENTS, [frame(3, STATES)])],
        size,
        "● 3 up",
        "◐ 1 recovering",
        "✗ 1 down",
        "5 nodes, 3 owners per key",
        "write quorum, read one",
        "1 write without a quorum",
        "hints 1,234 queued, 1,227 replayed",
        "7 waiting",
        "repairs 5",
        "pulled 43",
        "node n1 down: 42 keys lost",
        "cluster: 7 hints queued, 7 waiting",
    )
    row = next(line for line in text.splitlines() if "✗ down" in line)
    assert "n1" in row
    last = next(line for line in text.splitlines() if " n5 " in line)
    assert "90%" in last
    assert "5.0 MiB" in last
    assert text.index("7 hints queued, 7 waiting") < text.index("42 keys lost")


def test_a_run_whose_telemetry_is_lost_shows_what_the_journal_says() -> None:
    text = shown(ClusterPane(NoRun()), [told(EVENTS, [])], (80, 24), "✗ 1 down", "no telemetry yet", "node n1 down: 42 keys lost")
    assert "n1" in text


def test_a_run_without_nodes_says_so() -> None:
    shown(ClusterPane(NoRun()), [told([], [])], (80, 24), "no nodes yet", "this run has no nodes")


def test_the_nodes_are_exported() -> None:
    pane = ClusterPane(NoRun())
    shown(pane, [told(EVENTS, [frame(1, STATES)])], (80, 24), "✗ 1 down")
    exported = pane.export()
    assert list(exported.columns[:3]) == ["node", "state", "keys"]
    assert [row[0] for row in exported.rows] == ["n1", "n2", "n3", "n4", "n5"]
