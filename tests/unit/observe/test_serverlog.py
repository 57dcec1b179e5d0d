"""Server logs as they really are: half lines, garbage, escapes, far too long lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.observe import serverlog
from seatrial.observe.serverlog import ServerLog, clean, clean_lines


@pytest.fixture
def log(tmp_path: Path) -> ServerLog:
    return ServerLog(tmp_path / "server.log")


def test_a_missing_log_reads_as_empty(log: ServerLog) -> None:
    assert (log.size_bytes(), log.tail(), log.read(0, 100), log.lines_between(0, 100)) == (0, [], b"", [])


def test_the_tail_is_the_last_lines_also_without_a_newline_at_the_end(log: ServerLog) -> None:
    log.path.write_text("one\ntwo\r\n\nfour")
    assert log.tail(3) == ["two", "", "four"]
    assert log.tail(100) == ["one", "two", "", "four"]
    assert log.tail(0) == []


def test_a_range_by_offset_is_what_was_written_between(log: ServerLog) -> None:
    log.path.write_text("before\n")
    begin = log.size_bytes()
    with log.path.open("a") as file:
        file.write("during\nmore\n")
    end = log.size_bytes()
    with log.path.open("a") as file:
        file.write("after\n")
    assert log.lines_between(begin, end) == ["during", "more"]
    assert log.read(begin, end) == b"during\nmore\n"
    assert log.read(end, begin) == log.read(10_000, 20_000) == b""
    assert log.read(-5, 3) == b"bef"


def test_nothing_is_read_beyond_its_bound(log: ServerLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverlog, "TAIL_BYTES", 10)
    monkeypatch.setattr(serverlog, "RANGE_BYTES", 12)
    log.path.write_text("a much longer line\nlast\n")
    assert log.tail() == ["… line", "last"]
    assert log.read(0, 1 << 40) == b"a much longe"


def test_a_line_of_a_hundred_kilobytes_is_cut_and_says_so(log: ServerLog) -> None:
    log.path.write_bytes(b"x" * 100_000 + b"\nshort\n")
    long, short = log.tail()
    assert long == "x" * serverlog.LINE_LIMIT + " … (98000 characters more)"
    assert short == "short"


def test_nul_invalid_utf8_and_escape_sequences_are_made_visible(log: ServerLog) -> None:
    log.path.write_bytes(
        b"nul\0 bad\xff esc\x1b[2J\x1b]0;title\x07 bell\x07 c1\xc2\x9b cr\rover \xe2\x80\xae turned \xe2\x80\xa8 sep\ttab\n"
    )
    assert log.tail() == [r"nul\x00 bad\xff esc\x1b[2J\x1b]0;title\x07 bell\x07 c1\x9b cr\rover \u202e turned \u2028 sep    tab"]


def test_words_of_all_languages_stay() -> None:
    assert clean("größe 大小 размер 🙂") == "größe 大小 размер 🙂"


@given(st.binary(max_size=2000))
def test_no_bytes_ever_repaint_a_terminal(data: bytes) -> None:
    for line in clean_lines(data):
        assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000 for character in line)
        assert len(line) <= 12 * serverlog.LINE_LIMIT


def test_a_pipe_in_the_logs_place_blocks_nobody(log: ServerLog) -> None:
    os.mkfifo(log.path)
    assert log.read(0, 100) == b""
    assert log.tail() == []
