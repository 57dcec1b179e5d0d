"""What there is to say of the nodes on which a server keeps its blobs. Pure functions of a moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from seatrial.history.events import NodeEvent
from seatrial.history.frames import ClusterFrame, NodeFrame, NodeStateName
from seatrial.history.view import ClusterRow, RunView
from seatrial.report.nodes import cluster_line
from seatrial.report.prose import duration, plural, size
from seatrial_tui.lines.sheet import Line, meter
from seatrial_tui.lines.table import Column
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.source.moment import Moment

STATES: dict[NodeStateName, tuple[str, Tone]] = {
    "up": ("●", Tone.GOOD),
    "recovering": ("◐", Tone.WARN),
    "draining": ("◑", Tone.WARN),
    "split": ("◌", Tone.BAD),
    "down": ("✗", Tone.BAD),
}
_METER = 8
_NEARLY_FULL = 0.8
_TIME = 9


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node, and what all of them are held to."""

    node: NodeFrame
    limit_bytes: int = 0
    """0 where it is not told."""
    places: int = 0
    """Of all nodes together."""

    @property
    def full(self) -> float:
        """How much of its memory is taken, up to 1."""
        return self.node.owned_bytes / self.limit_bytes if self.limit_bytes else 0.0

    @property
    def share(self) -> float:
        """Of the ring."""
        return self.node.ring_places / self.places if self.places else 0.0


def told(view: RunView) -> ClusterFrame | None:
    """What the server says of its nodes."""
    return view.frame.server.cluster if view.frame and view.frame.server else None


def rows(view: RunView) -> Sequence[NodeRow]:
    """The nodes, by number; without telemetry what the journal tells of them."""
    frame = told(view)
    if frame is not None:
        return [NodeRow(node=node, limit_bytes=frame.node_memory_bytes, places=frame.ring_places) for node in frame.nodes]
    states = {row.event.node: row.event.state for row in view.cluster if isinstance(row.event, NodeEvent)}
    return [NodeRow(node=NodeFrame(name=name, state=state)) for name, state in states.items()]


def states(nodes: Sequence[NodeRow], frame: ClusterFrame | None) -> list[tuple[int, Line]]:
    """How many are how, and what that has cost: parts for ``packed``."""
    counts = Counter(row.node.state for row in nodes)
    if not counts:
        return [(0, [("○ no nodes yet", Tone.FAINT)])]
    parts: list[tuple[int, Line]] = [
        (0, [(f"{sign} {counts[state]} {state}", tone)]) for state, (sign, tone) in STATES.items() if counts[state]
    ]
    if frame is not None and frame.quorum_failures:
        parts.append((1, [(f"{plural(frame.quorum_failures, 'write')} without a quorum", Tone.WARN)]))
    return parts


def ring(frame: ClusterFrame | None) -> list[tuple[int, Line]]:
    """Who holds what, and how many must agree."""
    if frame is None:
        return [(0, [("no telemetry yet", Tone.FAINT)])]
    return [
        (0, [plural(len(frame.nodes), "node"), (f", {plural(frame.replication, 'owner')} per key", Tone.PLAIN)]),
        (1, [("write ", Tone.FAINT), frame.write_consistency, (", read ", Tone.FAINT), frame.read_consistency]),
        (2, [(plural(frame.ring_places, "place"), Tone.FAINT)]),
    ]


def work(frame: ClusterFrame | None) -> list[tuple[int, Line]]:
    """What the nodes did for one another since the server's start."""
    if frame is None:
        return []
    waiting = sum(node.hints_waiting for node in frame.nodes)
    return [
        (0, [("hints ", Tone.FAINT), f"{frame.hints_queued:,} queued, {frame.hints_replayed:,} replayed"]),
        (0, [(f"{waiting:,} waiting", Tone.WARN if waiting else Tone.FAINT)]),
        (1, [("repairs ", Tone.FAINT), f"{frame.repairs:,}"]),
        (1, [("pulled ", Tone.FAINT), f"{frame.pulled:,}"]),
    ]


def event(row: ClusterRow, moment: Moment) -> Line:
    """One line of what happened, with the time since the run's begin."""
    tone = STATES[row.event.state][1] if isinstance(row.event, NodeEvent) else Tone.PLAIN
    return [(f"{duration(max(0, row.at_ns - moment.begin_ns) / 1e9):>{_TIME}}  ", Tone.FAINT), (cluster_line(row.event), tone)]


def _state(row: NodeRow) -> Cell:
    sign, tone = STATES[row.node.state]
    return f"{sign} {row.node.state}", tone


def _full(row: NodeRow) -> Cell:
    if not row.limit_bytes:
        return "-", Tone.FAINT
    return f"{meter(row.full, _METER)} {row.full:4.0%}", Tone.WARN if row.full >= _NEARLY_FULL else Tone.PLAIN


def _seen(row: NodeRow) -> Cell:
    return row.node.seen or "-", Tone.WARN if row.node.seen not in {"", "alive"} else Tone.FAINT


COLUMNS: Sequence[Column[NodeRow]] = (
    Column(name="node", title="node", cell=lambda row: row.node.name, value=lambda row: row.node.name),
    Column(name="state", title="state", cell=_state, value=lambda row: row.node.state, width=12),
    Column(name="keys", title="keys", cell=lambda row: f"{row.node.keys:,}", value=lambda row: row.node.keys, right=True),
    Column(name="size_bytes", title="holds", cell=lambda row: size(row.node.size_bytes), value=lambda row: row.node.size_bytes, right=True),
    Column(name="share_of_limit", title="of its limit", cell=_full, value=lambda row: row.full, priority=2),
    Column(
        name="hints_waiting",
        title="hints",
        cell=lambda row: (f"{row.node.hints_waiting:,}", Tone.WARN if row.node.hints_waiting else Tone.FAINT),
        value=lambda row: row.node.hints_waiting,
        right=True,
        priority=1,
    ),
    Column(name="ring_share", title="ring", cell=lambda row: f"{row.share:.0%}", value=lambda row: row.share, right=True, priority=3),
    Column(name="seen", title="peers say", cell=_seen, value=lambda row: row.node.seen, priority=4),
    Column(name="starts", title="starts", cell=lambda row: str(row.node.starts), value=lambda row: row.node.starts, right=True, priority=5),
)
