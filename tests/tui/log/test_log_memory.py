"""A million lines: what they cost in memory, and how long the screen waits."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial_tui.log.logfile import PATIENCE_S, LogFile
from seatrial_tui.log.scan import Scan
from tests.support.waiting import eventually
from tests.tui.log.logs import write_lines

MILLION = 1_000_000
LIMIT_BYTES = 60 << 20


@pytest.mark.slow
def test_a_million_lines_read_filtered_and_paged_through_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    write_lines(path, 0, MILLION)
    gc.collect()
    before = psutil.Process().memory_info().rss
    log = LogFile(path)
    log.start()
    scan = Scan(log, "number")
    try:
        assert eventually(lambda: log.state.lines == MILLION, timeout_s=60.0)
        for first in range(0, MILLION, 997):
            lines = log.lines(range(first, min(first + 50, MILLION)), wait_s=10.0)
            assert [line and line.number for line in lines] == list(range(first, min(first + 50, MILLION)))
        assert eventually(lambda: scan.count() == MILLION, timeout_s=60.0)
        assert psutil.Process().memory_info().rss - before < LIMIT_BYTES
    finally:
        scan.close()
        scan.join()
        log.close()


@pytest.mark.slow
def test_who_asks_for_a_line_never_waits_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    write_lines(path, 0, MILLION)
    log = LogFile(path)
    log.start()
    try:
        assert eventually(lambda: log.state.lines == MILLION, timeout_s=60.0)
        waits = []
        for first in range(0, MILLION, 9_973):
            began_s = SYSTEM_CLOCK.monotonic_s()
            log.lines(range(first, first + 50))
            waits.append(SYSTEM_CLOCK.monotonic_s() - began_s)
        # The median: a machine may be so busy that any single one waits for the processor.
        assert sorted(waits)[len(waits) // 2] < 2 * PATIENCE_S
    finally:
        log.close()
