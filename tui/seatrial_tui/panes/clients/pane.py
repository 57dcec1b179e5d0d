"""All clients: what each does, how far it is, how it went so far."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from seatrial.history.view import ClientRow
from seatrial.report.prose import plural
from seatrial_tui.lines.ages import Aged, Ages
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, Drive, OpenClient
from seatrial_tui.panes.clients.columns import COLUMNS, since_ns
from seatrial_tui.panes.clients.following import Following
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.source.moment import Moment, RunSource

_ALWAYS_TOLD = ("running", "queued", "idle")
_TOLD_IF_ANY = ("paused", "joining", "leaving", "gone")


_STEERING = frozenset({"snapshot", "add", "remove"})


class ClientsPane(Pane):
    """One line for each client. Threading: the screen's thread only."""

    NAME = "clients"
    TITLE = "Clients"
    HELP = (
        "One line for each client. state: ▶ works (how far, how long), … waits for its turn at the gate (how long), · idle, ‖ paused, "
        "■ gone.\n"
        "last: how its last action went. ✓ ok: it happened. ✗ failed: it certainly did not happen. ? unknown: it may have happened. "
        "○ no-op: there was nothing to act on. ✗ mismatch: it happened, and what came back is wrong.\n"
        "p95: 95 of 100 of its actions took no longer. snapshots: those of it that are live now. moved: bytes read, written or restored. "
        "findings: defects that it saw, or that struck a snapshot it made.\n"
        "Follow puts the selection where something went wrong last (failure, unknown outcome, finding) and keeps it there for a while; "
        "as long as all is well, where an action returned last. Moving the selection by hand ends it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "snapshot", "Snapshot now", id="clients-snapshot"),
        Binding("f", "follow", "Follow", id="clients-follow"),
        Binding("a", "add", "Add client", id="clients-add"),
        Binding("x", "remove", "Remove client", id="clients-remove"),
        Binding("y", "copy", "Copy its id", show=False, id="clients-copy"),
    ]

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._table: LineTable[Aged[ClientRow]] = LineTable(COLUMNS, key=lambda line: line.row.id, empty="No client has joined yet.")
        self._ages: Ages[ClientRow] = Ages(lambda row: row.id, since_ns)
        self._moment = Moment()
        self._following: Following | None = None
        self._followed = ""

    def compose(self) -> ComposeResult:
        yield self._table

    @property
    def following(self) -> bool:
        """The selection goes where things happen."""
        return self._following is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run that is over takes no commands, so no key offers them."""
        return self.run.moment().live if action in _STEERING else True

    def show(self, moment: Moment) -> None:
        before, self._moment = self._moment, moment
        if moment is before:
            return
        clients = moment.view.clients
        self._table.show(self._ages.at(clients, moment.now_ns))
        if self._following is not None:
            client = self._following.next(clients, moment.now_ns)
            if client is not None:
                self._followed = client
                self._table.select(client)
        if clients is not before.view.clients:
            self._tell()

    def _tell(self) -> None:
        subtitle = summary(self._moment.view.clients)
        self.border_subtitle = f"following, {subtitle}" if self.following else subtitle

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        event.stop()
        self.post_message(OpenClient(event.key))

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()
        if self.following and event.key != self._followed:
            self._stop_following()

    def _stop_following(self) -> None:
        self._following = None
        self._tell()

    def action_follow(self) -> None:
        if self.following:
            self._stop_following()
        else:
            self._following = Following(self._moment.view.clients)
            selected = self._table.selected
            self._followed = selected.row.id if selected else ""
            self._tell()

    def action_snapshot(self) -> None:
        self._drive_selected("snapshot")

    def action_remove(self) -> None:
        self._drive_selected("remove-client")

    def action_add(self) -> None:
        self.post_message(Drive("add-client"))

    def action_copy(self) -> None:
        line = self._table.selected
        if line is not None:
            self.post_message(CopyText(line.row.id, f"id of {line.row.name}"))

    def _drive_selected(self, command: str) -> None:
        line = self._table.selected
        if line is None:
            self.app.bell()
        else:
            self.post_message(Drive(command, line.row.id))

    def export(self) -> Exported:
        """What is shown, and why the last action of each did not go well."""
        shown = self._table.export(self.NAME)
        rows = [[*row, line.row.last_cause] for row, line in zip(shown.rows, self._table.shown, strict=True)]
        return Exported(name=shown.name, columns=[*shown.columns, "last_cause"], rows=rows)


def summary(clients: tuple[ClientRow, ...]) -> str:
    """How many there are of each kind."""
    if not clients:
        return ""
    count: Counter[str] = Counter(row.state for row in clients)
    told = [f"{count[state]:,} {state}" for state in _ALWAYS_TOLD]
    told += [f"{count[state]:,} {state}" for state in _TOLD_IF_ANY if count[state]]
    return f"{plural(len(clients), 'client')}: {', '.join(told)}"
