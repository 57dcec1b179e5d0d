"""Makes ``docs/images``: pictures of the dashboard over runs that take place for it. ``make screenshots``.

It stands beside what it makes, and is no part of the package. Three runs, each by an engine in a process of its own: one that is clean, one
whose restores begin to rot while it is watched, and one on a server of nodes that are stopped, drained and split off. Everything lies
below one neutral directory that is removed at the end, and the environment is as good as empty, so that no picture tells of the machine
it was made on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.loader import load_config
from seatrial.config.model import UiSettings
from seatrial.harness.trial import Trial, TrialRequest
from seatrial.history.segments import segment_numbers
from seatrial_tui.app import Dashboard
from seatrial_tui.lines.page import Page
from seatrial_tui.panes.cluster.facts import rows
from seatrial_tui.screens.choose import ChooseScreen
from seatrial_tui.screens.client import ClientScreen
from seatrial_tui.screens.finding import FindingScreen
from seatrial_tui.screens.help import HelpScreen
from seatrial_tui.screens.launch import Launch
from seatrial_tui.source.reader import RunReader
from tests.support.waiting import eventually
from tests.tui.recorded import RottingTarget

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).parent / "images"
PLACE = Path("/var/tmp/seatrial")  # noqa: S108  # seen in the pictures: it must be the same, and neutral, on every machine
RUNS = PLACE / "runs"
WIDE, NARROW = (160, 50), (80, 24)
ROTS_AFTER_S, SHOWN_AFTER_S = 12.0, 16.0
PRESET, NODES, SEED = "harbour", "anchorage", 42
CONFIG = f"""\
[presets.{PRESET}]
extends = "smoke"
description = "everything once: 10 clients, 24 s of mixed actions"
clients = 10
duration_s = "24s"

[presets.{PRESET}.options.write-random-files]
oddities = false

[presets.{NODES}]
extends = "cluster-smoke"
description = "five nodes: two lose all they hold, one is drained, one is split off"
duration_s = "20s"

[presets.{NODES}.embedded]
outage_s = "3s"
"""
COMES_S, SETTLES_S = 120.0, 1.5


# -- the runs


def engine(name: str, *, rots: bool) -> None:
    """One run of a preset in this process."""
    target = RottingTarget() if rots else None
    preset, command = load_config().config.presets[name], ("seatrial", "run", name, "--seed", str(SEED))
    trial = Trial(TrialRequest(preset_name=name, preset=preset, seed=SEED, runs_dir=RUNS, target=target, command=command))
    rot = threading.Timer(ROTS_AFTER_S, lambda: setattr(target, "rotten", True))
    if rots:
        rot.start()
    try:
        trial.run()
    finally:
        rot.cancel()


def begun(known: set[Path]) -> list[Path]:
    """Runs that have a journal by now."""
    return [run for run in RUNS.iterdir() if run not in known and segment_numbers(run)]


@contextmanager
def running(kind: str) -> Iterator[Path]:
    """The directory of a run that has begun; at the end the run is over."""
    known = set(RUNS.iterdir())
    process = subprocess.Popen([sys.executable, "-m", "docs.screenshots", kind], cwd=ROOT)
    try:
        if not eventually(lambda: begun(known), COMES_S):
            raise RuntimeError("the run does not begin")
        yield begun(known)[0]
        process.wait(COMES_S)
    finally:
        process.kill()
        process.wait()


# -- the pictures


async def until(condition: Callable[[], object]) -> None:
    limit_s = SYSTEM_CLOCK.monotonic_s() + COMES_S
    while not condition():
        if SYSTEM_CLOCK.monotonic_s() > limit_s:
            raise RuntimeError("what is to be pictured does not come")
        await asyncio.sleep(0.05)


async def picture(app: App[Any], name: str) -> None:
    """Once the screen has had the time to come to rest."""
    await asyncio.sleep(SETTLES_S)
    text = app.export_screenshot()
    (IMAGES / f"{name}.svg").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")


@asynccontextmanager
async def shown(run: Path, size: tuple[int, int], theme: str) -> AsyncIterator[tuple[Dashboard, Pilot[None]]]:
    app = Dashboard([RunReader(run)], None, UiSettings(theme=theme), files=PLACE)
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.in_front.moment().view.seq)
        yield app, pilot


def lasts_s(app: Dashboard) -> float:
    moment = app.in_front.moment()
    return (moment.end_ns - moment.begin_ns) / 1e9


async def of_the_clean_run(run: Path) -> None:
    async with shown(run, WIDE, "seatrial-light") as (app, _):
        await until(lambda: lasts_s(app) > SHOWN_AFTER_S)
        await picture(app, "dashboard-light")
    async with shown(run, NARROW, "seatrial-dark") as (app, _):
        await picture(app, "dashboard-80x24")


async def of_the_failing_run(run: Path) -> None:
    async with shown(run, WIDE, "seatrial-dark") as (app, pilot):
        await until(lambda: lasts_s(app) > SHOWN_AFTER_S and app.in_front.moment().view.findings_total > 1)
        await picture(app, "dashboard-dark")
        app.theme = "seatrial-colour-blind"
        await picture(app, "dashboard-colour-blind")
        app.theme = "seatrial-dark"
        await pilot.press("question_mark")
        await until(lambda: isinstance(app.screen, HelpScreen))
        await picture(app, "help")
        await pilot.press("escape", "1", "enter")
        await until(lambda: isinstance(app.screen, ClientScreen))
        await picture(app, "client")


async def of_the_run_on_nodes(run: Path) -> None:
    async with shown(run, WIDE, "seatrial-dark") as (app, pilot):
        await until(lambda: rows(app.in_front.moment().view))
        await pilot.press("8")
        await until(lambda: any(row.node.state == "split" for row in rows(app.in_front.moment().view)))
        await picture(app, "cluster")


async def of_what_is_over(run: Path) -> None:
    async with shown(run, WIDE, "seatrial-dark") as (app, pilot):
        await until(lambda: app.in_front.moment().view.end is not None)
        await pilot.press("3", "enter")
        await until(lambda: isinstance(app.screen, FindingScreen))
        for _ in app.in_front.moment().view.findings:
            if "flipped" not in str(app.screen.query_one(Page).border_title):
                await pilot.press("left_square_bracket")
        await picture(app, "finding")
        await pilot.press("escape", "left_square_bracket", "left_square_bracket")
        await until(lambda: not app.in_front.moment().reading)
        await picture(app, "watch")
    launch = Launch()
    async with launch.run_test(size=(120, 40)):
        await until(lambda: isinstance(launch.screen, ChooseScreen))
        await picture(launch, "launch")


def take() -> None:
    """All of them."""
    IMAGES.mkdir(exist_ok=True)
    with running("clean") as run:
        asyncio.run(of_the_clean_run(run))
    with running("rots") as run:
        asyncio.run(of_the_failing_run(run))
    asyncio.run(of_what_is_over(run))
    with running("nodes") as run:
        asyncio.run(of_the_run_on_nodes(run))


# -- the neutral place


def main() -> int:
    """Do the work in a process that knows nothing of its user; its exit code."""
    try:
        RUNS.mkdir(parents=True)
    except FileExistsError:
        sys.exit(f"{PLACE} is there already. If nobody makes pictures now: rm -r {PLACE}")
    (PLACE / "t").mkdir()
    settings = PLACE / ".config" / "seatrial"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text(CONFIG, encoding="utf-8")
    environment = {
        "PATH": os.defpath,
        "HOME": str(PLACE),
        "TMPDIR": str(PLACE / "t"),
        "SEATRIAL_RUNS_DIR": str(RUNS),
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
    }
    try:
        return subprocess.run([sys.executable, "-m", "docs.screenshots", "take"], cwd=ROOT, env=environment, check=False).returncode
    finally:
        shutil.rmtree(PLACE)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["take"]:
            take()
        case ["clean" | "rots" | "nodes" as kind]:
            engine(NODES if kind == "nodes" else PRESET, rots=kind == "rots")
        case _:
            sys.exit(main())
