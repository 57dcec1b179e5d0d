"""Counts and latencies by action, of this run or of all under its prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from seatrial.history.view import ActionRow
from seatrial.report.prose import plural
from seatrial_tui.lines.sheet import Sheet
from seatrial_tui.lines.table import LineTable
from seatrial_tui.lines.tones import Tone
from seatrial_tui.messages import CopyText
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.panes.statistics.columns import COLUMNS, all_causes
from seatrial_tui.source.moment import Moment, RunSource


class StatisticsPane(Pane):
    """One line for each action, and all errors of the selected one below. Threading: the screen's thread only."""

    NAME = "statistics"
    TITLE = "Statistics"
    HELP = (
        "One line for each action, over all clients. ok: it happened. failed: it certainly did not happen. unknown: it may have happened. "
        "no-op: there was nothing to act on.\n"
        "p50, p95, p99: so many of 100 actions took no longer, no-ops left out; max: the longest. queue p95: the same for the wait at the "
        "gate. moved: bytes read, written or restored.\n"
        "errors by cause: the most frequent cause and how many others there are; the line at the bottom has all of the selected action.\n"
        "Cumulative counts this run together with the earlier ones under its prefix, as the title says."
    )
    DEFAULT_CSS = "StatisticsPane > Sheet { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "cumulate", "Cumulative", id="statistics-cumulative"),
        Binding("y", "copy", "Copy errors", show=False, id="statistics-copy"),
    ]

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._table: LineTable[ActionRow] = LineTable(COLUMNS, key=lambda row: row.action, empty="No action has returned yet.")
        self._errors = Sheet()
        self._moment = Moment()
        self._cumulative = False
        self._rows: Sequence[ActionRow] = ()

    def compose(self) -> ComposeResult:
        yield self._table
        yield self._errors

    def show(self, moment: Moment) -> None:
        self._moment = moment
        view = moment.view
        rows = view.cumulative if self._cumulates else view.actions
        self.border_title = title(view.former_runs, cumulative=self._cumulative)
        if rows is not self._rows:
            self._rows = rows
            self._table.show(rows)
            self.border_subtitle = summary(rows)
            self._tell_errors()

    @property
    def _cumulates(self) -> bool:
        """Where there are no former runs, all runs are this one, whose causes are known."""
        return self._cumulative and self._moment.view.former_runs > 0

    def _causes(self, row: ActionRow) -> str:
        return all_causes(row, former=self._cumulates)

    def _tell_errors(self) -> None:
        row = self._table.selected
        self._errors.show([] if row is None else [[(f"{row.action}: ", Tone.FAINT), self._causes(row)]])

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()
        self._tell_errors()

    @on(LineTable.Chosen)
    def _chosen(self, event: LineTable.Chosen) -> None:
        event.stop()
        row: ActionRow = event.row
        self.notify(self._causes(row), title=row.action, markup=False)

    def action_cumulate(self) -> None:
        """This run, or all of them."""
        self._cumulative = not self._cumulative
        self.show(self._moment)

    def action_copy(self) -> None:
        row = self._table.selected
        if row is not None:
            self.post_message(CopyText(f"{row.action}: {self._causes(row)}", f"errors of {row.action}"))

    def export(self) -> Exported:
        return self._table.export(f"{self.NAME}-cumulative" if self._cumulates else self.NAME)


def title(former_runs: int, *, cumulative: bool) -> str:
    """Of which runs the figures are."""
    if not cumulative:
        return "Statistics: this run"
    return f"Statistics: this run and {plural(former_runs, 'former one')}" if former_runs else "Statistics: this run, no former ones"


def summary(rows: Sequence[ActionRow]) -> str:
    """All actions together, as far as counts can be added up."""
    if not rows:
        return ""
    ok, failed, unknown, noop = (sum(getattr(row, name) for row in rows) for name in ("ok", "failed", "unknown", "noop"))
    return f"{plural(sum(row.count for row in rows), 'action')}: {ok:,} ok, {failed:,} failed, {unknown:,} unknown, {noop:,} no-op"
