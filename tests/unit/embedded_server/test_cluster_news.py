"""What becomes of the nodes' frames: events, each change once; and the lines that people read."""

from __future__ import annotations

from msgspec.structs import replace

from seatrial.history.events import ClusterEvent, Event, NodeEvent, Record
from seatrial.history.fold import RunFold
from seatrial.history.frames import ClusterFrame, NodeChange, NodeFrame
from seatrial.report.nodes import cluster_line
from seatrial.targets.embedded.outages import ClusterNews

FRAME = ClusterFrame(
    nodes=[NodeFrame(name="n1", state="up"), NodeFrame(name="n2", state="up")],
    replication=2,
    write_consistency="all",
    read_consistency="one",
    node_memory_bytes=1,
    ring_places=128,
    changes=[NodeChange(number=1, at_ns=1, node="n1", state="up"), NodeChange(number=2, at_ns=2, node="n2", state="up")],
)
STOPPED = NodeChange(number=3, at_ns=3, node="n1", state="down", detail="7 keys lost")


def test_each_change_is_told_once_and_counts_since_the_last_time() -> None:
    told: list[Event] = []
    news = ClusterNews(told.append)
    news.tell(FRAME)
    assert told == [
        ClusterEvent(ring="2 nodes, 2 owners per key, 128 places on the ring, write all, read one"),
        NodeEvent(node="n1", state="up"),
        NodeEvent(node="n2", state="up"),
    ]
    told.clear()
    news.tell(FRAME)
    assert told == []
    news.tell(replace(FRAME, changes=[*FRAME.changes, STOPPED], hints_queued=3, repairs=1))
    assert told == [NodeEvent(node="n1", state="down", detail="7 keys lost"), ClusterEvent(hints_queued=3, repairs=1)]
    told.clear()
    waiting = [replace(FRAME.nodes[0], hints_waiting=4), FRAME.nodes[1]]
    news.tell(replace(FRAME, nodes=waiting, changes=[STOPPED], hints_queued=5, repairs=1))
    assert told == [ClusterEvent(hints_queued=2, hints_waiting=4)]


def test_lines_say_what_was_done() -> None:
    assert cluster_line(NodeEvent(node="n1", state="down", detail="7 keys lost")) == "node n1 down: 7 keys lost"
    assert cluster_line(ClusterEvent(ring="5 nodes")) == "cluster: 5 nodes"
    everything = ClusterEvent(hints_queued=1, hints_replayed=2, hints_waiting=3, repairs=1, pulled=4, quorum_failures=1)
    assert cluster_line(everything) == (
        "cluster: 1 hint queued, 2 hints replayed, 3 waiting, 1 copy repaired, 4 keys pulled, 1 write without a quorum"
    )
    assert cluster_line(ClusterEvent()) == "cluster: nothing"


def test_a_run_keeps_the_nodes_events() -> None:
    fold = RunFold()
    event = NodeEvent(node="n1", state="down")
    fold.apply(Record(seq=1, at_ns=5, event=event))
    assert [(row.at_ns, row.event) for row in fold.view(force=True).cluster] == [(5, event)]
