"""The dashboard of one run: its panes, side by side where there is room, one at a time where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from seatrial.verdicts import Verdict
from seatrial_tui.bar import PaneBar, Tab
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.panes.cache.pane import CachePane
from seatrial_tui.panes.clients.pane import ClientsPane
from seatrial_tui.panes.cluster.pane import ClusterPane
from seatrial_tui.panes.directories.pane import DirectoriesPane
from seatrial_tui.panes.findings.pane import FindingsPane
from seatrial_tui.panes.pane import Pane
from seatrial_tui.panes.run.pane import RunPane
from seatrial_tui.panes.server.pane import ServerPane
from seatrial_tui.panes.server_log.pane import ServerLogPane
from seatrial_tui.panes.statistics.pane import StatisticsPane
from seatrial_tui.screens.keys import KeysFirst, footer
from seatrial_tui.slider import Span, TimeSlider
from seatrial_tui.source.moment import Moment
from seatrial_tui.source.reader import RunReader

WIDE_COLUMNS = 120
MIN_SPEED, MAX_SPEED = 0.125, 64.0
"""Seconds of the run in one."""
TALL_LINES = 32
"""From here on the run has more than its strip."""
LEFT: tuple[type[Pane], ...] = (ClientsPane, ServerLogPane)
RIGHT: tuple[type[Pane], ...] = (FindingsPane, ServerPane, StatisticsPane, CachePane, DirectoriesPane, ClusterPane)
ALL: tuple[type[Pane], ...] = (RunPane, *LEFT, *RIGHT)
SHARED = (StatisticsPane.NAME, CachePane.NAME, DirectoriesPane.NAME, ClusterPane.NAME)
"""One of these at a time, the last that was asked for."""
SHORT = {ServerLogPane.NAME: "Log", StatisticsPane.NAME: "Stats", DirectoriesPane.NAME: "Dirs"}
"""Titles on a narrow screen, where others than usual."""
_TONES = {Verdict.PASS: Tone.GOOD, Verdict.INCONCLUSIVE: Tone.WARN, Verdict.FAIL: Tone.BAD}


class RunScreen(KeysFirst[None]):
    """Threading: the application's. The application calls ``show`` a few times a second."""

    DEFAULT_CSS = """
    RunScreen { layout: vertical; }
    RunScreen #columns { height: 1fr; }
    RunScreen #left { width: 3fr; }
    RunScreen #right { width: 2fr; }
    RunScreen Pane { height: 1fr; }
    RunScreen #run { height: auto; }
    RunScreen.narrow #left, RunScreen.narrow #right { width: 1fr; }
    """
    ALLOW_IN_MAXIMIZED_VIEW = "TimeSlider, KeyLine"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"pane({number})", f"To {pane.TITLE.lower()}", show=False, id=f"pane-{number}")
            for number, pane in enumerate(LEFT + RIGHT, 1)
        ),
        Binding("z", "maximise", "Maximise", show=False, id="maximise"),
        Binding("space", "hold", "Hold/play", id="hold"),
        Binding("comma", "step(-5)", "5 s back", show=False, id="back"),
        Binding("full_stop", "step(5)", "5 s on", show=False, id="on"),
        Binding("less_than_sign", "step(-60)", "1 min back", show=False, id="far-back"),
        Binding("greater_than_sign", "step(60)", "1 min on", show=False, id="far-on"),
        Binding("left_square_bracket", "finding(-1)", "Previous finding", show=False, id="previous-finding"),
        Binding("right_square_bracket", "finding(1)", "Next finding", show=False, id="next-finding"),
        Binding("plus", "speed(2)", "Play faster", show=False, id="faster"),
        Binding("minus", "speed(0.5)", "Play slower", show=False, id="slower"),
    ]

    def __init__(self, run: RunReader) -> None:
        super().__init__()
        self.run = run
        self._panes: dict[str, Pane] = {pane.NAME: pane(run) for pane in ALL}
        self._order = [pane.NAME for pane in (*LEFT, *RIGHT)]
        self._current, self._shared = ClientsPane.NAME, SHARED[0]
        self._bar = PaneBar()
        self._slider = TimeSlider()
        self._moment = Moment()
        self._speed = 1.0

    def compose(self) -> ComposeResult:
        yield self._panes[RunPane.NAME]
        yield self._bar
        with Horizontal(id="columns"):
            yield Vertical(*(self._panes[pane.NAME] for pane in LEFT), id="left")
            yield Vertical(*(self._panes[pane.NAME] for pane in RIGHT), id="right")
        yield self._slider
        yield footer()

    def on_mount(self) -> None:
        self._arrange()
        self._focus_current()

    def on_resize(self, _event: events.Resize) -> None:
        self._arrange()

    # -- what is shown

    @property
    def pane(self) -> Pane:
        """The one in front."""
        return self._panes[self._current]

    def show(self, moment: Moment) -> None:
        """Show this moment."""
        if moment is not self._moment:
            self._moment = moment
            self._show_panes()
            self._show_bar()
        self._show_slider()

    def _show_panes(self) -> None:
        for pane in self._panes.values():
            if pane.display and (pane.parent is None or pane.parent.display):
                pane.show(self._moment)

    def _show_bar(self) -> None:
        there = [name for name in self._order if self._there(name)]
        tabs = [Tab(name, str(self._panes[name].TITLE), self._mark(name), SHORT.get(name, "")) for name in there]
        self._bar.show(tabs, self._current, self._status())

    def _there(self, name: str) -> bool:
        """Only a server that keeps its blobs on nodes has a cluster to show."""
        return name != ClusterPane.NAME or bool(self._moment.view.cluster)

    def _show_slider(self) -> None:
        """There for whatever does not simply follow the run."""
        run, moment = self.run, self._moment
        self._slider.display = bool(moment.end_ns) and not (moment.live and run.following)
        if self._slider.display:
            speed = self._speed if run.playing else 0.0
            self._slider.show(Span(run.begin_ns, run.end_ns, run.position_ns, speed, run.finding_times))

    def _mark(self, name: str) -> Cell:
        view = self._moment.view
        if name == FindingsPane.NAME and view.findings_total:
            return str(view.findings_total), _TONES[view.verdict]
        return str(len(view.clients)) if name == ClientsPane.NAME and view.clients else ""

    def _status(self) -> Sequence[Cell]:
        """How the run and the screen stand."""
        moment, view = self._moment, self._moment.view
        if moment.problem:
            return [(moment.problem, Tone.BAD)]
        said: list[Cell] = []
        if moment.reading:
            said.append(("reading the journal", Tone.FAINT))
        if moment.live and not self.run.following:
            said.append(("SCREEN HELD, space: back to now", Tone.ACCENT))
        if view.end is not None:
            said.append((f"■ ended: {view.end.event.verdict.name}", _TONES[view.verdict]))
        elif view.paused:
            said.append(("‖ RUN PAUSED", Tone.WARN))
        elif moment.live:
            said.append(("● live", Tone.GOOD))
        elif view.seq and self.run.following:
            said.append(("■ broke off", Tone.BAD))
        elif not view.seq:
            said.append(("waiting for the engine", Tone.FAINT))
        return said

    # -- which panes

    @property
    def _wide(self) -> bool:
        return self.size.width >= WIDE_COLUMNS

    def _arrange(self) -> None:
        wide = self._wide
        self.set_class(not wide, "narrow")
        run = self._panes[RunPane.NAME]
        if isinstance(run, RunPane):
            run.compact = not (wide and self.size.height >= TALL_LINES)
        for name in self._order:
            self._panes[name].display = (name not in SHARED or name == self._shared) if wide else name == self._current
        for column, panes in (("#left", LEFT), ("#right", RIGHT)):
            self.query_one(column).display = wide or self._current in {pane.NAME for pane in panes}
        self._show_panes()
        self._show_bar()

    def bring(self, name: str) -> None:
        """Bring a pane to the front and give it the keys."""
        if self.maximized is not None and self.maximized is not self._panes[name]:
            self.minimize()
        self._current = name
        if name in SHARED:
            self._shared = name
        self._arrange()
        self._focus_current()

    def _focus_current(self) -> None:
        pane = self.pane
        for widget in (pane, *pane.query("*")):
            if widget.focusable and all(each.display for each in widget.ancestors_with_self if isinstance(each, Widget)):
                widget.focus()
                return

    def _update_focus_styles(self, focused: Widget | None = None, blurred: Widget | None = None) -> None:
        """Textual looks anew for the styles of all that is in the pane that gets the keys and in the one that has lost them. Ours depend
        on it in nothing but the border; a widget that has the keys itself is told by Textual and sees to itself.
        """
        panes = {each for widget in (focused, blurred) if widget is not None for each in widget.ancestors if isinstance(each, Pane)}
        with ExitStack() as edges:
            for pane in panes:
                edges.enter_context(pane.only_its_edges())
            self.app.stylesheet.update_nodes(panes, animate=True)

    @on(PaneBar.Picked)
    def _picked(self, event: PaneBar.Picked) -> None:
        self.bring(event.name)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A click into a pane brings it to the front as well."""
        for widget in event.widget.ancestors_with_self:
            if isinstance(widget, Pane) and widget.NAME in self._order:
                self._current = widget.NAME
                self._show_bar()
                return

    # -- keys

    def action_pane(self, number: int) -> None:
        name = self._order[number - 1]
        if self._there(name):
            self.bring(name)
        else:
            self.notify("this run's server has no nodes", timeout=2, markup=False)

    def action_maximise(self) -> None:
        if self.maximized is not None:
            self.minimize()
        else:
            self.maximize(self.pane)

    def action_hold(self) -> None:
        """Live: the screen stands still, or comes back to now. Else: play, or stand still."""
        if self.run.playing:
            self.run.pause()
        elif not self._moment.live:
            self.run.play(self._speed)
        elif self.run.following:
            self.run.pause()
        else:
            self.run.follow()
        self._show_slider()
        self._show_bar()

    def action_step(self, seconds: int) -> None:
        self.run.seek(self.run.position_ns + seconds * 1_000_000_000)

    def action_finding(self, direction: int) -> None:
        if not self.run.step_finding(forward=direction > 0):
            self.notify("no further finding in this direction", timeout=2, markup=False)

    def action_speed(self, factor: float) -> None:
        self._speed = max(MIN_SPEED, min(MAX_SPEED, self._speed * factor))
        if self.run.playing:
            self.run.play(self._speed)

    @on(TimeSlider.Sought)
    def _sought(self, event: TimeSlider.Sought) -> None:
        self.run.seek(event.at_ns)
