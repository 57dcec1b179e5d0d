"""A run that stands still, as panes and screens are given one, and an application around a single screen or pane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

from seatrial.history.events import Finding
from seatrial.history.reader import read_journal
from seatrial.history.view import FindingGroup, RunView, SnapshotView
from seatrial.report import summarise
from seatrial.report.circumstances import Circumstances
from seatrial.report.summary import Summary
from seatrial_tui.lines.tones import TonedApp
from seatrial_tui.messages import CopyText, Drive, JumpToLog, OpenClient, OpenFinding, OpenShell
from seatrial_tui.source.moment import Moment, TimelineRow

SIZES = ((80, 24), (160, 50))
ASKED = (CopyText, Drive, JumpToLog, OpenClient, OpenFinding, OpenShell)


class StillRun:
    """A ``RunSource`` over one view. Its owner, a test, may put another view in its place."""

    def __init__(self, directory: Path, view: RunView, findings: Sequence[Finding], circumstances: dict[str, Circumstances]) -> None:
        self.directory, self.view, self._findings, self._circumstances = directory, view, findings, circumstances

    @classmethod
    def of(cls, directory: Path) -> StillRun:
        summary: Summary = summarise(directory)
        findings = [record.event for record in read_journal(directory) if isinstance(record.event, Finding)]
        return cls(directory, summary.view, findings, dict(summary.circumstances))

    def moment(self) -> Moment:
        return Moment(view=self.view)

    def timeline(self, client: str) -> Sequence[TimelineRow]:
        return ()

    def snapshots(self, client: str) -> Sequence[SnapshotView]:
        return ()

    def findings(self, group: str) -> Sequence[Finding]:
        return [finding for finding in self._findings if finding.group == group]

    def circumstances(self, group: str) -> Circumstances | None:
        return self._circumstances.get(group)

    def close(self) -> None:
        pass

    def find(self, finding: Finding, *, count: int = 1, at_ns: int = 1_700_000_000_000_000_000) -> None:
        """Let there be one more group."""
        group = FindingGroup(
            group=finding.group, check=finding.check, verdict=finding.verdict, count=count, first_ns=at_ns, last_ns=at_ns, first=finding
        )
        total = self.view.findings_total + count
        self.view = msgspec.structs.replace(self.view, findings=(*self.view.findings, group), findings_total=total)
        self._findings = [*self._findings, finding]


class Host(TonedApp[None]):
    """One screen or pane, and what it asked for."""

    def __init__(self, inner: Widget) -> None:
        super().__init__()
        self.inner = inner
        self.asked: list[Message] = []
        self.returned: list[Any] = []

    def compose(self) -> ComposeResult:
        if not isinstance(self.inner, Screen):
            yield self.inner

    def on_mount(self) -> None:
        if isinstance(self.inner, Screen):
            self.push_screen(self.inner, self.returned.append)

    def _remember(self, message: Message) -> None:
        self.asked.append(message)

    on_copy_text = on_drive = on_jump_to_log = on_open_client = on_open_finding = on_open_shell = _remember


def text_of(app: App[Any]) -> str:
    """What stands on the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


async def until(pilot: Pilot[Any], condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until it is so; say what stands on the screen where it never is."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not so in time; the screen:\n{text_of(pilot.app)}"
        await pilot.pause()
        await asyncio.sleep(0.01)


def drive(app: App[Any], steps: Callable[[Pilot[Any]], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
    """Run ``steps`` against a running application."""

    async def running() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await steps(pilot)

    asyncio.run(running())
