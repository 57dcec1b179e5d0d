"""A run as long as one likes takes as much memory as a short one."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from seatrial.config.model import ActionName
from seatrial.history.events import ErrorInfo, Event
from seatrial.verdicts import Outcome
from seatrial_tui.source.cursor import Cursor
from tests.tui.source.journals import PLAN, SECOND, finding, invoke, numbered, result, written

EVENTS = 200_000
_WRITE = ActionName.WRITE.value


@pytest.mark.slow
def test_the_second_half_of_200_000_events_takes_no_more_memory_than_the_first(tmp_path: Path) -> None:
    events: list[Event] = [PLAN]
    failed = ErrorInfo(cause="contended", message="the repository is locked")
    for number in range(EVENTS // 2):
        client, op = f"c{number % 200}", str(number)
        outcome = Outcome.FAILED if number % 50 == 0 else Outcome.OK
        events.append(invoke(op, client, action=_WRITE))
        events.append(
            result(
                op,
                client,
                action=_WRITE,
                outcome=outcome,
                error=failed if outcome is Outcome.FAILED else None,
                service_s=0.001 * (number % 100),
            )
        )
        if number % 20 == 0:
            events.append(finding(number, group=f"g{number % 3_000}", client=client, detail=["x" * 100] * 10))
    directory = written(tmp_path, numbered(events, SECOND // 50))
    del events
    process = psutil.Process()
    with closing(Cursor(directory, threading.Lock(), print)) as cursor:
        while cursor.step() and cursor.state.seq < EVENTS // 2:
            pass
        half = process.memory_info().rss
        while cursor.step():
            pass
        grown = process.memory_info().rss - half
    assert cursor.state.seq > EVENTS
    assert grown < 8 << 20, f"{grown:,} bytes more"
