"""The whole dashboard under Textual's Pilot, and what stands on its screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from seatrial.config.data import builtin
from seatrial.config.model import UiSettings
from seatrial.history.segments import segment_numbers
from seatrial_tui.app import Dashboard, Engine
from seatrial_tui.source.reader import RunReader
from seatrial_tui.theming.shelf import Shelf
from tests.support.waiting import soon

NARROW, WIDE = (80, 24), (160, 50)


def text_of(app: Dashboard) -> str:
    """What can be read on the screen."""
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def until(condition: Callable[[], object], app: Dashboard | None = None) -> None:
    """Poll a condition with a deadline; the screen is told where it never comes true."""
    await soon(condition, lambda: f"the screen:\n{text_of(app)}" if app else "")


async def shows(app: Dashboard, *texts: str) -> None:
    """Wait until all of these stand on the screen."""
    await until(lambda: all(text in text_of(app) for text in texts), app)


def has_read(reader: RunReader) -> bool:
    """All there is so far; of a run without a journal yet, nothing."""
    moment = reader.moment()
    return not moment.reading and (moment.view.seq > 0 or not segment_numbers(reader.directory))


@asynccontextmanager
async def dashboard(
    runs: Sequence[Path], size: tuple[int, int], files: Path, *, engine: Engine | None = None, ui: UiSettings | None = None
) -> AsyncIterator[tuple[Dashboard, Pilot[None]]]:
    """The dashboard over these run directories. No theme and no shell of the user's has a part in it.

    It begins when the runs are read: how wide a column has become depends on all that has been shown.
    """
    readers = [RunReader(run) for run in runs]
    for reader in readers:
        await until(partial(has_read, reader))
    app = Dashboard(readers, engine, ui or UiSettings(), files=files, shelf=Shelf([builtin("themes")]))
    async with app.run_test(size=size, notifications=True) as pilot:
        yield app, pilot
