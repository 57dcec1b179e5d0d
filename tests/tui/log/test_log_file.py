"""A log on disk that grows, is cut, is replaced, is strange."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial_tui.log.logfile import LogFile
from tests.support.waiting import eventually

PATIENT_S = 10.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    made = LogFile(tmp_path / "server.log")
    made.start()
    yield made
    made.close()


def _settled(log: LogFile, lines: int) -> bool:
    return eventually(lambda: log.state.lines == lines and log.state.indexed_bytes == log.path.stat().st_size)


def _texts(log: LogFile, first: int, count: int) -> list[str | None]:
    return [line.text if line else None for line in log.lines(range(first, first + count), wait_s=PATIENT_S)]


PIECE = st.lists(st.text("ab\x1b漢\r", max_size=8), max_size=90).map(lambda lines: "\n".join(lines).encode())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.text("ab\x1b漢\r", max_size=8), max_size=90).map(lambda lines: "\n".join(lines).encode()), min_size=1, max_size=4)
)
def test_what_is_appended_is_read_as_one_who_reads_the_whole_file_does(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"")
    log = LogFile(path)
    log.start()
    try:
        for piece in pieces:
            with path.open("ab") as file:
                file.write(piece)
            data = path.read_bytes()
            wanted = data.split(b"\n")[: data.count(b"\n") + (not data.endswith(b"\n") and bool(data))]
            assert _settled(log, len(wanted))
            expected = [line.decode().removesuffix("\r").replace("\r", "\\r").replace("\x1b", "\\x1b") for line in wanted]
            assert _texts(log, 0, len(wanted)) == expected
            assert log.state.open is bool(data and not data.endswith(b"\n"))
    finally:
        log.close()


def test_a_last_line_without_newline_is_a_line_and_goes_on(log: LogFile) -> None:
    log.path.write_bytes(b"one\ntw")
    assert _settled(log, 2)
    assert _texts(log, 0, 2) == ["one", "tw"]
    with log.path.open("ab") as file:
        file.write(b"o\n")
    assert eventually(lambda: not log.state.open)
    assert _texts(log, 0, 3) == ["one", "two", None]


def test_strange_lines_are_harmless(log: LogFile) -> None:
    log.path.write_bytes(b"\x1b[2J[/bold]\x00\xff\n" + b"y" * 100_000 + b"\nlast\n")
    assert _settled(log, 3)
    first, long, last = _texts(log, 0, 3)
    assert (first, last) == ("\\x1b[2J[/bold]\\x00\\xff", "last")
    assert long is not None
    assert long.endswith("(a line of 100,000 bytes)")
    assert len(long) < 2_100


def test_a_log_that_is_cut_off_begins_anew(log: LogFile) -> None:
    log.path.write_bytes(b"old\n" * 500)
    assert _settled(log, 500)
    _texts(log, 0, 10)
    os.truncate(log.path, 0)
    with log.path.open("ab") as file:
        file.write(b"new\n")
    assert _settled(log, 1)
    assert (log.state.generation, log.state.reason) == (1, "cut off")
    assert _texts(log, 0, 1) == ["new"]


def test_a_log_that_is_replaced_begins_anew(log: LogFile) -> None:
    log.path.write_bytes(b"old\n" * 5)
    assert _settled(log, 5)
    other = log.path.with_name("other")
    other.write_bytes(b"new\n" * 9)
    other.replace(log.path)
    assert _settled(log, 9)
    assert (log.state.generation, log.state.reason) == (1, "replaced")
    assert _texts(log, 8, 1) == ["new"]


def test_a_log_that_was_cut_and_has_grown_beyond_its_old_size_between_two_looks_is_noticed(log: LogFile) -> None:
    log.path.write_bytes(b"old line\n" * 5)
    assert _settled(log, 5)
    with log.path.open("r+b") as file:  # in place, as copying and truncating does
        file.write(b"new content\n" * 50)
    assert _settled(log, 50)
    assert log.state.generation == 1
    assert _texts(log, 0, 1) == ["new content"]


def test_a_log_that_is_not_there_yet_is_read_when_it_comes(log: LogFile) -> None:
    assert eventually(lambda: log.state.missing)
    log.path.write_bytes(b"here\n")
    assert _settled(log, 1)
    assert not log.state.missing


def test_a_log_that_goes_can_still_be_read(log: LogFile) -> None:
    log.path.write_bytes(b"line\n" * 200)
    assert _settled(log, 200)
    log.path.unlink()
    assert eventually(lambda: log.state.missing)
    assert _texts(log, 150, 1) == ["line"]


def test_a_pipe_in_its_place_holds_nobody(log: LogFile) -> None:
    os.mkfifo(log.path)
    assert eventually(lambda: log.state.missing)
    assert log.state.lines == 0


def test_an_offset_leads_to_its_line(log: LogFile) -> None:
    log.path.write_bytes(b"".join(b"line %d\n" % number for number in range(50_000)))
    assert _settled(log, 50_000)
    offset = log.path.read_bytes().index(b"line 43210\n")
    assert log.line_at(offset, wait_s=PATIENT_S) == 43_210
    assert log.line_at(offset + 5, wait_s=PATIENT_S) == 43_210
    assert log.line_at(0, wait_s=PATIENT_S) == 0
    assert log.line_at(log.path.stat().st_size) == 50_000


def test_closing_gives_back_thread_and_file(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_bytes(b"line\n")
    log = LogFile(tmp_path / "server.log")
    before = threading.active_count()
    log.start()
    assert _settled(log, 1)
    log.close()
    log.close()
    assert threading.active_count() == before
    assert log.duplicate() is None
