"""The pane of the caches: a table, and below it what the selected one is made of."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from seatrial.history.view import RunView
from seatrial.report.prose import plain, plural, size
from seatrial_tui.lines.growth import Growth
from seatrial_tui.lines.plot import Plot, binary_ceiling
from seatrial_tui.lines.sheet import Line, Sheet, fit, meter, packed
from seatrial_tui.lines.table import LineTable
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.messages import CopyText, OpenShell
from seatrial_tui.panes.cache.rows import COLUMNS, CacheRow, CacheRows
from seatrial_tui.panes.pane import Exported, Pane
from seatrial_tui.source.moment import Moment, RunSource

_SUBDIRECTORIES = 5
"""The greatest; the others are added up."""
_LEAST_TABLE_LINES = 4
_LABEL = 12


class CachePane(Pane):
    """Shows the caches. Threading: the application's."""

    NAME = "cache"
    TITLE = "Cache"
    HELP = """\
The caches of the clients, and of the server where it has one: how big, how full, how they grow.

"Since start" counts from the first size that was told in this run, "per minute" is over the last minute. Sub-directories are
those that the target reports; a target that reports no caches is no fault. A cold cache before the verification is meant."""

    DEFAULT_CSS = """
    CachePane LineTable { height: 1fr; }
    CachePane #cache-detail { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_path", "Copy path", id="cache-copy"),
        Binding("o", "open_shell", "Shell there", id="cache-shell"),
    ]

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._moment = Moment()
        self._told: RunView | None = None
        self._rows, self._growth = CacheRows(), Growth(lambda sample, path: sample.caches.get(path, -1))
        self._note, self._detail = Sheet(), Sheet(id="cache-detail")
        self._table = LineTable(COLUMNS, key=lambda row: row.key)
        self._plots: tuple[str, Plot] = ("", self._plot_of(""))

    def compose(self) -> ComposeResult:
        yield self._note
        yield self._table
        yield self._detail

    def show(self, moment: Moment) -> None:
        self._moment = moment
        view, told = moment.view, self._told
        sampled = self._growth.look(moment.samples)
        if sampled or told is None or view.frame is not told.frame or view.clients is not told.clients:
            self._told = view
            self._show_rows(view)
        self._show_detail()

    def on_resize(self, _event: events.Resize) -> None:
        self._show_detail()

    @on(LineTable.Moved)
    def _moved(self) -> None:
        self._show_detail()

    def export(self) -> Exported:
        """The caches, as they are sorted and filtered."""
        return self._table.export(self.NAME)

    def action_copy_path(self) -> None:
        """Put the selected cache's path on the clipboard."""
        row = self._table.selected
        if row is not None:
            self.post_message(CopyText(row.cache.path, "path of a cache"))

    def action_open_shell(self) -> None:
        """Open a shell in the selected cache."""
        row = self._table.selected
        if row is not None:
            self.post_message(OpenShell(Path(row.cache.path)))

    def _show_rows(self, view: RunView) -> None:
        caches = view.frame.caches if view.frame else []
        self._table.show(self._rows.make(caches, {client.id: client.name for client in view.clients}, self._growth))
        total = sum(cache.size_bytes for cache in caches)
        self.border_subtitle = f"{plural(len(caches), 'cache')}, {size(total)}" if caches else ""
        empty = "no telemetry yet" if view.frame is None else "" if caches else "no caches now: none is open, or this target reports none"
        self._note.show([[(empty, Tone.FAINT)]] if empty else [])

    def _show_detail(self) -> None:
        width, height = self.content_size
        row = self._table.selected
        lines = self._about(row, width) if row is not None and width > 0 else []
        room = height - _LEAST_TABLE_LINES - 1
        self._detail.display = bool(lines) and room > 1
        self._detail.show(lines[: max(0, room)])

    def _about(self, row: CacheRow, width: int) -> list[Line]:
        cache = row.cache
        told = [f"{size(cache.size_bytes)} in {plural(cache.files, 'file')}"]
        limit = f"of {size(cache.limit_bytes)}" if cache.limit_bytes else "no limit"
        head = packed([(0, [(plain(row.name), Tone.HEAD)]), (0, told), (1, [(limit, Tone.FAINT)])], width)
        return [
            head,
            fit([(cache.path, Tone.FAINT)], width),
            [(f"{'growth':<{_LABEL}}", Tone.FAINT), *self._plot(cache.path).cells(self._moment.samples, max(0, width - _LABEL))[0]],
            *self._parts(row, width),
        ]

    def _plot(self, path: str) -> Plot:
        if self._plots[0] != path:
            self._plots = path, self._plot_of(path)
        return self._plots[1]

    @staticmethod
    def _plot_of(path: str) -> Plot:
        return Plot(lambda sample: sample.caches.get(path), size, binary_ceiling)

    @staticmethod
    def _parts(row: CacheRow, width: int) -> list[Line]:
        """The sub-directories, the greatest first, as shares of the whole."""
        ordered = sorted(row.cache.subdirectories.items(), key=lambda item: (-item[1], item[0]))
        if not ordered:
            return [[("no sub-directories told by this target", Tone.FAINT)]]
        whole, bar = max(1, row.cache.size_bytes), max(0, min(40, width - _LABEL - 20))
        shown, others = ordered[:_SUBDIRECTORIES], ordered[_SUBDIRECTORIES:]
        if others:
            shown.append((f"{len(others)} more", sum(amount for _, amount in others)))
        lines: list[Line] = []
        for name, amount in shown:
            share = amount / whole
            label: Cell = (f"{plain(name)[: _LABEL - 1]:<{_LABEL}}", Tone.FAINT)
            lines.append([label, f"{size(amount):>10}  ", (meter(share, bar), Tone.ACCENT), f" {share:4.0%}"])
        return [fit(line, width) for line in lines]
