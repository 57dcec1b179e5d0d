"""The pane of the directories worth logging."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from seatrial.report.prose import duration, plural
from seatrial_tui.lines.growth import Growth
from seatrial_tui.lines.sheet import Line, Sheet, fit, packed
from seatrial_tui.lines.table import LineTable
from seatrial_tui.lines.tones import Tone
from seatrial_tui.messages import CopyText, OpenShell
from seatrial_tui.panes.directories.rows import COLUMNS, UNREADABLE, DirectoryRow, DirectoryRows, change_name, size_of
from seatrial_tui.panes.directories.watcher import Seen, Watcher
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.source.moment import Moment, RunSource, Sample

_LEAST_TABLE_LINES = 5
_LOOK_S = 0.5


class DirectoriesPane(Pane):
    """Shows the directories. Threading: the application's; a thread of its own watches them while the pane can be seen."""

    NAME = "directories"
    TITLE = "Directories"
    HELP = """\
The directories worth logging: the repository under test, what seatrial knows of it, where the clients work, the caches.

Sizes are of regular files, measured at a small share of a core: a big tree is some seconds behind. "Since start" is against the
size before the run, "per minute" over the last minute. "Unreadable" is also what does not exist yet.
"Just changed" is told by the operating system for a directory itself and what lies directly in it, not for what is deeper; it is
watched only while the run goes on and this pane is seen."""

    DEFAULT_CSS = """
    DirectoriesPane LineTable { height: 1fr; }
    DirectoriesPane #directory-detail { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open_shell", "Shell there", id="directories-shell"),
        Binding("y", "copy_path", "Copy path", id="directories-copy"),
    ]

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._moment = Moment()
        self._rows, self._growth, self._watcher = DirectoryRows(), Growth(_size_of), Watcher()
        self._told: tuple[object, ...] = (None,) * 5
        self._second = -1
        self._note, self._detail = Sheet(), Sheet(id="directory-detail")
        self._table = LineTable(COLUMNS, key=lambda row: row.path)

    def compose(self) -> ComposeResult:
        yield self._note
        yield self._table
        yield self._detail

    def on_mount(self) -> None:
        self.set_interval(_LOOK_S, self._look)

    def on_unmount(self) -> None:
        self._watcher.close()

    def on_resize(self, _event: events.Resize) -> None:
        self._show_detail()

    def show(self, moment: Moment) -> None:
        self._moment = moment
        sampled, seen, view = self._growth.look(moment.samples), self._watcher.seen, moment.view
        told = (view.frame, view.storage_before, view.storage_after, view.clients, seen)
        second = moment.now_ns // 1_000_000_000 if seen.changes else 0  # how long ago a change was is told by the second
        if sampled or second != self._second or any(new is not old for new, old in zip(told, self._told, strict=True)):
            self._told, self._second = told, second
            self._show_rows(moment, seen)
        self._show_detail()

    def _show_rows(self, moment: Moment, seen: Seen) -> None:
        rows = self._rows.make(moment.view, self._growth, seen, moment.now_ns)
        self._watcher.watch([row.path for row in rows], changes=moment.live)
        self._table.show(rows)
        self.border_subtitle = plural(len(rows), "directory", "directories") if rows else ""
        empty = "" if rows else "no telemetry yet" if moment.view.frame is None else "no directories told"
        note = empty or seen.problem
        self._note.show([[(note, Tone.WARN if seen.problem else Tone.FAINT)]] if note else [])

    @on(LineTable.Moved)
    def _moved(self) -> None:
        self._show_detail()

    def export(self) -> Exported:
        """The directories, as they are sorted and filtered."""
        return self._table.export(self.NAME)

    def action_open_shell(self) -> None:
        """Open a shell in the selected directory."""
        row = self._table.selected
        if row is not None:
            self.post_message(OpenShell(Path(row.path)))

    def action_copy_path(self) -> None:
        """Put the selected directory's path on the clipboard."""
        row = self._table.selected
        if row is not None:
            self.post_message(CopyText(row.path, "path of a directory"))

    def _look(self) -> None:
        """What has been seen is shown also where the moment stands still; nobody watches for a pane that nobody sees."""
        if self.is_on_screen and self.screen.is_current:
            self._watcher.start()
            self.show(self._moment)
        else:
            self._watcher.stop()

    def _show_detail(self) -> None:
        width, height = self.content_size
        row = self._table.selected
        room = height - _LEAST_TABLE_LINES - 1
        lines = self._about(row, width) if row is not None and width > 0 else []
        self._detail.display = bool(lines) and room >= len(lines)
        self._detail.show(lines)

    def _about(self, row: DirectoryRow, width: int) -> list[Line]:
        """All of the path, and what the table has no room for."""
        told: list[tuple[int, Line]] = [(0, [size_of(row)]), (2, [(row.told, Tone.FAINT)])]
        if not row.here:
            told.append((1, [("not there now", Tone.WARN)]))
        elif row.change is not None:
            told.append((1, [f"{change_name(row.change)}, {duration(row.change_ago_s)} ago"]))
        elif self._moment.live:
            told.append((1, [("no change seen yet", Tone.FAINT)]))
        return [fit([row.path], width), packed(told, width)]


def _size_of(sample: Sample, path: str) -> int:
    size_bytes = sample.directories.get(path)
    return sample.caches.get(path, UNREADABLE) if size_bytes is None else size_bytes
