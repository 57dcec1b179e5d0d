"""The directories worth logging: sizes, growth, what just changed, and that watching ends."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from seatrial.clock import SYSTEM_CLOCK
from seatrial.history.events import Event, StorageStats
from seatrial.history.frames import CacheFrame, DirectoryFrame, Frame
from seatrial.report.prose import size as human_size
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, OpenShell
from seatrial_tui.panes.directories.pane import DirectoriesPane
from seatrial_tui.source.moment import Moment
from tests.support.waiting import eventually
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS, Stage, on_stage, recorded, shown, told, until
from tests.tui.runs import NoRun

MIB = 1 << 20


def frame(second: int, *directories: DirectoryFrame) -> Frame:
    return Frame(at_ns=BEGIN_NS + second * SECOND_NS, directories=list(directories))


def measured(path: Path | str, size_bytes: int, label: str = "data repository") -> DirectoryFrame:
    return DirectoryFrame(path=str(path), label=label, size_bytes=size_bytes, files=3, measured_at_ns=BEGIN_NS)


def before(path: Path | str, size_bytes: int) -> list[Event]:
    return [StorageStats(when="before", directories={str(path): size_bytes})]


def pane() -> DirectoriesPane:
    return DirectoriesPane(NoRun())


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "directory-watch"]


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_a_recorded_run_shows_each_directory_with_its_size(finished_run: Path, size: tuple[int, int]) -> None:
    moments = recorded(finished_run)
    view = moments[-1].view
    assert view.frame is not None
    assert view.frame.directories
    sizes = [human_size(each.size_bytes) for each in view.frame.directories]
    labels = [each.label for each in view.frame.directories]
    shown(pane(), moments, size, *labels, *sizes, "since start", "per minute")


def test_change_is_against_the_size_before_the_run_and_the_rate_over_the_last_minute() -> None:
    frames = [frame(second, measured("/data", second * MIB)) for second in range(1, 12)]
    shown(pane(), [told(before("/data", 512 << 10), frames)], (120, 24), "11.0 MiB", "+10.5 MiB", "+60.0 MiB/min")


def test_what_cannot_be_read_is_called_unreadable_and_grows_by_nothing() -> None:
    text = shown(pane(), [told(before("/data", 5), [frame(1, measured("/data", -1))])], (100, 24), "unreadable")
    row = next(line for line in text.split("\n") if "data repository" in line)
    assert row.split()[3:7] == ["unreadable", "-", "-", "-"]


def test_without_telemetry_the_sizes_before_and_after_stand_in() -> None:
    ended: list[Event] = [*before("/p/robustness-data", MIB), StorageStats(when="after", directories={"/p/robustness-data": 3 * MIB})]
    shown(pane(), [told(before("/p/robustness-data", MIB), live=False)], (100, 24), "robustness-data", "1.0 MiB", "before the run")
    shown(pane(), [told(ended, live=False)], (100, 24), "3.0 MiB", "+2.0 MiB", "after the run")


def test_a_cache_is_one_row_and_its_parts_are_left_to_the_caches() -> None:
    cache = CacheFrame(owner="anna", path="/c", size_bytes=MIB, files=7, subdirectories={"index": MIB})
    stats: list[Event] = [StorageStats(when="before", directories={"/c": -1, "/c/index": -1})]
    text = shown(pane(), [told(stats, [Frame(at_ns=BEGIN_NS, caches=[cache])])], (100, 24), "cache of anna", "1.0 MiB", "1 directory")
    assert "index" not in text


def test_empty_states_tell_what_they_wait_for() -> None:
    shown(pane(), [Moment()], (80, 24), "no telemetry yet")
    shown(pane(), [told([], [frame(1)])], (80, 24), "no directories told")


def test_a_path_that_is_not_on_this_host_says_so_also_for_a_finished_run() -> None:
    moment = told([], [frame(1, measured("/nowhere/at/all", MIB))], live=False)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        made.show(moment)  # once: a moment of the past stands still
        text = await until(pilot, lambda: app.text, lambda text: text.count("not there now") == 2)
        assert text.count("not there now") == 2  # in the table, and in the selected one's details

    made = pane()
    on_stage(made, (140, 24), act)


def test_what_just_changed_is_named_with_its_age_and_only_shallow_directories_are_watched(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "locks").mkdir(parents=True)
    deep = repository / "data" / "ab"
    deep.mkdir(parents=True)
    made = pane()
    moment = told([], [frame(1, measured(repository, MIB))])
    number = 0

    def now() -> Moment:
        return msgspec.structs.replace(moment, now_ns=SYSTEM_CLOCK.now_ns())

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        def look() -> str:
            nonlocal number  # again and again: nobody tells when the watch has begun
            number += 1
            (deep / f"deep-{number}").touch()
            (repository / "locks" / f"[lock]-{number}\x1b").touch()
            made.show(now())
            return app.text

        text = await until(pilot, look, lambda text: "new locks/[lock]-" in text)
        assert "new locks/[lock]-" in text
        assert "\\x1b" in text
        assert re.search(r"\d s ago", text)
        assert "deep-" not in text

    on_stage(made, (140, 24), act)


def test_the_watch_ends_with_the_pane_and_rests_while_it_is_hidden(tmp_path: Path) -> None:
    moment = told([], [frame(1, measured(tmp_path, MIB))])
    made = pane()

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        made.show(moment)
        assert await until(pilot, lambda: "yes" if watching() else "", bool) == "yes"
        made.display = False
        assert await until(pilot, lambda: "" if watching() else "none", bool) == "none"
        made.display = True
        assert await until(pilot, lambda: "yes" if watching() else "", bool) == "yes"

    on_stage(made, (80, 24), act)
    assert eventually(lambda: not watching())


def test_the_selected_directory_is_opened_and_copied() -> None:
    made = pane()
    frames = [frame(1, measured("/p/[data]", MIB), measured("/p/[meta]", MIB, "metadata"))]

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        made.show(told([], frames))
        made.query_one(LineTable).focus()
        await pilot.press("down", "o", "y")
        await until(pilot, lambda: str(len(app.asked)), lambda count: count == "2")
        opened, copied = app.asked
        assert isinstance(opened, OpenShell)
        assert opened.path == Path("/p/[meta]")
        assert isinstance(copied, CopyText)
        assert copied.text == "/p/[meta]"

    on_stage(made, (80, 24), act)


@pytest.mark.parametrize("size", [(40, 6), (64, 10), (80, 24), (200, 60)])
def test_the_table_keeps_its_place_at_any_size(size: tuple[int, int]) -> None:
    text = shown(pane(), [told([], [frame(1, measured("/data", MIB))])], size, "data repository", "1.0 MiB")
    lines = text.split("\n")
    assert len(lines) == size[1]
    assert max(map(len, lines)) <= size[0]


def test_rows_that_have_not_changed_are_the_same_objects() -> None:
    made = pane()
    first = frame(1, measured("/a", MIB), measured("/b", MIB, "metadata"))
    second = frame(2, measured("/a", 2 * MIB), measured("/b", MIB, "metadata"))
    rows = []

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        for moment in (told([], [first]), told([], [first, second])):
            made.show(moment)
            rows.append(list(made.query_one(LineTable).shown))

    on_stage(made, (120, 40), act)
    (one, other), (one_later, other_later) = rows
    assert one_later is not one
    assert other_later is other


def test_the_export_has_figures_not_texts() -> None:
    made = pane()
    frames = [frame(second, measured("/data", second * MIB)) for second in range(1, 12)]
    shown(made, [told(before("/data", MIB), frames)], (80, 24), "data repository")
    exported = made.export()
    (row,) = exported.rows
    assert dict(zip(exported.columns, row, strict=True)) == {
        "label": "data repository",
        "size_bytes": 11 * MIB,
        "since_start_bytes": 10 * MIB,
        "bytes_per_minute": 60.0 * MIB,
        "files": 3,
        "last_change": None,
        "path": "/data",
    }
