"""The pane of the nodes on which a server keeps its blobs."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult

from seatrial_tui.lines.sheet import Line, Sheet, packed
from seatrial_tui.lines.table import LineTable
from seatrial_tui.lines.tones import Tone
from seatrial_tui.panes.cluster import facts
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.source.moment import Moment, RunSource

_LABEL = 7
_HEAD_LINES = 3
_LEAST_TABLE_LINES = 4


class ClusterPane(Pane):
    """Shows the nodes. Threading: the application's."""

    NAME = "cluster"
    TITLE = "Cluster"
    HELP = """\
The nodes on which the embedded server keeps its blobs, where it has any (store = "cluster"), and what they do for one another.

A node that is down holds nothing: it has lost it, or was draining before, which is handing it over. One that is split runs, cut off
from the others and from the server. One that recovers runs, and is being told what it has missed. Hints are writes that a node missed
and others keep for it; repairs are copies that a read has put right; pulled are keys that nodes took over by comparing what they have. "Of
its limit" is what a node is to hold, also while it is away. "Peers say" is what the other nodes' probes have found. Below: what happened,
the newest first."""

    DEFAULT_CSS = """
    ClusterPane LineTable { height: 1fr; }
    ClusterPane #cluster-events { margin-top: 1; }
    """

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._moment = Moment()
        self._sheet = Sheet()
        self._table = LineTable(facts.COLUMNS, key=lambda row: row.node.name, sort="node", empty="this run has no nodes")
        self._events = Sheet(id="cluster-events")

    def compose(self) -> ComposeResult:
        yield self._sheet
        yield self._table
        yield self._events

    def show(self, moment: Moment) -> None:
        if moment is self._moment:
            return
        before, view = self._moment.view, moment.view
        self._moment = moment
        if view.frame is not before.frame or view.cluster is not before.cluster:
            self._table.show(facts.rows(view))
            self._paint()

    def on_resize(self, _event: events.Resize) -> None:
        self._paint()

    def export(self) -> Exported:
        """The nodes."""
        return self._table.export(self.NAME)

    def _paint(self) -> None:
        width, height = self.content_size
        if width <= 0:
            return
        view = self._moment.view
        frame, nodes = facts.told(view), facts.rows(view)
        self._sheet.show(
            [
                packed(facts.states(nodes, frame), width),
                self._line("ring", facts.ring(frame), width),
                self._line("work", facts.work(frame), width),
            ][: max(1, height - _LEAST_TABLE_LINES)]
        )
        room = height - _HEAD_LINES - max(_LEAST_TABLE_LINES, len(nodes) + 1) - 1
        newest = list(view.cluster)[: -room - 1 : -1] if room > 0 else []
        self._events.show([facts.event(row, self._moment) for row in newest])

    def _line(self, name: str, parts: Sequence[tuple[int, Line]], width: int) -> Line:
        return [(f"{name:<{_LABEL}}", Tone.FAINT), *packed(parts, width - _LABEL)]
