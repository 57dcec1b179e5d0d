"""Leaving the dashboard when things are not as usual."""

from __future__ import annotations

import asyncio
from pathlib import Path

from seatrial.history.runs import create_run
from seatrial.verdicts import ExitCode
from tests.tui.app.screens import NARROW, dashboard, shows, until


class DeafEngine:
    """An engine that begins: it runs, and takes no requests yet."""

    returncode: ExitCode | None = None
    detached = False

    def detach(self) -> None:
        self.detached = True


def test_whoever_stops_a_run_that_takes_no_requests_yet_leaves_it_to_the_tie(tmp_path: Path) -> None:
    directory, engine = create_run(tmp_path, "calm").path, DeafEngine()

    async def drive() -> int | None:
        async with dashboard([directory], NARROW, tmp_path, engine=engine) as (app, pilot):
            await shows(app, "Clients")
            await pilot.press("q")
            await shows(app, "What is to become of it?")
            await pilot.press("s")
            await until(lambda: not app.is_running or app.return_code is not None, app)
            return app.return_code

    assert asyncio.run(drive()) == 0
    assert not engine.detached, "an engine that is not detached stops when whoever showed it has gone"
