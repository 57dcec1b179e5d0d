"""Every pane in every theme, as it was looked at and found good: pictures of a run that is kept in ``tests/data``.

After a change that is meant to be seen: ``make snapshots``, look at the pictures that differ, commit them.
"""

from __future__ import annotations

import asyncio
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.data import builtin
from seatrial.config.model import UiSettings
from seatrial_tui.app import Dashboard
from seatrial_tui.panes.cluster.pane import ClusterPane
from seatrial_tui.panes.run.pane import RunPane
from seatrial_tui.screens.client import ClientScreen
from seatrial_tui.screens.finding import FindingScreen
from seatrial_tui.screens.run import LEFT, RIGHT
from seatrial_tui.theming.shelf import load_themes
from tests.tui.app.screens import NARROW, WIDE, dashboard, shows, text_of, until

PICTURES = Path(__file__).parent / "snapshots"
DATA = Path(__file__).parents[2] / "data"
SETTLES_S = 20.0
THEMES = sorted(load_themes([builtin("themes")]).themes)
PANES = {str(number): pane.NAME for number, pane in enumerate((*LEFT, *RIGHT), 1) if pane is not ClusterPane}
EXPECTED = {
    "clients": "mismatch",
    "server-log": "user-added",
    "findings": "flipped",
    "server": "stopped",
    "statistics": "snapshot-root",
    "cache": "cache",
    "directories": "not there now",
}
"""A word that each pane must have shown before it is pictured."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with findings, as its engine left it: journal, telemetry, the server's log."""
    return unpacked(DATA / "run-with-findings.tar.gz", tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def on_a_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a short ``cluster-smoke``."""
    return unpacked(DATA / "run-on-a-cluster.tar.gz", tmp_path_factory.mktemp("on-a-cluster"))


def unpacked(packed: Path, place: Path) -> Path:
    with tarfile.open(packed) as archive:
        archive.extractall(place, filter="data")
    (run,) = place.iterdir()
    return run


@pytest.fixture
def renew(request: pytest.FixtureRequest) -> Iterator[bool]:
    wanted = bool(request.config.getoption("--renew-snapshots"))
    yield wanted
    if wanted:
        pytest.skip("a picture was renewed, nothing was compared")


async def compare(app: Dashboard, name: str, renew: bool, actual_in: Path) -> None:
    """Hold the screen against its kept picture, as soon as it looks like that; ids that are drawn anew do not count."""
    path = PICTURES / f"{name}.svg"

    def picture() -> str:
        return re.sub(r"terminal-\d+-", "terminal-", app.export_screenshot(title=name))

    if renew:
        await settled(picture)
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture(), encoding="utf-8")
        return
    kept, limit_s = path.read_text(encoding="utf-8"), SYSTEM_CLOCK.monotonic_s() + SETTLES_S
    while (seen := picture()) != kept:
        if SYSTEM_CLOCK.monotonic_s() > limit_s:
            actual = actual_in / path.name
            actual.write_text(seen, encoding="utf-8")
            pytest.fail(f"{name}: {actual} is not {path}; if the change is meant, `make snapshots`", pytrace=False)
        await asyncio.sleep(0.05)


async def settled(picture: Callable[[], str]) -> None:
    """Wait until nothing has changed for a while."""
    before, since_s = "", SYSTEM_CLOCK.monotonic_s()
    while SYSTEM_CLOCK.monotonic_s() < since_s + 0.6:
        await asyncio.sleep(0.1)
        if (now := picture()) != before:
            before, since_s = now, SYSTEM_CLOCK.monotonic_s()


@pytest.mark.parametrize("theme", THEMES)
def test_each_pane_looks_as_it_did(theme: str, recorded: Path, renew: bool, tmp_path: Path) -> None:
    async def picture() -> None:
        async with dashboard([recorded], NARROW, tmp_path, ui=UiSettings(theme=theme)) as (app, pilot):
            await until(lambda: app.in_front.moment().view.end is not None, app)
            for key, name in PANES.items():
                await pilot.press(key)
                await shows(app, EXPECTED[name])
                await compare(app, f"{theme}-{name}", renew, tmp_path)

    asyncio.run(picture())


@pytest.mark.parametrize("theme", THEMES)
def test_a_cluster_looks_as_it_did(theme: str, on_a_cluster: Path, renew: bool, tmp_path: Path) -> None:
    async def picture() -> None:
        async with dashboard([on_a_cluster], NARROW, tmp_path, ui=UiSettings(theme=theme)) as (app, pilot):
            await until(lambda: app.in_front.moment().view.end is not None, app)
            await pilot.press("8")
            await shows(app, "5 nodes, 3 owners per key", "● 5 up")
            await compare(app, f"{theme}-cluster", renew, tmp_path)

    asyncio.run(picture())


def test_a_run_without_nodes_has_no_pane_for_them(recorded: Path, tmp_path: Path) -> None:
    async def press() -> None:
        async with dashboard([recorded], NARROW, tmp_path) as (app, pilot):
            await until(lambda: app.in_front.moment().view.end is not None, app)
            await shows(app, "mismatch")
            await pilot.press("8")
            await shows(app, "this run's server has no nodes", "mismatch")
            assert "Cluster" not in text_of(app)

    asyncio.run(press())


def test_the_whole_looks_as_it_did(recorded: Path, renew: bool, tmp_path: Path) -> None:
    async def picture() -> None:
        async with dashboard([recorded], WIDE, tmp_path) as (app, pilot):
            await until(lambda: app.in_front.moment().view.end is not None, app)
            await shows(app, "flipped", "mismatch", "user-added", "get-data", "snapshot-root", "exit code 0")
            assert app.screen.query_one(RunPane).region.height > 5
            await compare(app, "whole", renew, tmp_path)
            await pilot.press("3", "end", "enter")
            await until(lambda: isinstance(app.screen, FindingScreen), app)
            await shows(app, "expected", "actual")
            await compare(app, "finding", renew, tmp_path)
            await pilot.press("escape", "1", "home", "enter")
            await until(lambda: isinstance(app.screen, ClientScreen), app)
            await shows(app, "snapshot-root")
            await compare(app, "client", renew, tmp_path)

    asyncio.run(picture())
