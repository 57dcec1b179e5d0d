"""What gauges are fed in tests: a recorded run second by second, frames made up for what it does not do, a pane on a stage."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from seatrial.clock import SYSTEM_CLOCK
from seatrial.history.events import Event, PlanEvent, Record
from seatrial.history.fold import RunFold
from seatrial.history.frames import Frame
from seatrial.history.reader import read_journal
from seatrial.history.telemetry import TelemetryReader
from seatrial.history.view import RunView
from seatrial_tui.lines.tones import TonedApp
from seatrial_tui.messages import CopyText, OpenShell
from seatrial_tui.panes.pane import Pane
from seatrial_tui.source.moment import Moment, Sample

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_800_000_000 * SECOND_NS
_DEADLINE_S = 15.0


class Stage(TonedApp[None]):
    """One widget and nothing else; remembers what it asks for."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget
        self.asked: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_copy_text(self, event: CopyText) -> None:
        self.asked.append(event)

    def on_open_shell(self, event: OpenShell) -> None:
        self.asked.append(event)

    @property
    def text(self) -> str:
        """What is on the screen, without colours."""
        return screen_text(self)


def screen_text(app: App[None]) -> str:
    """The whole screen, a line per row, blanks at the end left out."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()  # the compositor is the only one that knows all that is painted
    return "\n".join(strip.text[:width].rstrip() for strip in strips[:height])


def on_stage(widget: Widget, size: tuple[int, int], act: Callable[[Stage, Pilot[None]], Awaitable[None]]) -> None:
    """Run ``act`` with the widget on a screen of this size."""

    async def play() -> None:
        app = Stage(widget)
        async with app.run_test(size=size) as pilot:
            await act(app, pilot)

    asyncio.run(play())


def shown(pane: Pane, moments: Sequence[Moment], size: tuple[int, int], *expected: str) -> str:
    """What stands on the screen after these moments, once all of ``expected`` does."""
    seen = ""

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        nonlocal seen
        for moment in moments:
            pane.show(moment)
        seen = await until(pilot, lambda: app.text, lambda text: all(word in text for word in expected))

    on_stage(pane, size, act)
    missing = [word for word in expected if word not in seen]
    assert not missing, f"{missing} not in\n{seen}"
    return seen


async def until(pilot: Pilot[None], look: Callable[[], str], good: Callable[[str], bool]) -> str:
    """What ``look`` says once it is ``good``, or at the deadline."""
    deadline_s = SYSTEM_CLOCK.monotonic_s() + _DEADLINE_S
    while not good(seen := look()) and SYSTEM_CLOCK.monotonic_s() < deadline_s:
        await pilot.pause(0.01)
    return seen


def told(events: Sequence[Event], frames: Sequence[Frame] = (), *, live: bool = True, now_ns: int = 0) -> Moment:
    """The moment after events, a second apart, and frames; one sample for each frame."""
    fold = RunFold()
    plan = PlanEvent(run_id="run-1", preset="smoke", seed=7, target="embedded", repo_path_prefix="/p", settings={"clients": 2})
    for number, event in enumerate([plan, *events]):
        fold.apply(Record(seq=number + 1, at_ns=BEGIN_NS + number * SECOND_NS, event=event))
    samples = []
    for frame in frames:
        fold.apply_frame(frame)
        samples.append(sample_of(fold.view(force=True)))
    view = fold.view(force=True)
    now_ns = now_ns or view.at_ns
    return Moment(view=view, samples=tuple(samples), live=live, now_ns=now_ns, begin_ns=BEGIN_NS, end_ns=view.at_ns)


def recorded(run_dir: Path) -> list[Moment]:
    """A recorded run at each of its records and frames, and at its end, as if it were watched live."""
    fold, samples, moments = RunFold(), list[Sample](), list[Moment]()
    records = list(read_journal(run_dir))
    reader = TelemetryReader(run_dir)
    told: list[Record | Frame] = [*records, *itertools.chain.from_iterable(iter(reader.poll, []))]
    reader.close()
    for each in sorted(told, key=lambda each: each.at_ns):
        if isinstance(each, Frame):
            fold.apply_frame(each)
            samples.append(sample_of(fold.view(force=True)))
        else:
            fold.apply(each)
        view = fold.view(force=True)
        moments.append(
            Moment(view=view, samples=tuple(samples), live=True, now_ns=each.at_ns, begin_ns=records[0].at_ns, end_ns=each.at_ns)
        )
    return [*moments, msgspec.structs.replace(moments[-1], live=False, now_ns=records[-1].at_ns, end_ns=records[-1].at_ns)]


def sample_of(view: RunView) -> Sample:
    """What a view says of its second."""
    frame = view.frame
    if frame is None:
        return Sample(at_ns=view.at_ns)
    return Sample(
        at_ns=frame.at_ns,
        actions_per_minute=view.rates.actions_per_minute,
        bytes_per_second=view.rates.bytes_per_second,
        findings=view.findings_total,
        in_flight=frame.in_flight,
        waiting=frame.waiting,
        requests=sum(frame.server.requests.values()) if frame.server else 0,
        cpu_percent={role: process.cpu_percent for role, process in frame.processes.items()},
        rss_bytes={role: process.rss_bytes for role, process in frame.processes.items()},
        directories={each.path: each.size_bytes for each in frame.directories},
        caches={each.path: each.size_bytes for each in frame.caches},
    )
