"""Filters over a log: the process that scans, what it finds, how it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial_tui.filters import Filter, TooLong, compile_filter
from seatrial_tui.log.listing import Listing
from seatrial_tui.log.logfile import LogFile
from seatrial_tui.log.saving import Saving
from seatrial_tui.log.scan import Scan
from seatrial_tui.log.scanner import COSTLY_MOST, FULL, GAVE_UP, Scanner, Watchdog
from seatrial_tui.log.text import line_text
from tests.support.waiting import eventually
from tests.tui.log.logs import write_lines

UNLUCKY = r"^(\w+\s?)*$"
"""Takes exponential time on many words followed by a sign that is none."""


class Patient(Watchdog):
    """Lets everything take its time, and needs no signals."""

    def __init__(self) -> None:
        pass

    def matches(self, wanted: Filter, text: str) -> bool:
        return wanted.matches(text)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    made = LogFile(tmp_path / "server.log")
    write_lines(made.path, 0, 3_000)
    made.start()
    assert eventually(lambda: made.state.lines == 3_000)
    yield made
    made.close()


@pytest.fixture
def scans() -> Iterator[list[Scan]]:
    made: list[Scan] = []
    yield made
    for scan in made:
        scan.close()
        scan.join()
    assert not _scanners()


def _done(log: LogFile, scan: Scan) -> bool:
    size = log.path.stat().st_size
    return eventually(lambda: scan.state.ended or scan.state.bytes == log.state.indexed_bytes == size)


WORDS = st.sampled_from([b"\n", b"an error\n", b"err", b"a", b"\n\n", "ü漢\nerr\n".encode(), b"x" * 2_100 + b"err\n"])
PIECES = st.lists(st.binary(max_size=40) | st.lists(WORDS, max_size=5).map(b"".join), max_size=20)


def _scanners() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "seatrial_tui.log.scanner" in child.cmdline()]


@given(PIECES, st.sampled_from(["err", "!err", "^$", "x00"]))
def test_a_scan_finds_what_looking_at_each_line_finds(pieces: list[bytes], pattern: str) -> None:
    wanted = compile_filter(pattern)
    assert wanted is not None
    scanner = Scanner(wanted, 10_000, Patient())
    found = [number for piece in pieces for number in scanner.feed(piece)]
    *lines, rest = b"".join(pieces).split(b"\n")
    assert found == [number for number, line in enumerate(lines) if wanted.matches(line_text(line, len(line)))]
    assert scanner.lines == len(lines)
    assert scanner.open_matches() is (bool(rest) and wanted.matches(line_text(rest, len(rest))))


def test_a_scan_is_full_at_its_bound() -> None:
    wanted = compile_filter("a")
    assert wanted is not None
    scanner = Scanner(wanted, 3, Patient())
    assert scanner.feed(b"a\n" * 10).tolist() == [0, 1, 2]
    assert scanner.ended == FULL


def test_a_line_that_takes_too_long_is_left_out_and_after_some_the_scan_gives_up() -> None:
    class Impatient(Patient):
        def matches(self, wanted: Filter, text: str) -> bool:
            if "slow" in text:
                raise TooLong
            return True

    wanted = compile_filter("a")
    assert wanted is not None
    scanner = Scanner(wanted, 100, Impatient())
    assert scanner.feed(b"slow\na\n").tolist() == [1]
    assert (scanner.costly, scanner.ended) == (1, 0)
    scanner.feed(b"slow\n" * COSTLY_MOST)
    assert scanner.ended == GAVE_UP


def test_matches_come_as_they_are_found_and_as_the_log_grows(log: LogFile, scans: list[Scan]) -> None:
    scans.append(scan := Scan(log, "ERROR"))
    assert _done(log, scan)
    assert scan.numbers(0, 10_000) == list(range(0, 3_000, 10))
    write_lines(log.path, 3_000, 20)
    assert eventually(lambda: scan.count() == 302)
    assert scan.numbers(299, 302) == [2_990, 3_000, 3_010]


def test_an_inverted_filter_finds_all_others(log: LogFile, scans: list[Scan]) -> None:
    scans.append(scan := Scan(log, "!error|warn"))
    assert _done(log, scan)
    assert scan.numbers(0, 10_000) == [number for number in range(3_000) if number % 10 > 1]


def test_an_unlucky_pattern_neither_stops_us_nor_goes_on_for_ever(log: LogFile, scans: list[Scan]) -> None:
    with log.path.open("ab") as file:
        file.write((b"word " * 40 + b"!\n") * 30)
    scans.append(scan := Scan(log, UNLUCKY))
    assert eventually(lambda: scan.state.ended, timeout_s=60.0)
    assert "too long" in scan.state.ended
    assert scan.state.costly == COSTLY_MOST


def test_a_filter_that_is_given_up_ends_while_it_is_stuck(log: LogFile, scans: list[Scan]) -> None:
    with log.path.open("ab") as file:
        file.write(b"word " * 40 + b"!\n")
    scans.append(scan := Scan(log, UNLUCKY))
    assert eventually(
        lambda: scan.state.lines or any("seatrial_tui.log.scanner" in child.cmdline() for child in psutil.Process().children())
    )
    scan.close()
    scan.join()
    assert not _scanners()


def test_a_pattern_that_cannot_be_handed_over_is_told(log: LogFile, scans: list[Scan]) -> None:
    scans.append(scan := Scan(log, "a\0b"))
    assert eventually(lambda: scan.state.ended)
    assert "null" in scan.state.ended


def test_a_filter_begun_before_there_is_a_log_waits_for_it(tmp_path: Path, scans: list[Scan]) -> None:
    log = LogFile(tmp_path / "server.log")
    log.start()
    try:
        scans.append(scan := Scan(log, "error"))
        write_lines(log.path, 0, 50)
        assert eventually(lambda: scan.count() == 5)
    finally:
        log.close()


def test_the_open_last_line_is_listed_while_it_matches(log: LogFile, scans: list[Scan]) -> None:
    with log.path.open("ab") as file:
        file.write(b"an error that is not yet comp")
    scans.append(scan := Scan(log, "error that"))
    assert _done(log, scan)
    assert eventually(lambda: Listing(log.state, scan).numbers(0, 9) == [3_000])
    with log.path.open("ab") as file:
        file.write(b"lete\nmore\n")
    assert eventually(lambda: scan.numbers(0, 9) == [3_000])
    assert Listing(log.state, scan).numbers(0, 9) == [3_000]


def test_a_listing_as_of_a_moment_ends_there(log: LogFile, scans: list[Scan]) -> None:
    scans.append(scan := Scan(log, "error"))
    assert _done(log, scan)
    assert Listing(log.state, limit=25).numbers(20, 40) == [20, 21, 22, 23, 24]
    filtered = Listing(log.state, scan, limit=25)
    assert (filtered.count, filtered.numbers(0, 9), filtered.place_of(11)) == (3, [0, 10, 20], 2)


def test_what_is_saved_is_what_is_listed_byte_for_byte(log: LogFile, scans: list[Scan], tmp_path: Path) -> None:
    with log.path.open("ab") as file:
        file.write(b"ERROR \x1b\xff " + b"x" * 600_000 + b"\nERROR open")
    scans.append(scan := Scan(log, "error"))
    assert _done(log, scan)
    assert eventually(lambda: Listing(log.state, scan).count == 302)
    saving = Saving(log, Listing(log.state, scan), tmp_path / "saved")
    assert eventually(lambda: saving.outcome is not None)
    saving.close()
    lines = log.path.read_bytes().splitlines(keepends=True)
    assert saving.outcome == ""
    assert (tmp_path / "saved").read_bytes() == b"".join(line for line in lines if b"ERROR" in line)


def test_a_copy_never_replaces_a_file(log: LogFile, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    saving = Saving(log, Listing(log.state), tmp_path / "there")
    assert eventually(lambda: saving.outcome)
    saving.close()
    assert (tmp_path / "there").read_text() == "precious"
    assert os.strerror(17) in str(saving.outcome)
