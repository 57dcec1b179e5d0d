"""Logs for the tests of the log pane, and an application that holds nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.app import ComposeResult
from textual.pilot import Pilot

from seatrial.clock import SYSTEM_CLOCK
from seatrial.history.view import RunView
from seatrial_tui.lines.tones import TonedApp
from seatrial_tui.messages import CopyText
from seatrial_tui.panes.server_log.pane import ServerLogPane
from seatrial_tui.panes.server_log.view import LogView
from seatrial_tui.source.moment import Moment
from tests.tui.runs import NoRun

DEADLINE_S = 20.0


class LogApp(TonedApp[None]):
    """The pane alone, fed by the test: ``feed`` is a tick of the dashboard."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.pane = ServerLogPane(NoRun(directory))
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.view.focus()

    def on_copy_text(self, event: CopyText) -> None:
        self.copied.append(event.text)

    @property
    def view(self) -> LogView:
        return self.pane.query_one(LogView)

    def feed(self, *, live: bool = True, view: RunView | None = None, now_ns: int = 0, end_ns: int = 0) -> None:
        self.pane.show(Moment(live=live, view=view or RunView(), now_ns=now_ns, end_ns=end_ns))

    def text(self) -> str:
        """The screen as text, one line each."""
        width, height = self.size
        lines = self.screen._compositor.render_strips(self.size)
        return "\n".join("".join(segment.text for segment in line)[:width] for line in lines[:height])


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str = "") -> None:
    """Feed the pane until ``condition`` holds, at most for ``DEADLINE_S``."""
    app = pilot.app
    assert isinstance(app, LogApp)
    by_s = SYSTEM_CLOCK.monotonic_s() + DEADLINE_S
    while not condition():
        assert SYSTEM_CLOCK.monotonic_s() < by_s, f"{what} did not come true:\n{app.text()}"
        app.feed()
        await asyncio.sleep(0.01)


def write_lines(path: Path, first: int, count: int, *, mode: str = "ab") -> None:
    """Lines as our server writes them; every tenth an error, every tenth but one a warning."""
    levels = {0: "ERROR", 1: "WARN "}
    with path.open(mode) as file:
        for number in range(first, first + count):
            file.write(
                f"2026-11-22T05:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1000:03d}Z {levels.get(number % 10, 'INFO ')} "
                f"request number={number} path=/data/{number:08x}\n".encode()
            )
