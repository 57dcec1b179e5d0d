"""The server under test: its process, its requests, its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.history.events import Event, ServerEvent
from seatrial.history.frames import Frame, ProcessFrame, ServerFrame
from seatrial.report.prose import size as human_size
from seatrial_tui.panes.server.pane import ServerPane
from seatrial_tui.panes.server.requests import Requests
from seatrial_tui.source.moment import Moment
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS, recorded, shown, told
from tests.tui.runs import NoRun

MIB = 1 << 20
READY: list[Event] = [ServerEvent(state="starting", pid=4711), ServerEvent(state="ready", pid=4711, address="https://127.0.0.1:4000/r/")]
PROCESS = ProcessFrame(pid=4711, name="server", cpu_percent=41.5, rss_bytes=64 * MIB, open_files=23, threads=9)
ENGINE = ProcessFrame(pid=17, name="seatrial", cpu_percent=12.0, rss_bytes=80 * MIB, open_files=31, threads=14)


def frame(second: int, *, server: ServerFrame | None = None, process: ProcessFrame | None = PROCESS) -> Frame:
    processes = {"engine": ENGINE} | ({"server": process} if process else {})
    return Frame(at_ns=BEGIN_NS + second * SECOND_NS, processes=processes, server=server)


def counted(second: int, **requests: int) -> Frame:
    latencies = dict.fromkeys(requests, 84.0)
    return frame(second, server=ServerFrame(requests=requests, latency_ms_p95=latencies, stored_bytes=3 * MIB, connections=5))


def pane() -> ServerPane:
    return ServerPane(NoRun())


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_a_recorded_server_tells_of_itself(finished_run: Path, size: tuple[int, int]) -> None:
    moments = recorded(finished_run)
    at = [moment for moment in moments if moment.view.server.state == "ready" and moment.view.frame and moment.view.frame.server]
    view = at[-1].view
    assert view.frame is not None
    told_by_server = view.frame.server
    assert told_by_server is not None
    most = max(told_by_server.requests.items(), key=lambda item: item[1])
    text = shown(
        pane(),
        at,
        size,
        "● ready",
        f"pid {view.server.pid}",
        view.server.address,
        f"{human_size(told_by_server.stored_bytes)}, no quota",
        f"{sum(told_by_server.requests.values()):,}",
        f"{view.frame.processes['server'].cpu_percent:.1f} %",
        human_size(view.frame.processes["server"].rss_bytes),
        f"{view.frame.processes['server'].open_files} open files",
        most[0],
        "0 deaths",
    )
    kind = next(line for line in text.split("\n") if most[0] in line)
    assert f"{most[1]:,}" in kind
    assert "/s" in kind
    assert " ms" in kind or " s" in kind


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_a_recorded_server_that_has_stopped_says_so(finished_run: Path, size: tuple[int, int]) -> None:
    text = shown(pane(), recorded(finished_run)[-1:], size, "○ stopped", "exit code 0", "ago")
    assert "DIED" not in text


def test_a_server_that_died_says_when_how_and_that_there_is_no_process() -> None:
    died: list[Event] = [*READY, ServerEvent(state="died", pid=4711, exit_code=-9, detail="killed by [signal] 9")]
    frames = [frame(1), frame(2), frame(3, process=None)]
    moment = told(died, frames, now_ns=BEGIN_NS + 63 * SECOND_NS)
    text = shown(
        pane(), [moment], (80, 24), "✗ DIED", "signal 9 (SIGKILL)", "1m 00s ago", "1 death", "no process now", "killed by [signal] 9"
    )
    cpu = next(line for line in text.split("\n") if "CPU" in line)
    assert " - " in cpu  # no figure for what is not there
    assert "↑50 %" in cpu  # and its past stays


def test_a_restarted_server_counts_its_restarts_and_deaths() -> None:
    again: list[Event] = [*READY, ServerEvent(state="died", pid=4711), *READY]
    shown(pane(), [told(again, [frame(9)])], (80, 24), "● ready", "1 restart ", "1 death ")


def test_what_a_target_does_not_tell_is_called_that() -> None:
    attached: list[Event] = [ServerEvent(state="ready", address="https://elsewhere/")]
    moment = told(attached, [frame(1, process=None)])
    text = shown(pane(), [moment], (80, 24), "pid not told by this target", "process  not told by this target", "none told")
    assert "stored   not told by this target" in text


def test_a_quota_is_told_with_its_share() -> None:
    full = ServerFrame(requests={"get-data": 1}, stored_bytes=96 * MIB, quota_bytes=100 * MIB)
    shown(pane(), [told(READY, [frame(1, server=full)])], (80, 24), "96.0 MiB of 100.0 MiB", "█████████▋  96%")


def test_rates_are_over_the_last_seconds_and_by_kind() -> None:
    moments = [told(READY, [counted(second, get=second * 10, put=7) for second in range(1, until + 1)]) for until in range(1, 9)]
    text = shown(pane(), moments, (80, 24), "requests 87, 10.0/s", "84.0 ms", "5 connections")
    rows = {line.split()[1]: line.split()[2:4] for line in text.split("\n") if "84.0 ms" in line}
    assert rows == {"get": ["80", "10.0/s"], "put": ["7", "0.0/s"]}


def test_one_frame_alone_is_no_rate() -> None:
    text = shown(pane(), [told(READY, [counted(1, get=100)])], (80, 24), "requests 100", "84.0 ms")
    assert "/s" not in text


def test_a_server_that_counts_anew_has_no_negative_rate() -> None:
    requests = Requests()
    requests.tell(counted(1, get=100))
    assert [row.per_second for row in requests.tell(counted(2, get=150))] == [50]
    assert [row.per_second for row in requests.tell(counted(3, get=4))] == [None]
    assert [row.per_second for row in requests.tell(counted(4, get=10))] == [6]


def test_going_back_in_time_and_long_silence_begin_the_rates_anew() -> None:
    requests = Requests()
    for second in (1, 2, 3):
        requests.tell(counted(second, get=second))
    assert [row.per_second for row in requests.tell(counted(1, get=1))] == [None]
    assert requests.per_second is None
    assert [row.per_second for row in requests.tell(counted(60, get=100))] == [None]


def test_a_row_that_has_not_changed_is_the_same_object() -> None:
    requests = Requests()
    requests.tell(counted(1, get=1, put=5))
    first = {row.kind: row for row in requests.tell(counted(2, get=2, put=5))}
    second = {row.kind: row for row in requests.tell(counted(3, get=3, put=5))}
    assert second["put"] is first["put"]
    assert second["get"] is not first["get"]


def test_before_anything_is_told_it_says_what_it_waits_for() -> None:
    shown(pane(), [Moment()], (80, 24), "no server yet", "no telemetry yet")
    shown(pane(), [told(READY)], (80, 24), "● ready", "no telemetry yet")


def test_on_a_few_lines_the_table_keeps_its_place() -> None:
    text = shown(pane(), [told(READY, [counted(1, get=1)])], (60, 9), "● ready", "84.0 ms")
    assert len(text.split("\n")) == 9


def test_the_export_has_figures_not_texts() -> None:
    made = pane()
    moments = [told(READY, [counted(1, get=100), *([counted(2, get=130)] if later else [])]) for later in (False, True)]
    shown(made, moments, (80, 24), "30.0/s")
    exported = made.export()
    assert exported.columns == ["request", "count", "per_second", "latency_s_p95"]
    assert exported.rows == [["get", 130, 30.0, 0.084]]
