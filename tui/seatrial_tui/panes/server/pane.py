"""The pane of the server under test."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult

from seatrial.report.prose import latency, size
from seatrial_tui.lines.plot import Plot, binary_ceiling
from seatrial_tui.lines.sheet import GAP, Line, Sheet, packed
from seatrial_tui.lines.table import Column, LineTable
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.panes.server import facts
from seatrial_tui.panes.server.requests import RequestRow, Requests
from seatrial_tui.source.moment import Moment, RunSource

_LABEL = 9
_NOW = 12
_BESIDE_COLUMNS = 90
_TABLE_LINES = 4
"""At least so many are left to the table."""


def _rate(row: RequestRow) -> Cell:
    if row.per_second is None:
        return "-", Tone.FAINT
    return f"{row.per_second:,.1f}/s", Tone.PLAIN if row.per_second else Tone.FAINT


def _latency(row: RequestRow) -> Cell:
    return "-" if row.latency_s_p95 is None else latency(row.latency_s_p95)


_COLUMNS: Sequence[Column[RequestRow]] = (
    Column(name="request", title="request", cell=lambda row: row.kind, width=24),
    Column(name="count", title="count", cell=lambda row: f"{row.count:,}", value=lambda row: row.count, right=True),
    Column(name="per_second", title="rate", cell=_rate, value=lambda row: row.per_second, right=True),
    Column(name="latency_s_p95", title="p95", cell=_latency, value=lambda row: row.latency_s_p95, right=True),
)


class ServerPane(Pane):
    """Shows the server. Threading: the application's."""

    NAME = "server"
    TITLE = "Server"
    HELP = """\
The process of the server under test, as it is seen from outside, and what it says of itself where the target tells.

CPU is of one core. Open files and threads include the processes that it has started. Requests are counted by the server since its
own start, rates are over the last 5 seconds, p95 is the latency that 95 of 100 requests kept to. "engine" is seatrial's own
process: where it is busy, the measure is.

Plots: new on the right, ↑ is the top of the scale."""

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._moment = Moment()
        self._requests = Requests()
        self._sheet = Sheet()
        self._table = LineTable(_COLUMNS, key=lambda row: row.kind, sort="count", descending=True, empty="requests by kind: none told")
        self._cpu = Plot(lambda sample: sample.cpu_percent.get("server"), lambda top: f"{top:.0f} %")
        self._memory = Plot(lambda sample: sample.rss_bytes.get("server"), size, binary_ceiling)

    def compose(self) -> ComposeResult:
        yield self._sheet
        yield self._table

    def show(self, moment: Moment) -> None:
        if moment is self._moment:
            return
        frame = moment.view.frame
        if frame is not self._moment.view.frame:
            self._table.show(self._requests.tell(frame) if frame and frame.server else ())
        self._moment = moment
        self._paint()

    def on_resize(self, _event: events.Resize) -> None:
        self._paint()

    def export(self) -> Exported:
        """Requests by kind."""
        return self._table.export(self.NAME)

    def _paint(self) -> None:
        width, height = self.content_size
        if width > 0:
            self._sheet.show(self._lines(width)[: max(2, height - _TABLE_LINES)])

    def _lines(self, width: int) -> list[Line]:
        """The most important first: what does not fit on the screen is cut at the end."""
        view = self._moment.view
        told = view.frame.server if view.frame else None
        return [
            packed(facts.state(self._moment), width),
            facts.address(view.server, width),
            *self._gauges(width),
            self._line("stored", [*facts.stored(told), *facts.requests(told, self._requests)], width),
            self._line("engine", facts.engine(view.frame), width),
        ]

    def _gauges(self, width: int) -> list[Line]:
        """CPU and memory, one under the other or, with room, side by side; then what else the process holds."""
        view = self._moment.view
        one = facts.process(view.frame, "server")
        if one is None and not view.server.pid:
            return [self._line("process", [(0, [facts.NOT_TOLD if view.frame else facts.NO_TELEMETRY])], width)]
        beside = width >= _BESIDE_COLUMNS
        room = (width - len(GAP)) // 2 if beside else width
        cpu = self._gauge("CPU", f"{one.cpu_percent:.1f} %" if one else "-", self._cpu, room)
        memory = self._gauge("memory", size(one.rss_bytes) if one else "-", self._memory, room)
        held = self._line("process", facts.held(view, one), width)
        return [[*cpu, GAP, *memory], held] if beside else [cpu, memory, held]

    def _line(self, name: str, parts: Sequence[tuple[int, Line]], width: int) -> Line:
        return [(f"{name:<{_LABEL}}", Tone.FAINT), *packed(parts, width - _LABEL)]

    def _gauge(self, name: str, now: str, plot: Plot, width: int) -> list[Cell]:
        room = max(0, width - _LABEL - _NOW)
        return [(f"{name:<{_LABEL}}", Tone.FAINT), f"{now:>{_NOW - 1}} ", *plot.cells(self._moment.samples, room)[0]]
