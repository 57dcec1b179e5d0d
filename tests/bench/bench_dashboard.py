"""What the dashboard costs and how soon it answers, on a terminal of 160 columns and 50 lines.

Processes are real: one writes a run of 200 clients and 1,000 log lines a second, ``seatrial watch`` shows it on a pseudo-terminal, and this
one reads, types and looks at its watch. Only the table is measured by itself, in this process, without a terminal.

Wall times tell of the machine as much as of the dashboard: measure on one that is otherwise idle.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec
from textual.app import ComposeResult
from textual.screen import Screen

from seatrial.clock import SYSTEM_CLOCK, thread_cpu_s
from seatrial.history.segments import segment_numbers
from seatrial_tui.garbage import Sweeper
from seatrial_tui.lines.tones import TonedApp
from seatrial_tui.panes.clients.pane import ClientsPane
from seatrial_tui.screens.keys import KeysFirst
from seatrial_tui.source.moment import Moment
from tests.bench.dashboard_run import GrowingRun, write_run
from tests.bench.harness import Row, at_most
from tests.bench.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.runs import moment_of, moments_of, reading

STARTS = 7
SHARE_S, SETTLE_S = 20.0, 3.0
PRESSES = 50
REFRESHES, REFRESH_HZ = 100, 20
LOOK_NS = 250_000_000
"""How often the dashboard looks."""
LOG_LINES, FAST_LOG_LINES_PER_S = 1_000_000, 40_000
LIVE = "● live"
_MIB = 1 << 20


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as scratch:
        place = Path(scratch)
        recorded = write_run(place / "recorded")
        return [*first_paints(place, recorded), *asyncio.run(tables(recorded)), *live(place), memory(place)]


# -- first paint


def first_paints(home: Path, recorded: Path) -> list[Row]:
    """From the start of the process to the first frame; one start before is not counted: it fills caches."""
    rows = []
    for name, arguments, shows in (
        ("seatrial watch RUN", ("watch", str(recorded)), "Clients.*Server log"),
        ("seatrial", (), "Take a repository server to sea"),
    ):
        times_s = [first_paint(home, arguments, shows) for _ in range(STARTS + 1)][1:]
        note = f"median of {STARTS}, {1000 * min(times_s):.0f} to {1000 * max(times_s):.0f} ms"
        rows.append(Row(name=f"first paint of {name}", measured=median(times_s), unit="s", aim=at_most(0.5), note=note))
    return rows


def first_paint(home: Path, arguments: Sequence[str], shows: str) -> float:
    with Terminal(*arguments, home=home) as screen:
        return screen.shows(f"(?s){shows}") - screen.began_s


# -- a run that is under way


def live(place: Path) -> list[Row]:
    with watched(place / "live") as screen:
        cursor = Cursor(screen)
        return [share(screen), *keys(screen, cursor)]


@contextmanager
def watched(directory: Path, log_lines_per_s: int = 1000) -> Iterator[Terminal]:
    """The dashboard over a run that grows."""
    with GrowingRun(directory, log_lines_per_s=log_lines_per_s) as growing:
        if not eventually(lambda: segment_numbers(growing.directory)):
            raise RuntimeError("the growing run does not begin")
        with Terminal("watch", str(growing.directory), home=directory.parent) as screen:
            screen.shows(LIVE)
            yield screen


def share(screen: Terminal) -> Row:
    """Of one core, while nobody types."""
    before_s, began_s = screen.cpu_s(), SYSTEM_CLOCK.monotonic_s()
    screen.read_for(SHARE_S)
    share_percent = 100 * (screen.cpu_s() - before_s) / (SYSTEM_CLOCK.monotonic_s() - began_s)
    note = f"of one core, for {SHARE_S:g} s of 200 clients, 100 actions/s, 1,000 log lines/s"
    return Row(name="dashboard processor time", measured=share_percent, unit="%", aim=at_most(10), note=note)


class Cursor:
    """The selected line of the clients, the first one now, known by how it is painted."""

    _LINE = re.compile(r"\x1b\[(\d+);3H\x1b\[([\d;]+)m([^\x1b]*)")

    def __init__(self, screen: Terminal) -> None:
        self._screen = screen
        headings, _ = screen.wait_for(lambda: [line for line, _, text in self._LINE.findall(screen.text) if text.startswith("client ")])
        self.line = int(headings[0]) + 1
        screen.read_for(SETTLE_S)
        screen.press("j")
        screen.read_for(0.5, keep=True)
        self._look = [look for line, look, _ in self._LINE.findall(screen.text) if int(line) == self.line + 1][-1]
        screen.press("k")
        screen.read_for(0.5)

    def at(self, line: int) -> bool:
        """It has been painted there since the last key."""
        return any(int(found) == line and look == self._look for found, look, _ in self._LINE.findall(self._screen.text))


def keys(screen: Terminal, cursor: Cursor) -> list[Row]:
    """From a key to the frame that answers it, in between the frames that the run causes; each kind is seen by what only it paints.

    Another pane is answered by the bar of panes; its border and its keys follow in a second frame, for Textual hands over the keys
    after the first.
    """
    times_s = {
        "another row": alternate(screen, ("j", lambda: cursor.at(cursor.line + 1)), ("k", lambda: cursor.at(cursor.line))),
        "another pane": alternate(screen, *((key, lambda: "2 Server log" in screen.plain) for key in "21")),
        "the log, a line": scrolled(screen),
    }
    complete_s = alternate(screen, ("1", lambda: "Snapshot now" in screen.plain), ("2", lambda: "Timestamps" in screen.plain))
    return [
        *(Row(name=f"key to screen, p95: {kind}", aim=at_most(50), **figure(times)) for kind, times in times_s.items()),
        Row(name="key to screen, p95: a pane and its keys", **figure(complete_s)),
    ]


def figure(times_s: Sequence[float]) -> dict[str, Any]:
    """What a row says of them."""
    note = f"{PRESSES} presses, median {1000 * median(times_s):.0f} ms"
    return {"measured": 1000 * p95(times_s), "unit": "ms", "note": note}


def alternate(screen: Terminal, *pairs: tuple[str, Callable[[], bool]]) -> list[float]:
    """Press one key after the other; the seconds until each was answered."""
    times_s = []
    for number in range(PRESSES):
        key, answered = pairs[number % len(pairs)]
        pressed_s = screen.press(key)
        times_s.append(screen.wait_for(answered)[1] - pressed_s)
        # Not in step with the frames, which come four times a second.
        screen.read_for(0.06 + number * 37 % 100 / 1000)
    return times_s


def scrolled(screen: Terminal) -> list[float]:
    """A line back, a line on, in the log that does not follow: the border tells the number of the first line in sight."""
    screen.press("2")
    screen.read_for(0.5)
    screen.press("kk")
    screen.read_for(1.0)
    first = re.compile(r"([\d,]+)-[\d,]+ of [\d,]+")
    seen: list[str] = []

    def moved() -> bool:
        found = first.findall(screen.plain)
        if not found or found[-1] in seen[-1:]:
            return False
        seen.append(found[-1])
        return True

    screen.wait_for(moved)
    return alternate(screen, ("k", moved), ("j", moved))


def p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]


# -- the log


def memory(place: Path) -> Row:
    """With the log in front, all over the screen, and looked at from one end to the other."""
    with watched(place / "fast", log_lines_per_s=FAST_LOG_LINES_PER_S) as screen:
        screen.press("2")
        screen.press("z")
        of = re.compile(r"[\d,]+-[\d,]+ of ([\d,]+)")

        def all_read() -> bool:
            found = of.findall(screen.plain)
            screen.text = screen.text[-20_000:]
            return bool(found) and int(found[-1].replace(",", "")) >= LOG_LINES

        began_s = SYSTEM_CLOCK.monotonic_s()
        screen.wait_for(all_read, timeout_s=180)
        took_s = SYSTEM_CLOCK.monotonic_s() - began_s
        for key in "gG" * 5:
            screen.press(key)
            screen.read_for(0.2)
        note = f"with {LOG_LINES:,} log lines in front, {FAST_LOG_LINES_PER_S:,} a second for {took_s:.0f} s"
        return Row(name="dashboard memory", measured=screen.rss_bytes() / _MIB, unit="MiB", aim=at_most(150), note=note)


# -- the table by itself


class Stage(TonedApp[None]):
    """Nothing but the clients, on a screen as the dashboard's: it paints and sweeps as that."""

    def __init__(self, pane: ClientsPane) -> None:
        super().__init__()
        self._pane = pane

    def get_default_screen(self) -> Screen[None]:
        return KeysFirst()

    def compose(self) -> ComposeResult:
        yield self._pane


async def tables(recorded: Path) -> list[Row]:
    """Processor time of a refresh, painting included, beyond what the application takes when nothing changes."""
    moment, going_on = moment_of(recorded), [*moments_of(recorded, every_ns=LOOK_NS)]
    with reading(recorded) as source, closing(Sweeper()) as sweeper:
        sweeper.begin()
        pane = ClientsPane(source)
        app = Stage(pane)
        async with app.run_test(size=(160, 50)):
            await refreshed(pane, changed(moment, 1)[:10])
            idle_ms = await refreshed(pane, [moment] * REFRESHES)
            every_ms = await refreshed(pane, changed(moment, len(moment.view.clients)))
            one_ms = await refreshed(pane, changed(moment, 1))
            live_ms = await refreshed(pane, going_on[-REFRESHES:])
    note = f"{len(moment.view.clients)} rows, 8 columns and more, all new; processor time of this thread, painting included"
    return [
        Row(
            name="table refresh, as the run goes",
            measured=live_ms - idle_ms,
            unit="ms",
            aim=at_most(5),
            note="a quarter of a second of it at a time",
        ),
        Row(name="table refresh, all rows", measured=every_ms - idle_ms, unit="ms", note=note),
        Row(name="table refresh, one row", measured=one_ms - idle_ms, unit="ms", note="the first, which can be seen"),
    ]


def changed(moment: Moment, rows: int) -> list[Moment]:
    """The moments after it, in each of which the first ``rows`` clients have one more action done."""
    moments = []
    for number in range(REFRESHES):
        clients = moment.view.clients
        later = tuple(msgspec.structs.replace(client, ok=client.ok + 1, bytes=client.bytes + (number << 20)) for client in clients[:rows])
        moment = msgspec.structs.replace(moment, view=msgspec.structs.replace(moment.view, clients=later + clients[rows:]))
        moments.append(moment)
    return moments


async def refreshed(pane: ClientsPane, moments: Sequence[Moment]) -> float:
    """Milliseconds of each."""
    before_s = thread_cpu_s()
    for moment in moments:
        pane.show(moment)
        await asyncio.sleep(1 / REFRESH_HZ)
    return 1000 * (thread_cpu_s() - before_s) / len(moments)
