"""The caches: how full, how they grow, what they are made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from seatrial.history.events import ClientJoined, Event
from seatrial.history.frames import CacheFrame, Frame
from seatrial.report.prose import size as human_size
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, OpenShell
from seatrial_tui.panes.cache.pane import CachePane
from seatrial_tui.source.moment import Moment
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS, Stage, on_stage, recorded, shown, told, until
from tests.tui.runs import NoRun

MIB = 1 << 20
ANNA = "gentle-anna-11111111-1111-1111-1111-111111111111"
JOINED: list[Event] = [ClientJoined(client=ANNA, index=0)]


def frame(second: int, *caches: CacheFrame) -> Frame:
    return Frame(at_ns=BEGIN_NS + second * SECOND_NS, caches=list(caches))


def cache(
    size_bytes: int, owner: str = ANNA, path: str = "/c/anna", limit_bytes: int = 0, parts: dict[str, int] | None = None
) -> CacheFrame:
    return CacheFrame(owner=owner, path=path, size_bytes=size_bytes, files=12, limit_bytes=limit_bytes, subdirectories=parts or {})


def pane() -> CachePane:
    return CachePane(NoRun())


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_a_recorded_run_shows_each_cache_and_its_parts(finished_run: Path, size: tuple[int, int]) -> None:
    moments = [moment for moment in recorded(finished_run) if moment.view.frame and moment.view.frame.caches]
    view = moments[-1].view
    assert view.frame is not None
    names = {client.id: client.name for client in view.clients}
    first = view.frame.caches[0]
    owners = [names.get(each.owner, each.owner) for each in view.frame.caches]
    text = shown(pane(), moments, size, *owners, "of its limit", "since start", f"in {first.files} files")
    for each in view.frame.caches:
        assert human_size(each.size_bytes) in text
    for name, amount in first.subdirectories.items():
        assert any(name in line and human_size(amount) in line and "%" in line for line in text.split("\n"))


def test_growth_since_the_start_and_per_minute() -> None:
    frames = [frame(second, cache(second * MIB)) for second in range(1, 12)]
    shown(pane(), [told(JOINED, frames)], (100, 24), "gentle-anna", "11.0 MiB", "+10.0 MiB ", "+60.0 MiB/min", "↑16 MiB")


def test_a_full_cache_is_told_by_bar_and_figure_and_one_without_limit_by_words() -> None:
    caches = [cache(96 * MIB, limit_bytes=100 * MIB), cache(5, owner="server", path="/c/server")]
    text = shown(pane(), [told(JOINED, [frame(1, *caches)])], (120, 24), "█████", "96%", "no limit", "of 100.0 MiB", "server")
    assert "2 caches, 96.0 MiB" in text


def test_parts_are_ordered_by_size_and_the_least_are_added_up() -> None:
    parts = {f"part-{number}": number * MIB for number in range(1, 9)}
    text = shown(pane(), [told(JOINED, [frame(1, cache(36 * MIB, parts=parts))])], (80, 24), "part-8", "3 more")
    order = [text.index(name) for name in ("part-8", "part-7", "part-6", "part-5", "part-4", "3 more")]
    assert order == sorted(order)
    assert "6.0 MiB" in next(line for line in text.split("\n") if "3 more" in line)
    assert "part-3" not in text


def test_a_target_that_reports_no_parts_is_no_fault() -> None:
    shown(pane(), [told(JOINED, [frame(1, cache(MIB))])], (80, 24), "no sub-directories told by this target")


def test_empty_states_tell_what_they_wait_for() -> None:
    shown(pane(), [Moment()], (80, 24), "no telemetry yet")
    shown(pane(), [told(JOINED, [frame(1)])], (80, 24), "this target reports none")
    both = [told(JOINED, [frame(1)]), told(JOINED, [frame(1), frame(2, cache(MIB))])]
    assert "reports none" not in shown(pane(), both, (80, 24), "gentle-anna")


@pytest.mark.parametrize("size", [(40, 8), (64, 10), (80, 24), (200, 60)])
def test_the_table_keeps_its_place_at_any_size(size: tuple[int, int]) -> None:
    text = shown(pane(), [told(JOINED, [frame(1, cache(MIB, parts={"index": MIB}))])], size, "gentle-anna", "1.0 MiB")
    lines = text.split("\n")
    assert len(lines) == size[1]
    assert max(map(len, lines)) <= size[0]


def test_the_selected_cache_is_explained_copied_and_opened() -> None:
    made = pane()
    caches = [cache(MIB), cache(2 * MIB, owner="server", path="/c/[server]", parts={"packs": 2 * MIB})]

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        made.show(told(JOINED, [frame(1, *caches)]))
        made.query_one(LineTable).focus()
        await pilot.press("down")
        assert "packs" in await until(pilot, lambda: app.text, lambda text: "packs" in text and "/c/[server]" in text)
        await pilot.press("y", "o")
        await until(pilot, lambda: str(len(app.asked)), lambda count: count == "2")
        copied, opened = app.asked
        assert isinstance(copied, CopyText)
        assert copied.text == "/c/[server]"
        assert isinstance(opened, OpenShell)
        assert opened.path == Path("/c/[server]")

    on_stage(made, (80, 24), act)


def test_a_thousand_caches_repaint_only_what_changed() -> None:
    clients: list[Event] = [ClientJoined(client=f"client-{number}-uuid", index=number) for number in range(1000)]

    def caches(changed: int) -> list[CacheFrame]:
        return [cache(MIB + (number == changed), owner=f"client-{number}-uuid", path=f"/c/{number}") for number in range(1000)]

    made = pane()
    moments = [told(clients, [frame(1, *caches(-1))]), told(clients, [frame(1, *caches(-1)), frame(2, *caches(3))])]
    rows = []

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        for moment in moments:
            made.show(moment)
            rows.append(list(made.query_one(LineTable).shown))
        await until(pilot, lambda: app.text, lambda text: "1000 caches" in text or "1,000 caches" in text)

    on_stage(made, (120, 40), act)
    before, after = rows
    assert len(after) == 1000
    assert [number for number in range(1000) if before[number] is not after[number]] == [3]


def test_the_export_has_figures_not_texts() -> None:
    made = pane()
    frames = [frame(second, cache(second * MIB, limit_bytes=100 * MIB)) for second in range(1, 12)]
    shown(made, [told(JOINED, frames)], (80, 24), "gentle-anna")
    exported = made.export()
    (row,) = exported.rows
    assert dict(zip(exported.columns, row, strict=True)) == {
        "owner": ANNA,
        "size_bytes": 11 * MIB,
        "share_of_limit": 0.11,
        "since_start_bytes": 10 * MIB,
        "bytes_per_minute": 60.0 * MIB,
        "files": 12,
        "limit_bytes": 100 * MIB,
        "path": "/c/anna",
    }
