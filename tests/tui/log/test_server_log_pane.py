"""The log's pane, driven by keys and mouse."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from seatrial.history.view import RunView
from tests.tui.log.logs import LogApp, until, write_lines

Drive = Callable[[LogApp, Pilot[None]], Awaitable[None]]
SIZES = [(80, 24), (160, 50)]


def drive(directory: Path, steps: Drive, *, lines: int, size: tuple[int, int] = (80, 24)) -> None:
    """Show the log of ``directory``, all of it, and then do ``steps``."""

    async def run() -> None:
        app = LogApp(directory)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.view.virtual_size.height == lines and str(lines - 1) in app.text(), "the log's end")
            await steps(app, pilot)

    asyncio.run(run())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    write_lines(path, 0, 1_000)
    return path


def _numbers(app: LogApp) -> list[int]:
    return [int(number) for number in re.findall(r"number=(\d+)", app.text())]


@pytest.mark.parametrize("size", SIZES)
def test_the_end_is_followed_until_somebody_scrolls_up_and_again_after_end(log: Path, size: tuple[int, int]) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        assert _numbers(app)[-1] == 999
        write_lines(log, 1_000, 5)
        await until(pilot, lambda: _numbers(app)[-1] == 1_004)
        await pilot.press("k")
        await until(pilot, lambda: _numbers(app)[-1] == 1_003)
        seen = _numbers(app)
        write_lines(log, 1_005, 1_204)
        await until(pilot, lambda: "1,204 new lines" in app.text())
        assert _numbers(app) == seen
        await pilot.press("end")
        await until(pilot, lambda: _numbers(app)[-1] == 2_208 and "new line" not in app.text())
        write_lines(log, 2_209, 1)
        await until(pilot, lambda: _numbers(app)[-1] == 2_209)

    drive(log.parent, steps, lines=1_000, size=size)


def test_f_stops_following_and_scrolling_down_does_not_begin_it_again(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("F")
        write_lines(log, 1_000, 3)
        await until(pilot, lambda: "3 new lines" in app.text())
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: _numbers(app)[-1] == 1_002)
        write_lines(log, 1_003, 50)
        await until(pilot, lambda: "53 new lines" in app.text())
        assert _numbers(app)[-1] == 1_002
        await pilot.press("F")
        await until(pilot, lambda: _numbers(app)[-1] == 1_052)

    drive(log.parent, steps, lines=1_000)


def test_keys_scroll_by_lines_pages_and_to_both_ends(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        page = len(_numbers(app))
        await pilot.press("g")
        await until(pilot, lambda: _numbers(app)[0] == 0)
        await pilot.press("j", "down")
        await until(pilot, lambda: _numbers(app)[0] == 2)
        await pilot.press("pagedown")
        await until(pilot, lambda: _numbers(app)[0] == 2 + page - 1)
        await pilot.press("pageup", "up")
        await until(pilot, lambda: _numbers(app)[0] == 1)
        assert f"2-{page + 1} of 1,000" in app.text()
        await pilot.press("G")
        await until(pilot, lambda: _numbers(app)[-1] == 999)
        assert "100 %" in app.text()

    drive(log.parent, steps, lines=1_000)


def test_levels_are_told_by_signs_and_colours(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        lines = {int(found[1]): line for line in app.text().splitlines() if (found := re.search(r"number=(\d+)", line))}
        assert "✖" in lines[990]
        assert "▲" in lines[991]
        assert not {"✖", "▲"} & set(lines[992])
        row = next(y for y, line in enumerate(app.text().splitlines()) if "number=990" in line) - app.view.region.y
        styles = {segment.style for segment in app.view.render_line(row) if "request" in segment.text}
        other = {segment.style for segment in app.view.render_line(row + 2) if "request" in segment.text}
        assert {style.color for style in styles if style} != {style.color for style in other if style}

    drive(log.parent, steps, lines=1_000)


def test_timestamps_are_shown_as_time_as_date_and_not_at_all(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        assert "│   05:16:39.999Z INFO" in app.text()
        await pilot.press("t")
        await until(pilot, lambda: "│   2026-11-22T05:16:39.999Z INFO" in app.text())
        await pilot.press("t")
        await until(pilot, lambda: "│   INFO  request number=999" in app.text())
        await pilot.press("t")
        await until(pilot, lambda: "│   05:16:39.999Z INFO" in app.text())

    drive(log.parent, steps, lines=1_000)


def test_a_filter_shows_what_matches_and_what_comes_and_escape_clears_it(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"error", "enter")
        await until(pilot, lambda: "/error  100 of 1,000" in app.text())
        await until(pilot, lambda: _numbers(app)[-1] == 990 and all(number % 10 == 0 for number in _numbers(app)))
        write_lines(log, 1_000, 11)
        await until(pilot, lambda: _numbers(app)[-1] == 1_010)
        await pilot.press("escape")
        await until(pilot, lambda: _numbers(app)[-2:] == [1_009, 1_010])
        await pilot.press("slash", *"!error|warn", "enter")
        await until(pilot, lambda: "808 of 1,011" in app.text())
        assert all(number % 10 > 1 for number in _numbers(app))

    drive(log.parent, steps, lines=1_000)


def test_a_broken_filter_is_told_and_filters_nothing(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"[bold")
        await until(pilot, lambda: "is no regular expression" in app.text())
        await pilot.press("enter")
        await until(pilot, lambda: _numbers(app)[-1] == 999)

    drive(log.parent, steps, lines=1_000, size=(120, 24))


def test_lines_in_sight_stay_in_sight_when_a_filter_comes_and_goes(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("g", *("pagedown",) * 10)
        await until(pilot, lambda: _numbers(app)[0] == 210)
        await pilot.press("slash", *"error", "enter")
        await until(pilot, lambda: _numbers(app)[:2] == [210, 220])
        await pilot.press("escape")
        await until(pilot, lambda: _numbers(app)[:2] == [210, 211])

    drive(log.parent, steps, lines=1_000)


def test_nothing_matching_is_said(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: "no line matches" in app.text())

    drive(log.parent, steps, lines=1_000)


def test_scrolled_sideways_it_stays_there_when_lines_come(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        with log.open("ab") as file:
            file.write(b"x" * 300 + b"\n")
        write_lines(log, 1_000, 1)
        await until(pilot, lambda: "›" in app.text())
        await pilot.press("right", "right")
        await until(pilot, lambda: "│ ✖ ROR request number=1000" in app.text())
        write_lines(log, 1_001, 100)
        await until(pilot, lambda: "│   FO  request number=1099" in app.text())
        assert app.view.scroll_offset.x == 16

    drive(log.parent, steps, lines=1_000)


def test_wrapped_lines_are_shown_to_their_end_however_tall(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        with log.open("ab") as file:
            file.write(b"begin " + b"x" * 1_950 + b" tail\nafter number=1000\n")
        await pilot.press("w")
        await until(pilot, lambda: " tail" in app.text() and "number=1000" in app.text())
        await pilot.press("k")
        await until(pilot, lambda: "begin" in app.text())
        write_lines(log, 1_001, 60)
        await until(pilot, lambda: "60 new lines" in app.text())
        assert "begin" in app.text()
        assert " tail" not in app.text()  # the line is taller than the screen
        for _ in range(2_000 // 70):
            await pilot.press("j")
            if " tail" in app.text():
                break
        assert "xxx tail" in app.text()
        assert "after" not in app.text()
        await pilot.press("j")
        await until(pilot, lambda: "after" in app.text() and " tail" not in app.text())
        await pilot.press("k", "w")
        await until(pilot, lambda: "›" in app.text())

    drive(log.parent, steps, lines=1_000)


def test_hostile_lines_are_shown_and_leave_no_control_character(log: Path) -> None:
    with log.open("ab") as file:
        file.write(
            b"\x1b[2J\x1b]0;title\x07 [/nothing] [bold] \x00 \xff \xe2\x80\xae \x9b31m\n"
            + "漢e\u0301🧨\n".encode()
            + b"z" * 100_000
            + b"\n"
        )
    write_lines(log, 1_003, 1)

    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        for keys in ([], ["w"], ["w", "right", "right"], ["t"], ["t"]):
            await pilot.press(*keys)
            await until(pilot, lambda: "number=1003" in app.text() or "z" in app.text())
            for y in range(app.view.size.height):
                text = app.view.render_line(y).text
                assert text.isprintable(), text
        app.view.action_first()
        app.view.action_last()
        await until(pilot, lambda: "[/nothing] [bold]" in app.text() or "[bold]" in app.text())

    drive(log.parent, steps, lines=1_004)


def test_a_log_that_begins_anew_is_told_and_shown(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        os.truncate(log, 0)
        write_lines(log, 5_000, 3)
        await until(pilot, lambda: _numbers(app) == [5_000, 5_001, 5_002])
        await until(pilot, lambda: any("cut off" in toast.message for toast in app._notifications))

    drive(log.parent, steps, lines=1_000)


def test_a_filter_goes_on_over_a_log_that_begins_anew(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"error", "enter")
        await until(pilot, lambda: "100 of 1,000" in app.text())
        os.truncate(log, 0)
        write_lines(log, 5_000, 11)
        await until(pilot, lambda: _numbers(app) == [5_000, 5_010])

    drive(log.parent, steps, lines=1_000)


def test_a_jump_shows_and_marks_the_line_with_all_around_it(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"error", "enter")
        await until(pilot, lambda: "100 of 1,000" in app.text())
        app.pane.jump_to_offset(log.read_bytes().index(b"2026-11-22T05:07:03.423Z"))
        await until(pilot, lambda: "▶ 05:07:03.423Z" in app.text())
        assert 422 in _numbers(app)
        write_lines(log, 1_000, 500)
        await until(pilot, lambda: "500 new lines" in app.text())
        assert "▶ 05:07:03.423Z" in app.text()

    drive(log.parent, steps, lines=1_000)


def test_a_jump_beyond_the_end_shows_the_end(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("g")
        app.pane.jump_to_offset(10**9)
        await until(pilot, lambda: "▶" in app.text() and _numbers(app)[-1] == 999)

    drive(log.parent, steps, lines=1_000)


def test_a_past_moment_shows_the_log_as_it_was_then(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        then = log.read_bytes().index(b"2026-11-22T05:05:00")

        def shown(now_ns: int) -> list[int]:
            app.feed(live=False, view=RunView(server_log_offset=then), now_ns=now_ns, end_ns=9)
            return _numbers(app)

        by = asyncio.get_running_loop().time() + 10
        while shown(3)[-1] != 299:
            assert asyncio.get_running_loop().time() < by
            await asyncio.sleep(0.01)
        assert "as of the moment shown" in app.text()
        while shown(9)[-1] != 999:
            assert asyncio.get_running_loop().time() < by
            await asyncio.sleep(0.01)

    drive(log.parent, steps, lines=1_000)


def test_a_frozen_screen_shows_no_new_lines(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        app.feed()  # live from here on, whoever has read the log before
        write_lines(log, 1_000, 10)
        reader = app.pane._log
        by = asyncio.get_running_loop().time() + 10
        while reader.state.lines < 1_010:  # nobody calls show
            assert asyncio.get_running_loop().time() < by
            await asyncio.sleep(0.01)
        app.pane._tick()
        app.pane._tick()
        assert app.view.virtual_size.height == 1_000

    drive(log.parent, steps, lines=1_000)


def test_y_copies_the_lines_in_sight_or_those_selected(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("g")
        await until(pilot, lambda: _numbers(app)[0] == 0)
        await pilot.press("y")
        await until(pilot, lambda: app.copied)
        assert app.copied[0].splitlines()[0] == "05:00:00.000Z ERROR request number=0 path=/data/00000000"
        assert len(app.copied[0].splitlines()) == len(_numbers(app))
        app.screen.selections = {app.view: Selection(Offset(14, 2), Offset(5, 4))}
        await pilot.press("y")
        await until(pilot, lambda: len(app.copied) == 2)
        assert app.copied[1].splitlines() == [
            "INFO  request number=2 path=/data/00000002",
            "05:00:03.003Z INFO  request number=3 path=/data/00000003",
            "05:00",
        ]

    drive(log.parent, steps, lines=1_000)


def test_the_mouse_selects_what_it_is_drawn_over_and_following_stops(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.mouse_down(app.view, offset=(2, 3))
        await pilot.hover(app.view, offset=(13, 3))
        await pilot.mouse_up(app.view, offset=(13, 3))
        await until(pilot, app.view.selected_text)
        assert app.view.selected_text().startswith("05:16:21.98")
        assert not app.view.following

    drive(log.parent, steps, lines=1_000)


def test_what_is_listed_is_saved_to_a_new_file(log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"error", "enter")
        await until(pilot, lambda: "100 of 1,000" in app.text())
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("100 lines saved" in toast.message for toast in app._notifications))
        (saved,) = (tmp_path / "here").iterdir()
        lines = saved.read_bytes().splitlines(keepends=True)
        assert lines == log.read_bytes().splitlines(keepends=True)[::10]
        assert any(str(saved) in toast.message for toast in app._notifications)

    drive(log.parent, steps, lines=1_000)


def test_an_export_holds_the_lines_in_sight_and_those_before(log: Path) -> None:
    async def steps(app: LogApp, pilot: Pilot[None]) -> None:
        exported = app.pane.export()
        assert list(exported.columns) == ["line", "level", "text"]
        assert len(exported.rows) == 1_000
        assert exported.rows[-1] == (1_000, "info", "2026-11-22T05:16:39.999Z INFO  request number=999 path=/data/000003e7")

    drive(log.parent, steps, lines=1_000)


def test_the_log_of_a_run_that_took_place_is_shown_with_its_levels(finished_run: Path) -> None:
    async def run() -> None:
        app = LogApp(finished_run)
        total = (finished_run / "server.log").read_bytes().count(b"\n")
        async with app.run_test(size=(160, 50)) as pilot:
            await until(pilot, lambda: total and f"of {total:,}  100 %" in app.text())
            rows = app.pane.export().rows
            assert {level for _, level, _ in rows} <= {"info", "warning", "error"}
            assert all(str(text)[:4].isdigit() for _, _, text in rows)

    asyncio.run(run())


def test_no_log_is_said() -> None:
    async def run() -> None:
        app = LogApp(Path("/nonexistent"))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "no server.log here" in app.text())
            await pilot.press("k", "j", "G", "g", "pageup", "pagedown", "w", "t", "y", "left", "right", "F", "F")
            assert app.pane.export().rows == []
            assert not app.copied

    asyncio.run(run())
