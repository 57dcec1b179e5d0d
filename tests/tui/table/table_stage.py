"""A table on a screen of its own, and its rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from textual.app import ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

from seatrial_tui.lines.table import Column, LineTable
from seatrial_tui.lines.tones import Tone, TonedApp
from seatrial_tui.messages import CopyText, Drive, OpenClient, OpenShell
from tests.support.waiting import soon

_ASKED = (CopyText, Drive, OpenClient, OpenShell, LineTable.Chosen, LineTable.Moved)


class Item(NamedTuple):
    """A row."""

    id: str
    amount: int = 0
    text: str = ""


COLUMNS: Sequence[Column[Item]] = (
    Column(name="id", title="id", cell=lambda row: row.id),
    Column(name="amount", title="amount", cell=lambda row: (f"{row.amount:,} B", Tone.GOOD), value=lambda row: row.amount, right=True),
    Column(name="text", title="text", cell=lambda row: row.text, grow=True),
)


def items(count: int, generation: int = 0) -> tuple[Item, ...]:
    """So many rows, other objects in each generation."""
    return tuple(Item(f"k{number}", number * 7919 % 1000, f"row {number} of {generation}") for number in range(count))


def table_of(rows: Sequence[Item] = (), columns: Sequence[Column[Item]] = COLUMNS, **settings: str | bool) -> LineTable[Item]:
    table: LineTable[Item] = LineTable(columns, key=lambda row: row.id, **settings)  # type: ignore[arg-type] # two kinds of settings
    table.show(rows)
    return table


class Stage(TonedApp[None]):
    """One widget or screen, and what it asks of the application."""

    def __init__(self, inner: Widget) -> None:
        super().__init__()
        self.inner = inner
        self.asked: list[Message] = []

    def compose(self) -> ComposeResult:
        if not isinstance(self.inner, Screen):
            yield self.inner

    def on_mount(self) -> None:
        if isinstance(self.inner, Screen):
            self.push_screen(self.inner)

    def hear(self, message: Message) -> None:
        """Called for each message, once for each widget that it comes by."""
        if isinstance(message, _ASKED) and all(message is not known for known in self.asked):
            self.asked.append(message)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without colours."""
        strips = self.screen._compositor.render_strips()  # the compositor alone knows all that is painted
        return [strip.text.rstrip() for strip in strips]

    @property
    def text(self) -> str:
        """The same in one piece."""
        return "\n".join(self.lines)


def on_stage(inner: Widget, act: Callable[[Stage, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
    """Run ``act`` with the widget on a screen of this size, once it is painted."""

    async def play() -> None:
        app = Stage(inner)
        async with app.run_test(size=size, message_hook=app.hear) as pilot:
            await until(lambda: inner.is_mounted and app.text.strip(), "the widget is painted")
            await act(app, pilot)

    asyncio.run(play())


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition, which must become true before the deadline."""
    await soon(condition, lambda: what or str(condition))
