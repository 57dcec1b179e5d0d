"""One client: what it is, what it does, what it did, what it has, what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from seatrial.history.view import ActionRow, ClientRow, RunView, SnapshotView
from seatrial.report.prose import plain
from seatrial_tui.bar import PaneBar, Tab
from seatrial_tui.lines.ages import Ages
from seatrial_tui.lines.sheet import Sheet
from seatrial_tui.lines.table import LineTable
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.messages import CopyText, Drive, OpenShell
from seatrial_tui.panes.pane import Exported
from seatrial_tui.panes.statistics.columns import COLUMNS as ACTIONS
from seatrial_tui.panes.statistics.columns import all_causes
from seatrial_tui.screens.client_facts import facts
from seatrial_tui.screens.client_tables import ERRORS, SNAPSHOTS, TIMELINE, Step, began_ns, is_error, step_key
from seatrial_tui.screens.keys import KeysFirst, footer
from seatrial_tui.source.moment import Moment, RunSource, TimelineRow

_FRAME_CELLS = 4
"""Border and padding around the facts."""


class ClientScreen(KeysFirst[None]):
    """Threading: the screen's thread only. The application calls ``show`` a few times a second."""

    TITLE = "Client"
    HELP: ClassVar[str] = (
        "One client. Timeline: what it did and what befell it, the newest first; as long as no line of it was chosen, new ones come in at "
        "the top. Snapshots: those it made. Errors: what failed or whose outcome is unknown, and what the checks have found. "
        "Actions: its own figures by action.\n"
        "The lines at the bottom have the selected row in full; Enter copies them. Of a client with a long past only the newest part is "
        "kept here; the journal has all of it."
    )
    DEFAULT_CSS = """
    ClientScreen { layout: vertical; }
    ClientScreen > #facts { border: round $panel-lighten-2; border-title-color: $text-muted; padding: 0 1; }
    ClientScreen > LineTable { padding: 0 1; }
    ClientScreen > #detail { height: 3; border-top: solid $panel-lighten-2; padding: 0 1; color: $text-muted; }
    ClientScreen.-low > #facts { max-height: 4; }
    ClientScreen.-low > #detail { display: none; }
    """
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "leave", "Back", id="client-back"),
        Binding("left_square_bracket", "step(-1)", "Previous", id="client-previous"),
        Binding("right_square_bracket", "step(1)", "Next", id="client-next"),
        *(Binding(str(number), f"tab({number})", f"Table {number}", show=False, id=f"client-tab-{number}") for number in range(1, 5)),
        Binding("tab", "turn(1)", "Next table", show=False, id="client-next-table"),
        Binding("shift+tab", "turn(-1)", "Previous table", show=False, id="client-previous-table"),
        Binding("n", "drive('snapshot')", "Snapshot now", id="client-snapshot"),
        Binding("x", "drive('remove-client')", "Remove client", id="client-remove"),
        Binding("y", "copy_id", "Copy id", id="client-copy-id"),
        Binding("d", "copy_directory", "Copy directory", show=False, id="client-copy-directory"),
        Binding("o", "shell", "Shell in it", show=False, id="client-shell"),
    ]

    def __init__(self, run: RunSource, client: str) -> None:
        super().__init__()
        self.run, self.client = run, client
        self._facts, self._bar, self._detail = Sheet(id="facts"), PaneBar(), Static("", id="detail", markup=False)
        self._timeline: LineTable[Step] = LineTable(TIMELINE, key=_step, empty="It has done nothing yet.", id="timeline")
        self._snapshots: LineTable[SnapshotView] = LineTable(SNAPSHOTS, key=lambda row: row.id, empty="It has made none.", id="snapshots")
        self._errors: LineTable[Step] = LineTable(ERRORS, key=_step, empty="Nothing went wrong so far.", id="errors")
        self._actions: LineTable[ActionRow] = LineTable(ACTIONS, key=lambda row: row.action, empty="It has done nothing yet.", id="actions")
        self._tables: dict[str, LineTable[Any]] = {
            "Timeline": self._timeline,
            "Snapshots": self._snapshots,
            "Errors": self._errors,
            "Actions": self._actions,
        }
        self._current = "Timeline"
        self._moment = Moment()
        self._row: ClientRow | None = None
        self._told = ""
        self._ages: Ages[TimelineRow] = Ages(step_key, began_ns)

    def compose(self) -> ComposeResult:
        yield self._facts
        yield self._bar
        for table in self._tables.values():
            table.display = table is self._timeline
            yield table
        yield self._detail
        yield footer()

    def on_mount(self) -> None:
        self._timeline.focus()
        self.show(self.run.moment())

    def on_resize(self) -> None:
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run that is over takes no commands, so no key offers them."""
        return self.run.moment().live if action == "drive" else True

    def show(self, moment: Moment) -> None:
        """Show the client at this moment."""
        if moment is not self._moment:
            self._moment = moment
            self._show()

    def _show(self) -> None:
        moment = self._moment
        view = moment.view
        self._row = next((row for row in view.clients if row.id == self.client), None)
        self._facts.border_title = Content(plain(self._row.name if self._row else self.client))
        self._facts.border_subtitle = _place(view, self.client)
        if self._row is None:
            self._facts.show([[("This client is not there at this moment of the run.", Tone.FAINT)]])
        else:
            self._facts.show(facts(self._row, moment.now_ns, self.size.width - _FRAME_CELLS))
        steps = self._ages.at(self.run.timeline(self.client), moment.now_ns)
        self._timeline.show(steps)
        self._errors.show([step for step in steps if is_error(step.row)])
        self._actions.show(view.client_actions.get(self.client, ()))
        if self._current == "Snapshots":
            self._snapshots.show(self._known_snapshots())
        self._tell()

    def _known_snapshots(self) -> Sequence[SnapshotView]:
        """The source makes them anew each time; those that are equal stay the same objects, so that they are not painted again."""
        before = {row.id: row for row in self._snapshots.shown}
        return [before[row.id] if before.get(row.id) == row else row for row in self.run.snapshots(self.client)]

    def _tell(self) -> None:
        wrong = self._errors.total
        marks: dict[str, Cell] = {
            "Snapshots": str(self._row.snapshots_live) if self._row and self._row.snapshots_live else "",
            "Errors": (str(wrong), Tone.BAD) if wrong else "",
        }
        self._bar.show([Tab(name, name, marks.get(name, "")) for name in self._tables], self._current, ())
        told = _in_full(self._table.selected)
        if told != self._told:
            self._told = told
            self._detail.update(Content(told), layout=False)

    @property
    def _table(self) -> LineTable[Any]:
        return self._tables[self._current]

    # Keys

    def action_leave(self) -> None:
        self.dismiss()

    def action_step(self, by: int) -> None:
        """To another client, by index; at either end it goes on at the other."""
        ids = [row.id for row in self._moment.view.clients]
        if ids:
            at = ids.index(self.client) + by if self.client in ids else 0
            self.client = ids[at % len(ids)]
            for table in self._tables.values():
                table.show(())
            self._show()

    def action_tab(self, number: int) -> None:
        self._bring([*self._tables][number - 1])

    def action_turn(self, by: int) -> None:
        names = [*self._tables]
        self._bring(names[(names.index(self._current) + by) % len(names)])

    @on(PaneBar.Picked)
    def _picked(self, event: PaneBar.Picked) -> None:
        self._bring(event.name)

    def _bring(self, name: str) -> None:
        self._current = name
        for each, table in self._tables.items():
            table.display = each == name
        self._table.focus()
        self._show()

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()
        self._tell()

    @on(LineTable.Chosen)
    def _chosen(self, event: LineTable.Chosen) -> None:
        event.stop()
        self.post_message(CopyText(_in_full(event.row), "the selected line in full"))

    def action_drive(self, command: str) -> None:
        self.post_message(Drive(command, self.client))

    def action_copy_id(self) -> None:
        self.post_message(CopyText(self.client, "the client's id"))

    def action_copy_directory(self) -> None:
        if self._row is not None and self._row.data_directory:
            self.post_message(CopyText(self._row.data_directory, "its data directory"))

    def action_shell(self) -> None:
        if self._row is not None and self._row.data_directory:
            self.post_message(OpenShell(Path(self._row.data_directory)))

    def export(self) -> Exported:
        """The table in front."""
        return self._table.export(f"{self._row.name if self._row else self.client}-{self._current.lower()}")


def _step(step: Step) -> str:
    return step_key(step.row)


def _place(view: RunView, client: str) -> str:
    """Which of how many it is."""
    ids: Sequence[str] = [row.id for row in view.clients]
    return f"{ids.index(client) + 1:,} of {len(ids):,}" if client in ids else ""


def _in_full(row: object) -> str:
    """All that is known of a row, for where a column is too narrow."""
    if isinstance(row, SnapshotView):
        told = [f"snapshot {row.id}", f"operation {row.op}" if row.op else "", f"fingerprint {row.root}" if row.root else ""]
    elif isinstance(row, ActionRow):
        told = [row.action, all_causes(row)]
    elif isinstance(row, tuple) and isinstance(row[0], TimelineRow):
        step = row[0]
        named = (("operation", step.op), ("snapshot", step.snapshot))
        told = [step.action, *(f"{what} {name}" for what, name in named if name), step.cause, step.message]
    else:
        told = []
    return plain("  ".join(part for part in told if part))
