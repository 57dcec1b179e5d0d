"""The pane of the run itself: a strip of three lines, or eight lines where there is room."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.reactive import reactive

from seatrial.report.prose import duration, plural
from seatrial_tui.lines.plot import Plot, binary_ceiling
from seatrial_tui.lines.sheet import GAP, Line, Sheet, fit, length, packed, spread
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.panes.pane import Pane
from seatrial_tui.panes.run import facts
from seatrial_tui.source.moment import Moment, RunSource

_LABEL = 11
_BESIDE_COLUMNS = 110
"""From here on the plots stand beside the facts, three lines high each."""
_NOW = 13


class RunPane(Pane):
    """Shows the run as a whole. Threading: the application's."""

    NAME = "run"
    TITLE = "Run"
    HELP = """\
What is run, where it stands, and what has come out so far.

Phases: ✓ done, ▶ under way, ■ cut short. The verdict is the worst of all findings; until the run has ended it is "so far".
"Paused" means the run: actions under way end, no other begins. "Unknown" is what may or may not have happened: it is settled by
a later listing. A seed repeats the plan, not the interleaving.

Plots: one column a second or more, new on the right; ↑ is the top of the scale, ← the time that is shown, a blank a gap in what
was told, the lowest bar zero."""

    DEFAULT_CSS = """
    RunPane { height: auto; }
    RunPane.-compact { border: none; padding: 0 1; }
    RunPane.-paused { border: heavy $warning; border-title-color: $text-warning; }
    RunPane.-paused.-compact { border: none; }
    """

    compact: reactive[bool] = reactive(False)
    """Three lines without a border, for small terminals."""

    def __init__(self, run: RunSource) -> None:
        super().__init__(run)
        self._moment = Moment()
        self._sheet = Sheet()
        self._actions = Plot(lambda sample: sample.actions_per_minute, facts.actions_rate)
        self._bytes = Plot(lambda sample: sample.bytes_per_second, facts.bytes_rate, binary_ceiling)

    def compose(self) -> ComposeResult:
        yield self._sheet

    def show(self, moment: Moment) -> None:
        if moment is self._moment:
            return
        self._moment = moment
        self.set_class(moment.view.paused, "-paused")
        self.border_subtitle = "PAUSED" if moment.view.paused else ""
        self._paint()

    def watch_compact(self, compact: bool) -> None:
        self.set_class(compact, "-compact")
        self._paint()

    def on_resize(self, _event: events.Resize) -> None:
        self._paint()

    def _paint(self) -> None:
        width = self.content_size.width
        if width > 0:
            paint = self._strip if self.compact else self._beside if width >= _BESIDE_COLUMNS else self._stacked
            self._sheet.show(paint(width))

    def _strip(self, width: int) -> list[Line]:
        """Three lines; most phases give up their names where there is no room for all."""
        shown, view = self._moment, self._moment.view
        verdict, took = facts.verdict(shown), duration(facts.elapsed_s(shown))
        room = width - length([verdict]) - len(GAP)
        subject = facts.subject(view)
        crumbs = facts.breadcrumb(view, " ")
        crumbs = crumbs if length([subject, *crumbs]) + len(GAP) <= room else facts.marks(view)
        head = packed([(0, [subject]), (1, crumbs)], room)
        where: Line = [took, GAP, *packed(facts.identity(shown)[:2], max(0, width // 3))] if view.header.run_id else []
        tail: list[tuple[int, Line]] = [
            *facts.at_work(view)[:1],
            (1, [plural(view.snapshots.live, "snapshot")]),
            (0, [facts.findings(view)]),
        ]
        rest = packed(tail, max(0, width - 40))
        return [
            spread(head, [verdict], width),
            spread(facts.progress(shown, width - length(where) - len(GAP)), where, width),
            spread(self._rates_in(width - length(rest) - len(GAP)), rest, width),
        ]

    def _rates_in(self, width: int) -> Line:
        """Both rates, each with as much of a plot as there is room for."""
        room = (width - len(GAP)) // 2
        line: list[Cell] = []
        for plot, _, now in self._histories():
            line += [f"{now:>10} ", *plot.cells(self._moment.samples, max(0, room - 13))[0], GAP]
        return fit(line, width)

    def _histories(self) -> list[tuple[Plot, str, str]]:
        """Plot, name, and how it is now."""
        rates = self._moment.view.rates
        return [
            (self._actions, "actions", facts.actions_rate(rates.actions_per_minute)),
            (self._bytes, "bytes", facts.bytes_rate(rates.bytes_per_second)),
        ]

    def _stacked(self, width: int) -> list[Line]:
        room = width - _LABEL - 12
        return [
            *self._head(width),
            self._phases(width),
            fit(facts.progress(self._moment, width), width),
            *(
                [(f"{name:<{_LABEL}}", Tone.FAINT), f"{now:>11} ", *plot.cells(self._moment.samples, room)[0]]
                for plot, name, now in self._histories()
            ),
            *self._counts(width),
        ]

    def _beside(self, width: int) -> list[Line]:
        left = max(62, width // 2)
        room = width - left - len(GAP) - _NOW
        plots: list[Line] = []
        for plot, name, now in self._histories():
            said: list[Cell] = [(f"{name:<{_NOW}}", Tone.FAINT), f"{now:<{_NOW}}", " " * _NOW]
            plots += [[cell, *row] for cell, row in zip(said, plot.cells(self._moment.samples, room, len(said)), strict=True)]
        told = [self._phases(left), facts.progress(self._moment, left), [], *self._counts(left)]
        return [*self._head(width), *([*spread(line, [], left), GAP, *row] for line, row in zip(told, plots, strict=True))]

    def _head(self, width: int) -> list[Line]:
        shown = self._moment
        return [
            spread([facts.subject(shown.view), GAP, (shown.view.header.description, Tone.FAINT)], [facts.verdict(shown)], width),
            packed(facts.identity(shown), width),
        ]

    def _phases(self, width: int) -> Line:
        took: Line = [("elapsed ", Tone.FAINT), duration(facts.elapsed_s(self._moment))] if self._moment.view.seq else []
        crumbs = facts.breadcrumb(self._moment.view)
        if length(crumbs) + length(took) + len(GAP) > width:
            crumbs = facts.breadcrumb(self._moment.view, " ")
        return spread(crumbs, took, width)

    def _counts(self, width: int) -> list[Line]:
        view = self._moment.view
        room = width - _LABEL
        return [
            [(f"{'at work':<{_LABEL}}", Tone.FAINT), *packed(facts.at_work(view), room)],
            [(f"{'snapshots':<{_LABEL}}", Tone.FAINT), *packed(facts.snapshots(view), room)],
            [(f"{'findings':<{_LABEL}}", Tone.FAINT), *packed([(0, [facts.findings(view)]), *facts.doubts(view)], room)],
        ]
