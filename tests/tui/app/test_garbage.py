"""Garbage is looked for while nobody types, and as before once the dashboard has gone."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seatrial.clock import VirtualClock
from seatrial_tui.command import no_garbage_yet
from seatrial_tui.ending import Ending
from seatrial_tui.garbage import AT_LATEST_S, QUIET_S, SWEEP_S, Sweeper
from tests.tui.app.screens import NARROW, dashboard, until


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold(), gc.get_freeze_count()
    yield
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def old_knot() -> weakref.ref[Knot]:
    """Garbage that only a look through all objects finds."""
    knot = Knot()
    for _ in range(3):
        gc.collect(1)
    return weakref.ref(knot)


def test_what_is_thrown_away_is_found_by_a_sweep_and_not_before() -> None:
    clock = VirtualClock()
    with closing(Sweeper(clock)) as sweeper:
        sweeper.begin()
        knot = old_knot()
        assert not sweeper.look()
        assert knot() is not None
        clock.advance(SWEEP_S)
        assert sweeper.look()
        assert knot() is None
        assert not sweeper.look()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there Python looks through all objects piece by piece")
def test_python_itself_looks_through_all_objects_no_more() -> None:
    with closing(Sweeper(VirtualClock())) as sweeper:
        sweeper.begin()
        before = gc.get_stats()[2]["collections"]
        kept = [[Knot()] for _ in range(200_000)]
        assert gc.get_stats()[2]["collections"] == before
        assert len(kept) == 200_000


def test_who_types_is_not_held_up_unless_it_goes_on_for_long() -> None:
    clock = VirtualClock()
    with closing(Sweeper(clock)) as sweeper:
        sweeper.begin()
        clock.advance(SWEEP_S)
        sweeper.typed()
        assert not sweeper.look()
        clock.advance(QUIET_S / 2)
        assert not sweeper.look()
        clock.advance(QUIET_S / 2)
        assert sweeper.look()
        clock.advance(AT_LATEST_S - 0.5)
        sweeper.typed()
        assert not sweeper.look()
        clock.advance(0.5)
        assert sweeper.look()


def test_where_a_sweep_takes_long_the_next_is_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock()
    with closing(Sweeper(clock)) as sweeper:
        sweeper.begin()
        monkeypatch.setattr(gc, "collect", lambda: clock.advance(0.1))
        clock.advance(SWEEP_S)
        assert sweeper.look()
        clock.advance(SWEEP_S + 1)
        assert not sweeper.look()
        clock.advance(20 - SWEEP_S - 1)
        assert sweeper.look()


def test_before_it_begins_it_leaves_all_to_python() -> None:
    clock = VirtualClock()
    sweeper = Sweeper(clock)
    clock.advance(AT_LATEST_S)
    assert not sweeper.look()
    sweeper.close()


def test_the_dashboard_sweeps_between_keys_for_as_long_as_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed, looked = list[bool](), list[bool]()
    monkeypatch.setattr(Sweeper, "typed", lambda _: typed.append(True))
    monkeypatch.setattr(Sweeper, "look", lambda _: looked.append(True))

    async def play() -> None:
        before = gc.get_threshold()
        async with dashboard([tmp_path], NARROW, tmp_path) as (app, pilot):
            await until(lambda: gc.get_freeze_count() and looked, app)
            assert gc.get_threshold() != before
            assert not typed
            await pilot.press("j")
            assert typed

    asyncio.run(play())


def test_a_dashboard_that_breaks_down_leaves_python_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with dashboard([tmp_path], NARROW, tmp_path) as (app, _):
            await until(gc.get_freeze_count, app)
            monkeypatch.setattr(Sweeper, "look", lambda _: 1 // 0)
            await until(lambda: not app.is_running)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(play())


def test_a_start_looks_for_no_garbage_and_what_is_shown_does() -> None:
    enabled: list[bool] = []

    class Shown(Ending[None]):
        def on_mount(self) -> None:
            enabled.append(gc.isenabled())

    async def show() -> None:
        app = Shown()
        async with app.run_test():
            await until(gc.isenabled)

    with no_garbage_yet():
        asyncio.run(show())
        enabled.append(gc.isenabled())
    assert enabled == [False, True]
