"""One client in full: facts, timeline, snapshots, errors, figures; live, and left again."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from seatrial.history.frames import CacheFrame, ClientFrame
from seatrial.verdicts import Outcome
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, Drive, OpenShell
from seatrial_tui.screens.client import ClientScreen
from tests.tui.clients.many_clients import ManyClients, client_id
from tests.tui.table.table_stage import Stage, on_stage, until

SIZES = ((80, 24), (160, 50))


def _run() -> ManyClients:
    run = ManyClients(3)
    run.act(0)
    run.pass_time(1)
    run.act(0, "restore-random-snapID", Outcome.FAILED, cause="contended", message="the lock [/var/x] is held\x1b[2J " + "by another " * 20)
    run.pass_time(1)
    run.act(0, "delete-files", noop=True)
    run.find(0)
    run.begin(0, "write-random-files")
    run.pass_time(4)
    cache = CacheFrame(owner=client_id(0), path="/cache/[0]", size_bytes=3 << 20, files=7, limit_bytes=1 << 30, subdirectories={"blobs": 5})
    run.frame(
        {0: ClientFrame(state="running", action="write-random-files", op="op-4", since_s=4, stage="write", done=1, total=4, unit="files")},
        [cache],
    )
    return run


def _asked(app: Stage, kind: type) -> list[object]:
    return [message for message in app.asked if isinstance(message, kind)]


@pytest.mark.parametrize("size", SIZES)
def test_facts_and_timeline_are_told_newest_first(size: tuple[int, int]) -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "✗ failed" in app.text and "UTC" in app.text)
        facts = "\n".join(app.lines[:8])
        for told in (
            "brave-otter-0",
            "▶ running  write-random-files",
            "25%",
            "for 4 s",
            "1 ok  1 failed  0 unknown",
            "1 finding",
            client_id(0),
            "/data/[0]",
            "3.0 MiB of 1.0 GiB, 7 files  /cache/[0]",
            "1 of 3",
        ):
            assert told in facts
        order = [line.split()[1] for line in app.lines if ":" in line[:4] and line[1:3].isdigit()]
        # At 80 columns the longer ones are cut.
        whole = ["write-random-files", "finding", "delete-files", "restore-random-snapID", "snapshot-root", "client-joined"]
        assert len(order) == len(whole)
        assert all(action.startswith(shown.removesuffix("…")) for action, shown in zip(whole, order, strict=True))

    on_stage(screen, act, size)


def test_on_a_small_terminal_there_is_room_for_what_it_did() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: sum(line[1:3].isdigit() and ":" in line[:4] for line in app.lines) >= 2)
        assert "brave-otter-0" in app.text

    on_stage(screen, act, (40, 10))


def test_what_is_under_way_grows_older_and_new_actions_come_in_at_the_top() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "▶ running      4 s" in app.text)
        run.pass_time(61)
        screen.show(run.moment())
        await until(lambda: "▶ running    1m05s" in app.text)
        run.act(0, "list-snapshots")
        screen.show(run.moment())
        await until(lambda: "list-snapshots" in app.text)
        selected = screen.query_one("#timeline", LineTable).selected
        assert selected is not None
        assert selected.row.action == "list-snapshots"

    on_stage(screen, act, (100, 30))


def test_the_selected_line_is_told_in_full_and_copied_by_enter() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "finding" in app.text)
        await pilot.press("3", "down")
        await until(lambda: r"the lock [/var/x] is held\x1b[2J by another by another" in app.text)
        await pilot.press("enter")
        await until(lambda: _asked(app, CopyText))
        (copied,) = _asked(app, CopyText)
        assert isinstance(copied, CopyText)
        assert copied.text.count("by another") == 20
        assert copied.text.isprintable()

    on_stage(screen, act, (160, 30))


def test_tables_are_reached_by_number_by_tab_and_by_mouse() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "Timeline" in app.text)
        await pilot.press("2")
        await until(lambda: "✓ live" in app.text and "snap-1" in app.text)
        await pilot.press("tab")
        await until(lambda: "✗ found" in app.text and "snapshot-root" not in app.lines[9])
        await pilot.press("4")
        await until(lambda: "errors by" in app.text)
        await pilot.press("tab")
        await until(lambda: "outcome" in app.text)
        assert app.focused is screen.query_one("#timeline")
        bar = next(y for y, line in enumerate(app.lines) if "2 Snapshots" in line)
        await pilot.click(offset=(app.lines[bar].index("Snapshots"), bar))
        await until(lambda: "✓ live" in app.text)

    on_stage(screen, act)


def test_snapshots_that_did_not_change_stay_the_same_objects() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        table = screen.query_one("#snapshots", LineTable)
        await until(lambda: len(table.shown) == 1)
        (before,) = table.shown
        run.act(0)
        screen.show(run.moment())
        assert len(table.shown) == 2
        assert table.shown[1] is before

    on_stage(screen, act)


def test_keys_ask_for_what_concerns_this_client() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(1))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await pilot.press("n", "x", "y", "d", "o")
        await until(lambda: _asked(app, OpenShell))
        drives = [(message.command, message.argument) for message in app.asked if isinstance(message, Drive)]
        assert drives == [("snapshot", client_id(1)), ("remove-client", client_id(1))]
        assert [message.text for message in app.asked if isinstance(message, CopyText)] == [client_id(1), "/data/[1]"]
        assert [message.path for message in app.asked if isinstance(message, OpenShell)] == [Path("/data/[1]")]

    on_stage(screen, act)


def test_one_steps_from_client_to_client_in_a_circle() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(2))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "dusty-newt-2" in app.text and "client-joined" in app.text)
        await pilot.press("right_square_bracket")
        await until(lambda: "brave-otter-0" in app.text and "✗ failed" in app.text)
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(lambda: "calm-heron-1" in app.text)

    on_stage(screen, act)


def test_escape_leaves_but_first_the_filter() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        table = screen.query_one("#timeline", LineTable)
        await pilot.press("slash", *"finding", "enter")
        await until(lambda: len(table.shown) == 1 and app.focused is table)
        await pilot.press("escape")
        await until(lambda: len(table.shown) == 6)
        assert app.screen is screen
        await pilot.press("escape")
        await until(lambda: app.screen is not screen)

    on_stage(screen, act)


def test_a_client_that_is_not_there_at_this_moment_is_said_to_be_so() -> None:
    run = _run()
    screen = ClientScreen(run, "nobody-of-that-name")

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        await until(lambda: "not there at this moment" in app.text)
        await pilot.press("d", "o", "2", "3", "4")
        assert not app.asked
        assert screen.export().rows == []

    on_stage(screen, act)


def test_an_export_is_the_table_in_front() -> None:
    run = _run()
    screen = ClientScreen(run, client_id(0))

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        exported = screen.export()
        assert exported.name == "brave-otter-0-timeline"
        rows = [dict(zip(exported.columns, row, strict=True)) for row in exported.rows]
        assert [row["outcome"] for row in rows] == [None, "finding", "no-op", "failed", "ok", None]
        assert rows[4]["bytes"] == 1 << 20
        await pilot.press("3")
        await until(lambda: screen.export().name == "brave-otter-0-errors")
        assert [row[1] for row in screen.export().rows] == ["finding", "restore-random-snapID"]

    on_stage(screen, act)
