"""The findings so far, one line for each defect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from seatrial.history.view import FindingGroup, RunView
from seatrial.report.explain import explain, lines_of
from seatrial.report.prose import moment, plural
from seatrial_tui.lines.signs import VERDICTS, verdict_cell
from seatrial_tui.lines.table import Column, LineTable
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.messages import CopyText, OpenFinding
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.source.moment import Moment, RunSource

_CLOCK = slice(11, 19)
"""Hours, minutes and seconds of a time in RFC 3339."""


def _count(group: FindingGroup) -> Cell:
    return (f"{group.count:,} x", Tone.HEAD) if group.count > 1 else "1 x"


COLUMNS: Sequence[Column[FindingGroup]] = (
    Column(name="verdict", title="verdict", cell=lambda group: verdict_cell(group.verdict), value=lambda group: group.verdict.name),
    Column(name="check", title="check", cell=lambda group: group.check, max_width=16, priority=1),
    Column(name="damage", title="damage", cell=lambda group: group.first.damage, max_width=14),
    Column(name="count", title="count", cell=_count, value=lambda group: group.count, right=True),
    Column(name="message", title="message", cell=lambda group: group.first.message, max_width=120, grow=True),
    Column(
        name="first_seen_ns",
        title="first UTC",
        cell=lambda group: moment(group.first_ns)[_CLOCK],
        value=lambda group: group.first_ns,
        priority=3,
    ),
    Column(
        name="last_seen_ns",
        title="last UTC",
        cell=lambda group: moment(group.last_ns)[_CLOCK],
        value=lambda group: group.last_ns,
        priority=1,
    ),
    Column(name="client", title="client", cell=lambda group: group.first.client, max_width=20, priority=5),
    Column(name="snapshot", title="snapshot", cell=lambda group: (group.first.snapshot, Tone.FAINT), max_width=10, priority=6),
    Column(name="path", title="path", cell=lambda group: group.first.path, max_width=40, priority=4, middle=True),
)


def ordered(view: RunView) -> Sequence[FindingGroup]:
    """The gravest first, of those the last seen."""
    return sorted(view.findings, key=lambda group: (-group.verdict, -group.last_ns))


def calm(view: RunView) -> str:
    """What is said where there is nothing to show."""
    restored, over = view.snapshots.restored, view.end is not None
    compared = f"{plural(restored, 'restore')} compared equal" if restored else "nothing was compared" if over else "nothing compared yet"
    return f"No findings{'' if over else ' so far'}: {compared}."


class Calm(Static, can_focus=True):
    """Stands where the table will be, and holds the keys for it."""

    DEFAULT_CSS = "Calm { color: $text-muted; height: 1fr; }"


class FindingsPane(Pane):
    """Failures by defect. Threading: the screen's thread only."""

    NAME = "findings"
    TITLE = "Findings"
    HELP = (
        "What the checks have found, one line for each defect however often it was seen: the gravest first, then the last seen.\n"
        "FAIL: what came back is not what went in, or the server broke its word. INCONCLUSIVE: something cannot be known.\n"
        "Message, client, snapshot and path are those of the first time. Enter explains a defect: what was expected, what came back, "
        "the bytes around it, what went on in between, and how to run it again."
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "Copy", show=False, id="findings-copy")]

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._table: LineTable[FindingGroup] = LineTable(COLUMNS, key=lambda group: group.group)
        self._calm = Calm(calm(RunView()), markup=False)
        self._view = RunView()

    def compose(self) -> ComposeResult:
        self._table.display = False
        yield self._calm
        yield self._table

    def show(self, moment: Moment) -> None:
        view, before = moment.view, self._view
        self._view = view
        if view.findings is not before.findings:
            self._table.show(ordered(view))
        if not view.findings and (before.findings or view.snapshots is not before.snapshots):
            self._calm.update(calm(view), layout=False)
        if bool(view.findings) is not self._table.display:
            self._swap(bool(view.findings))
        if (view.findings_total, view.findings) != (before.findings_total, before.findings):
            self.border_subtitle = _summary(view)

    def _swap(self, found: bool) -> None:
        shown, hidden = (self._table, self._calm) if found else (self._calm, self._table)
        focused = hidden.has_focus
        hidden.display, shown.display = False, True
        if focused:
            shown.focus()

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        event.stop()
        self.post_message(OpenFinding(event.row.group))

    def action_copy(self) -> None:
        """The selected defect, as the report has it."""
        group = self._table.selected
        if group is None:
            return
        circumstances = {group.group: around} if (around := self.run.circumstances(group.group)) else {}
        said = explain(self._view, group, circumstances, self.run.directory)
        self.post_message(CopyText("\n".join(lines_of(said)) + "\n", f"{group.check}/{group.first.damage}"))

    def export(self) -> Exported:
        return self._table.export(self.NAME)


def _summary(view: RunView) -> str:
    """How many of each kind, in signs and figures."""
    counts = {verdict: sum(group.verdict is verdict for group in view.findings) for verdict in VERDICTS}
    kinds = "  ".join(f"{VERDICTS[verdict][0]} {count}" for verdict, count in sorted(counts.items(), reverse=True) if count)
    return f"{kinds}  seen {plural(view.findings_total, 'time')}" if kinds else ""
