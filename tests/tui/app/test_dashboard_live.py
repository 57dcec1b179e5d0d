"""The dashboard over a real engine: watched and driven by keys, and each of them is in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from seatrial.cli.engine_process import EngineProcess
from seatrial.history.events import ClientJoined, ClientLeft, Result, RunEnded, Steer
from seatrial.history.reader import read_journal
from seatrial.verdicts import ExitCode, Verdict
from seatrial_tui.app import Dashboard
from seatrial_tui.lines.table import LineTable
from seatrial_tui.panes.clients.pane import ClientsPane
from seatrial_tui.panes.pane import Pane
from seatrial_tui.screens.ask import QuitChoice
from seatrial_tui.screens.client import ClientScreen
from seatrial_tui.screens.help import HelpScreen
from seatrial_tui.screens.run import RunScreen
from tests.tui.app.screens import NARROW, WIDE, dashboard, shows, text_of, until

LIVELY = """
[presets.lively]
clients = 3
duration_s = "10m"
mix = { write-random-files = 2, snapshot-root = 0.4, restore-random-snapID = 0.2, list-snapshots = 12 }
[presets.lively.options.write-random-files]
max-num-files-per-write = 4
max-file-size = "16KiB"
"""
TABS = ("Clients", "Log", "Findings", "Server", "Stat", "Cache", "Dir")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine under way, tied to us; it has ended when the test has."""
    config = tmp_path / "lively.toml"
    config.write_text(LIVELY)
    process = EngineProcess.start(["run", "lively", "--config", str(config), "--runs-dir", str(tmp_path / "runs")])
    try:
        process.await_directory()
        yield process
    finally:
        process.close()
        if process.wait(30) is None:
            process.end_at_once()
            process.wait(30)


def front(app: Dashboard) -> Pane:
    """The pane in front."""
    assert isinstance(app.screen, RunScreen)
    return app.screen.pane


def in_front(app: Dashboard, title: str) -> bool:
    return title.lower() in front(app).TITLE.lower()


def at_least(pane: Pane, width: int, height: int) -> bool:
    return pane.size.width > width and pane.size.height > height


def steered(directory: Path) -> list[str]:
    return [record.event.command for record in read_journal(directory) if isinstance(record.event, Steer)]


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_a_run_is_watched_driven_and_stopped_by_keys(engine: EngineProcess, size: tuple[int, int], tmp_path: Path) -> None:
    directory = engine.directory

    async def drive() -> None:
        async with dashboard([directory], size, tmp_path, engine=engine) as (app, pilot):
            await shows(app, "lively on embedded", "● live" if size == WIDE else "lively", "chaos", "running")
            for key, title in enumerate(TABS, 1):
                await pilot.press(str(key))
                await until(partial(in_front, app, title), app)
                assert front(app).region.height > 4
            await pilot.press("p")
            await shows(app, "PAUSED")
            await until(lambda: "pause" in steered(directory))
            await pilot.press("p")
            await until(lambda: "resume" in steered(directory))
            await pilot.press("m", *"high tide", "enter")
            await until(lambda: "remark" in steered(directory))
            await pilot.press("1", "home", "n")
            await until(lambda: "snapshot" in steered(directory))
            await pilot.press("a")
            await until(lambda: len(app.in_front.moment().view.clients) == 4, app)
            await shows(app, "4 clients")
            await pilot.press("end", "x")
            await shows(app, "Remove this client?")
            await pilot.press("y")
            await until(lambda: "remove-client" in steered(directory))
            await pilot.press("ctrl+g")
            await until(lambda: "gc" in steered(directory))
            await pilot.press("home", "enter")
            await until(lambda: isinstance(app.screen, ClientScreen), app)
            await shows(app, "Timeline", "snapshot-root")
            await pilot.press("escape", "question_mark")
            await until(lambda: isinstance(app.screen, HelpScreen), app)
            await shows(app, "Keys of Clients")
            await pilot.press("escape", "q")
            await until(lambda: isinstance(app.screen, QuitChoice), app)
            await pilot.press("escape")
            await until(lambda: isinstance(app.screen, RunScreen), app)
            await pilot.press("q", "s")
            await until(lambda: engine.returncode is not None, app)
            await until(lambda: not app.is_running)

    asyncio.run(drive())
    assert engine.returncode is ExitCode.PASS
    events = [record.event for record in read_journal(directory)]
    assert isinstance(events[-1], RunEnded)
    assert events[-1].verdict is Verdict.PASS
    assert steered(directory) == ["pause", "resume", "remark", "snapshot", "add-client", "remove-client", "gc", "stop"]
    assert sum(isinstance(event, ClientJoined) and event.index == 3 for event in events) == 1
    assert any(isinstance(event, ClientLeft) for event in events)
    assert any(isinstance(event, Result) and event.action == "run-gc" for event in events)


def test_the_screen_stands_still_while_the_run_goes_on_and_comes_back_to_now(engine: EngineProcess, tmp_path: Path) -> None:
    async def hold() -> None:
        async with dashboard([engine.directory], WIDE, tmp_path, engine=engine) as (app, pilot):
            await shows(app, "● live", "running")
            await pilot.press("space")
            await shows(app, "SCREEN HELD")
            held = app.in_front.moment().view.seq
            await until(lambda: read_count(engine.directory) > held + 50)
            assert app.in_front.moment().view.seq <= held + 1
            await pilot.press("comma")
            await until(lambda: app.in_front.moment().view.seq < held, app)
            await pilot.press("space")
            await until(lambda: app.in_front.moment().view.seq > held + 50, app)
            assert "SCREEN HELD" not in text_of(app)

    asyncio.run(hold())


def read_count(directory: Path) -> int:
    return sum(1 for _ in read_journal(directory))


def test_leaving_it_running_detaches_and_the_engine_goes_on(engine: EngineProcess, tmp_path: Path) -> None:
    async def leave() -> None:
        async with dashboard([engine.directory], NARROW, tmp_path, engine=engine) as (app, pilot):
            await shows(app, "running")
            await pilot.press("q", "l")
            await until(lambda: not app.is_running)

    asyncio.run(leave())
    assert engine.detached
    assert engine.returncode is None
    assert not steered(engine.directory)

    async def come_back_and_stop() -> None:
        async with dashboard([engine.directory], NARROW, tmp_path) as (app, pilot):
            await shows(app, "running")
            await pilot.press("ctrl+x")
            await until(lambda: app.in_front.moment().view.end is not None, app)
            await pilot.press("q")
            await until(lambda: not app.is_running)

    asyncio.run(come_back_and_stop())
    assert engine.wait(30) is ExitCode.PASS


def at_once(app: Dashboard, *keys: str) -> None:
    """Pressed before any of them could be answered, as by somebody quick on a slow line."""
    for key in keys:
        app.post_message(events.Key(key, {"slash": "/", "enter": "\r"}.get(key, key)))


def test_what_is_typed_before_a_question_is_there_is_an_answer_to_it(engine: EngineProcess, tmp_path: Path) -> None:
    async def type_ahead() -> None:
        async with dashboard([engine.directory], WIDE, tmp_path, engine=engine) as (app, _):
            await shows(app, "running")
            table = app.screen.query_one(ClientsPane).query_one(LineTable)
            await until(lambda: table.shown, app)
            at_once(app, "1", "slash", *"q2p", "enter")
            await until(lambda: table.filter == "q2p" and app.focused is table, app)
            at_once(app, "slash")
            await until(lambda: isinstance(app.focused, Input), app)
            at_once(app, *"ap", "enter")
            await until(lambda: table.filter == "q2pap" and app.focused is table, app)
            at_once(app, *"mquick", "enter")
            await until(lambda: "remark" in steered(engine.directory), app)
            at_once(app, *"qs")
            await until(lambda: not app.is_running)

    asyncio.run(type_ahead())
    steers = [record.event for record in read_journal(engine.directory) if isinstance(record.event, Steer)]
    assert [(steer.command, steer.argument) for steer in steers] == [("remark", "quick"), ("stop", "")], "no other key was a command"


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_each_pane_gets_the_whole_screen_and_gives_it_back(finished_run: Path, size: tuple[int, int], tmp_path: Path) -> None:
    async def watch() -> None:
        async with dashboard([finished_run], size, tmp_path) as (app, pilot):
            await shows(app, "ended")
            screen = app.screen
            assert isinstance(screen, RunScreen)
            for number in "1234567":
                await pilot.press(number, "z")
                pane = screen.pane
                await until(partial(at_least, pane, size[0] - 6, size[1] - 6), app)
                lines = text_of(app).splitlines()
                assert "Help" in lines[-1], "its keys"
                assert "●" in lines[-2], "where in the run's time it stands"
                await pilot.press("z")
                await until(lambda: screen.maximized is None and not at_least(screen.pane, 0, size[1] - 6), app)

    asyncio.run(watch())


def test_two_runs_are_watched_in_turn_and_tables_and_screens_leave_as_files(finished_run: Path, failed_run: Path, tmp_path: Path) -> None:
    async def watch() -> None:
        async with dashboard([finished_run, failed_run], WIDE, tmp_path) as (app, pilot):
            await shows(app, finished_run.name)
            await pilot.press("right_curly_bracket")
            await shows(app, failed_run.name)
            await pilot.press("left_curly_bracket")
            await shows(app, finished_run.name)
            table = app.screen.query_one(ClientsPane).query_one(LineTable)
            await until(lambda: table.shown, app)
            await pilot.press("1", "ctrl+e", "ctrl+o", "f12")
            await until(lambda: len(list(tmp_path.iterdir())) == 3, app)

    asyncio.run(watch())
    names = sorted(path.suffix for path in tmp_path.iterdir())
    assert names == [".csv", ".json", ".svg"]
    for path in tmp_path.iterdir():
        assert path.name.startswith(finished_run.name)
        assert "wri" in path.read_text() or "state" in path.read_text()
