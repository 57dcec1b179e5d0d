"""All clients, one line each: what is told, what keys ask for, where the selection goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from seatrial.history.frames import ClientFrame
from seatrial.verdicts import Outcome
from seatrial_tui.lines.ages import Ages, lasting
from seatrial_tui.lines.table import LineTable
from seatrial_tui.messages import CopyText, Drive, OpenClient
from seatrial_tui.panes.clients.following import STEP_S, TROUBLE_HELD_S, Following
from seatrial_tui.panes.clients.pane import ClientsPane
from tests.tui.clients.many_clients import ManyClients, client_id
from tests.tui.runs import moment_of
from tests.tui.table.table_stage import Stage, on_stage, until

SIZES = ((80, 24), (160, 50))


def _line(app: Stage, name: str) -> str:
    return next((line for line in app.lines if name in line), "")


def _selected(pane: ClientsPane) -> str:
    row = pane.query_one(LineTable).selected
    return row.row.id if row else ""


def _busy() -> ManyClients:
    run = ManyClients(6)
    run.act(1, "restore-random-snapID", Outcome.FAILED, cause="contended")
    run.act(2, "delete-random-snapID", Outcome.UNKNOWN, cause="deadline")
    run.act(3, "delete-files", noop=True)
    run.act(4, "snapshot-root")
    run.leave(5)
    run.pass_time(65)
    run.frame(
        {
            0: ClientFrame(state="running", action="snapshot-root", since_s=65, stage="upload", done=45, total=90, unit="files"),
            1: ClientFrame(state="queued", action="write-random-files", since_s=2),
            2: ClientFrame(state="paused"),
        }
    )
    return run


@pytest.mark.parametrize("size", SIZES)
def test_each_state_and_outcome_is_a_word_with_a_sign(size: tuple[int, int]) -> None:
    run = _busy()
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "50%" in app.text)
        assert "▶ ██░░  50%  1m05s  snapshot-root" in _line(app, "brave-otter-0")
        assert "… queued       2 s  write-random" in _line(app, "calm-heron-1")
        assert "✗ failed" in _line(app, "calm-heron-1")
        assert "‖ paused" in _line(app, "dusty-newt-2")
        assert "? unknown" in _line(app, "dusty-newt-2")
        assert "· idle" in _line(app, "eager-lynx-3")
        assert "○ no-op" in _line(app, "eager-lynx-3")
        assert "✓ ok" in _line(app, "gentle-moth-4")
        assert "■ gone" in _line(app, "brave-otter-5")
        assert "6 clients: 1 running, 1 queued, 2 idle, 1 paused, 1 gone" in app.text

    on_stage(pane, act, size)


def test_all_figures_are_there_where_there_is_room() -> None:
    run = _busy()
    run.find(4)
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "findings" in app.text)
        assert _line(app, "gentle-moth-4").split()[1:-1] == [
            "gentle-moth-4",
            "·",
            "idle",
            "✓",
            "ok",
            *"1000",
            "84.0",
            "ms",
            "1",
            "1.0",
            "MiB",
            "1",
        ]

    on_stage(pane, act, (160, 20))


def test_what_a_narrow_screen_keeps_is_what_goes_wrong() -> None:
    run = _busy()
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "client" in app.lines[1])
        assert app.lines[1].strip("│ ").split() == ["client", "state", "action", "last", "failed"]

    on_stage(pane, act, (80, 24))


def test_time_passes_for_what_is_under_way_and_for_nothing_else() -> None:
    run = _busy()
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        before = {row.row.id: row for row in pane.query_one(LineTable).shown}
        run.pass_time(5)
        pane.show(run.moment())
        await until(lambda: "1m10s" in app.text)
        changed = [row.row.name for row in pane.query_one(LineTable).shown if before[row.row.id] is not row]
        assert changed == ["brave-otter-0", "calm-heron-1"]

    on_stage(pane, act)


def test_keys_ask_for_what_concerns_the_selected_client() -> None:
    run = _busy()
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "gentle-moth-4" in app.text)
        await pilot.press("down", "n", "x", "a", "y", "enter")
        await until(lambda: any(isinstance(message, OpenClient) for message in app.asked))
        drives = [(message.command, message.argument) for message in app.asked if isinstance(message, Drive)]
        assert drives == [("snapshot", client_id(1)), ("remove-client", client_id(1)), ("add-client", "")]
        assert [message.text for message in app.asked if isinstance(message, CopyText)] == [client_id(1)]
        assert [message.client for message in app.asked if isinstance(message, OpenClient)] == [client_id(1)]

    on_stage(pane, act)


def test_without_any_client_it_says_so_and_asks_for_nothing() -> None:
    run = ManyClients()
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await until(lambda: "No client has joined yet" in app.text)
        await pilot.press("n", "x", "y", "enter", "f", "f", "a")
        await until(lambda: any(isinstance(message, Drive) for message in app.asked))
        assert [message.command for message in app.asked if isinstance(message, Drive)] == ["add-client"]

    on_stage(pane, act)


def test_follow_goes_where_something_goes_wrong_until_the_selection_is_moved_by_hand() -> None:
    run = ManyClients(20)
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        await pilot.press("f")
        await until(lambda: "following" in app.text)
        run.act(11, outcome=Outcome.FAILED, cause="contended")
        pane.show(run.moment())
        await until(lambda: _selected(pane) == client_id(11))
        run.pass_time(1)
        run.act(4)
        pane.show(run.moment())
        assert _selected(pane) == client_id(11), "what went wrong stays in front for a while"
        await pilot.press("down")
        await until(lambda: not pane.following)
        await until(lambda: "following" not in app.text)
        run.act(2, outcome=Outcome.FAILED, cause="contended")
        run.pass_time(60)
        pane.show(run.moment())
        assert _selected(pane) == client_id(12)

    on_stage(pane, act)


def test_following_prefers_trouble_and_is_no_faster_than_one_can_read() -> None:
    run = ManyClients(5)
    run.act(0, outcome=Outcome.FAILED, cause="old")
    following = Following(run.moment().view.clients)

    def look() -> str | None:
        moment = run.moment()
        return following.next(moment.view.clients, moment.now_ns)

    run.pass_time(1)
    run.act(1)
    assert look() == client_id(1), "while all is well, what returned last"
    run.pass_time(0.5)
    run.act(2)
    assert look() is None
    run.pass_time(STEP_S)
    assert look() == client_id(2)
    run.find(3)
    assert look() == client_id(3), "a finding is trouble, at once"
    run.act(4, outcome=Outcome.UNKNOWN, cause="deadline")
    assert look() == client_id(4), "newer trouble goes before older"
    run.pass_time(TROUBLE_HELD_S - 1)
    run.act(1)
    assert look() is None
    run.pass_time(1.1)
    assert look() == client_id(1)


def test_following_goes_on_where_time_is_sought_back() -> None:
    run = ManyClients(3)
    run.act(0)
    following = Following(run.moment().view.clients)
    moment = run.moment()
    assert following.next(moment.view.clients, moment.now_ns) == client_id(0)
    assert following.next(moment.view.clients, moment.now_ns - 10**12) == client_id(0)


def test_an_export_has_the_causes_too() -> None:
    run = _busy()
    pane = ClientsPane(run)

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(run.moment())
        exported = pane.export()
        rows = [dict(zip(exported.columns, row, strict=True)) for row in exported.rows]
        assert [row["client"] for row in rows] == [client_id(number) for number in range(6)]
        assert (rows[1]["last_outcome"], rows[1]["last_cause"], rows[1]["failed"]) == ("failed", "contended", 1)
        assert (rows[3]["last_outcome"], rows[5]["state"], rows[4]["bytes"]) == ("no-op", "gone", 1 << 20)

    on_stage(pane, act)


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_took_place_is_shown(finished_run: Path, size: tuple[int, int]) -> None:
    moment = moment_of(finished_run)
    pane = ClientsPane(ManyClients())

    async def act(app: Stage, pilot: Pilot[None]) -> None:
        pane.show(moment)
        await until(lambda: all(row.name[:10] in app.text for row in moment.view.clients))
        assert f"{len(moment.view.clients)} clients" in app.text

    on_stage(pane, act, size)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, ""), (0, "0 s"), (59, "59 s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (86_399, "23h59m"), (86_400, "1d00h")],
)
def test_how_long_something_lasts_takes_six_cells_at_most(seconds: int, expected: str) -> None:
    assert lasting(seconds) == expected
    assert len(expected) <= 6


def test_the_longer_something_lasts_the_seldomer_its_line_changes() -> None:
    ages: Ages[str] = Ages(lambda row: row, lambda row: None if row == "idle" else 0)
    seen = [ages.at(("waits", "idle"), second * 1_000_000_000)[0] for second in range(2 * 3600)]
    changes = [second for second in range(1, len(seen)) if seen[second] is not seen[second - 1]]
    assert changes == [*range(1, 60), *range(60, 3600, 5), *range(3600, 7200, 60)]
    assert [lasting(seen[second].seconds) for second in (59, 64, 65, 3599, 3659, 3660)] == [
        "59 s",
        "1m00s",
        "1m05s",
        "59m55s",
        "1h00m",
        "1h01m",
    ]
    assert ages.at(("waits", "idle"), 0)[1] is ages.at(("waits", "idle"), 10**15)[1]
