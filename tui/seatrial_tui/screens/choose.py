"""The launch screen proper: presets, what one of them would do, changes to it, former runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Label

from seatrial.history.runs import RunSummary
from seatrial.report.listing import described, state_of
from seatrial.report.prose import duration, moment, plain
from seatrial_tui.lines.page import Page, Paragraph, field, heading
from seatrial_tui.lines.signs import VERDICTS
from seatrial_tui.lines.table import Column, LineTable
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.screens.keys import KeysFirst, footer
from seatrial_tui.screens.offers import FIELDS, Offer, Offers, Runs, Signs, Unreadable, Wish, facts

WIDE_COLUMNS = 100
"""From here on what a preset would do stands beside the list, else below it."""
LABEL_CELLS = 18
KEYS = {"clients": "c", "duration": "d", "target": "t", "seed": "e"}
"""That lead to the fields of the form."""


def _run_state(run: RunSummary) -> Cell:
    if run.verdict is not None:
        sign, tone = VERDICTS[run.verdict]
        return f"{sign} {state_of(run)}", tone
    return ("● running", Tone.ACCENT) if run.running else (f"■ {state_of(run)}", Tone.WARN)


PRESETS: Sequence[Column[Offer]] = (
    Column(name="preset", title="preset", cell=lambda offer: (offer.name + (" *" if offer.default else ""), Tone.HEAD), max_width=28),
    Column(name="description", title="what it is for", cell=lambda offer: described(offer.preset), max_width=120, grow=True),
)
RUNS: Sequence[Column[RunSummary]] = (
    Column(name="started", title="started (UTC)", cell=lambda run: moment(run.started_ns)[:19].replace("T", " "), max_width=19),
    Column(name="preset", title="preset", cell=lambda run: run.preset or "-", max_width=28),
    Column(name="verdict", title="verdict", cell=_run_state, max_width=60),
    Column(name="took", title="took", cell=lambda run: duration(run.duration_s) if run.started_ns else "-", right=True),
    Column(name="target", title="target", cell=lambda run: run.target or "-", max_width=20, priority=2),
    Column(name="run", title="run", cell=lambda run: (run.run_id, Tone.FAINT), max_width=60, grow=True, priority=3),
)


class ChooseScreen(KeysFirst[None]):
    """Presets, runs, and what this machine lacks. The application ends with the arguments of ``seatrial`` that do what was chosen.

    It stays until then: the thread may still find things out. Threading: the screen's thread only.
    """

    TITLE = "seatrial"
    HELP: ClassVar[str] = (
        "Enter on a preset starts it, in the dashboard; Enter on a former run shows that one again. The preset with a star is the one that "
        "`seatrial run` takes without a name.\n"
        "Clients, duration, target and seed may be changed before the start; what is left empty stays as the preset has it. A seed "
        "repeats the plan, not the interleaving.\n"
        "`seatrial run PRESET --dry-run` shows a plan in full, `seatrial doctor` all that was looked at on this machine."
    )
    DEFAULT_CSS = """
    ChooseScreen { layout: vertical; }
    ChooseScreen .box { border: round $panel-lighten-2; border-title-color: $text-muted; border-subtitle-color: $text-muted; padding: 0 1; }
    ChooseScreen .box:focus-within { border: round $accent; border-title-color: $accent; }
    ChooseScreen #upper { height: 3fr; min-height: 9; layout: vertical; }
    ChooseScreen.wide #upper { layout: horizontal; min-height: 5; }
    ChooseScreen #presets { height: 1fr; min-height: 5; }
    ChooseScreen #about { height: 1fr; }
    ChooseScreen.wide #presets { width: 5fr; }
    ChooseScreen.wide #about { width: 4fr; }
    ChooseScreen #form { height: 3; }
    ChooseScreen #form Label { width: auto; color: $text-muted; padding: 0 1 0 0; }
    ChooseScreen #form Input { width: 1fr; margin: 0 2 0 0; border: none; height: 1; padding: 0; background: $boost; }
    ChooseScreen #form Input:focus { background: $boost; text-style: bold; }
    ChooseScreen #form Input.wrong { color: $text-error; }
    ChooseScreen #runs { height: 1fr; min-height: 5; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(KEYS[name], f"change('{name}')", f"Change {name}", show=False, id=f"launch.{name}") for name in FIELDS),
        Binding("r", "runs", "Runs", id="launch-runs"),
        Binding("p,escape", "presets", "Presets", id="launch-presets"),
    ]

    def __init__(self, offers: Offers | Unreadable) -> None:
        super().__init__()
        self._offers = offers
        self._presets: LineTable[Offer] = LineTable(PRESETS, key=lambda offer: offer.name, empty="no preset can be started")
        self._runs: LineTable[RunSummary] = LineTable(RUNS, key=lambda run: run.run_id, empty="no run yet")
        self._about = Page()
        self._inputs = {name: Input(id=name, compact=True, max_length=40) for name in FIELDS}
        self._signs: Signs | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="upper"):
            yield _boxed("presets", "Presets", self._presets, "enter  start")
            yield _boxed("about", "What it would do", self._about)
        with Horizontal(id="form", classes="box") as form:
            form.border_title = "Changes before the start"
            for name in FIELDS:
                yield Label(Content.assemble((KEYS[name], "$text-accent bold"), f" {name}"))
                yield self._inputs[name]
        yield _boxed("runs", "Former runs", self._runs, "enter  show")
        yield footer()

    def on_mount(self) -> None:
        if isinstance(self._offers, Offers):
            self._presets.show(self._offers.presets)
            self._presets.focus()
        self._tell()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE_COLUMNS, "wide")

    # -- news

    def show_runs(self, runs: Runs) -> None:
        """Former runs have been read."""
        self._runs.show(runs.runs)
        if runs.problem:
            self.query_one("#runs").border_subtitle = Content(plain(runs.problem))

    def show_signs(self, signs: Signs) -> None:
        """The machine has been looked at."""
        self._signs = signs
        self._tell()

    # -- what is wished for

    @property
    def wish(self) -> Wish | None:
        """What would be started now."""
        offer = self._presets.selected
        return Wish(preset=offer.name, **{name: given.value for name, given in self._inputs.items()}) if offer is not None else None

    @on(LineTable.Moved, "#presets LineTable")
    @on(Input.Changed)
    def _changed(self) -> None:
        self._tell()

    def _tell(self) -> None:
        wish = self.wish
        problems = wish.problems() if wish else {}
        for name, given in self._inputs.items():
            given.set_class(name in problems, "wrong")
        form = self.query_one("#form")
        form.border_subtitle = Content("  ".join(f"{name}: {text}" for name, text in problems.items()))
        if isinstance(self._offers, Offers) and wish is not None:
            self._placeholders(self._offers, wish)
        self._about.show((*self._plan(wish, problems), *self._machine()))

    def _placeholders(self, offers: Offers, wish: Wish) -> None:
        preset = offers.loaded.config.presets[wish.preset]
        clients = "{}-{}".format(*preset.swarm.clients) if preset.swarm else str(preset.clients)
        standing = {"clients": clients, "duration": duration(preset.duration_s), "target": preset.target, "seed": "drawn anew"}
        for name, text in standing.items():
            self._inputs[name].placeholder = text

    def _plan(self, wish: Wish | None, problems: dict[str, str]) -> Iterator[Paragraph]:
        if isinstance(self._offers, Unreadable):
            error = self._offers.error
            yield Paragraph((("The configuration cannot be used.", Tone.BAD),))
            for label, text in (("what", error.what), ("where", error.where), ("remedy", error.remedy)):
                if text:
                    yield field(label, plain(text), LABEL_CELLS)
            yield field("then", "F5 reads it again", LABEL_CELLS)
        elif wish is not None and problems:
            yield heading(plain(wish.preset))
            for name, text in problems.items():
                yield field(name, (text, Tone.BAD), LABEL_CELLS)
        elif wish is not None:
            yield heading(plain(wish.preset))
            if reason := self._cannot(wish):
                yield field("cannot run here", (reason, Tone.BAD), LABEL_CELLS)
            for label, text in facts(self._offers, wish):
                tone = Tone.WARN if "may not fit" in text else Tone.PLAIN
                yield field(label, (text, tone), LABEL_CELLS if label else 2)

    def _cannot(self, wish: Wish) -> str:
        """Why the target of a wish without problems cannot be tested here, as far as is known."""
        if self._signs is None or not isinstance(self._offers, Offers):
            return ""
        target = wish.applied(self._offers).target
        signs = (sign for sign in self._signs.signs if sign.name == f"target {target}" and not sign.good)
        return next((plain(f"{sign.text}: {sign.remedy}" if sign.remedy else sign.text) for sign in signs), "")

    def _machine(self) -> Iterator[Paragraph]:
        yield Paragraph()
        yield heading("This machine")
        if isinstance(self._offers, Offers):
            for note in self._offers.loaded.notes:
                yield field("note", (plain(note), Tone.WARN), LABEL_CELLS)
        if self._signs is None:
            waiting = "not looked at" if isinstance(self._offers, Unreadable) else "looking at targets and programs ..."
            yield field("", (waiting, Tone.FAINT), 2)
            return
        for sign in self._signs.signs:
            if sign.good and sign.name.startswith("target "):
                yield field(plain(sign.name), (plain(f"✓ {sign.text}"), Tone.GOOD), LABEL_CELLS)
        missing = [sign for sign in self._signs.signs if not sign.good]
        for sign in missing:
            yield field(plain(sign.name), (plain(f"- {sign.text}"), Tone.BAD if sign.required else Tone.WARN), LABEL_CELLS)
            if sign.remedy:
                yield field("", (plain(sign.remedy), Tone.FAINT), LABEL_CELLS)
        if not missing:
            yield field("", ("nothing is missing", Tone.FAINT), 2)

    # -- keys

    def action_change(self, name: str) -> None:
        self._inputs[name].focus()

    def action_presets(self) -> None:
        self._presets.focus()

    def action_runs(self) -> None:
        self._runs.focus()

    @on(LineTable.Chosen, "#presets LineTable")
    @on(Input.Submitted)
    def action_start(self) -> None:
        wish = self.wish
        if wish is None:
            return
        problems = wish.problems()
        if problems:
            name = next(iter(problems))
            self._inputs[name].focus()
            self.notify(f"{name}: {problems[name]}", severity="warning", markup=False)
        elif reason := self._cannot(wish):
            self.notify(f"cannot run here: {reason}", severity="warning", markup=False)
        else:
            self.app.exit(wish.argv())

    @on(LineTable.Chosen, "#runs LineTable")
    def _watch(self, event: LineTable.Chosen) -> None:
        self.app.exit(("watch", str(event.row.path)))


def _boxed(name: str, title: str, content: LineTable[Offer] | LineTable[RunSummary] | Page, hint: str = "") -> Vertical:
    box = Vertical(content, id=name, classes="box")
    box.border_title, box.border_subtitle = title, hint
    return box
