"""What is shown of a line: nothing a terminal obeys, its level, its timestamp."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.observe.serverlog import LINE_LIMIT
from seatrial_tui.log.lines import Level, parse
from seatrial_tui.log.text import LINE_BYTES, line_text


def _parsed(text: str) -> tuple[Level, str, str]:
    line = parse(0, text.encode(), len(text.encode()))
    return line.level, line.text[line.clock_at : line.message_at], line.text[line.message_at :]


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_line_holds_a_character_that_a_terminal_obeys(head: bytes) -> None:
    text = line_text(head, len(head))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


def test_of_a_long_line_the_beginning_is_shown_and_its_length_told() -> None:
    text = line_text(b"x" * LINE_BYTES, 100_000)
    assert text == "x" * LINE_LIMIT + " … (a line of 100,000 bytes)"
    wide = ("漢" * LINE_LIMIT).encode()
    assert line_text(wide[:LINE_BYTES], len(wide)) == "漢" * LINE_LIMIT


def test_a_line_that_ends_as_on_windows_ends_there() -> None:
    assert line_text(b"text\r", 5) == "text"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026-11-22T05:38:28.123Z ERROR could-not-write path=/x", Level.ERROR),
        ("2026-11-22T05:38:28.123Z WARN  slow ms=12", Level.WARNING),
        ("2026-11-22T05:38:28.123Z INFO  no error here level-headed", Level.INFO),
        ("2026-11-22 05:38:28.123456 INFO kopia/server starting", Level.INFO),  # kopia
        ('{"time":"2026-11-22T05:38:28Z","level":"error","msg":"x"}', Level.ERROR),
        ("time=2026-11-22T05:38:28Z level=warning msg=x", Level.WARNING),
        ("Fatal: unable to open repository", Level.ERROR),  # restic
        ("2026/11/22 05:38:28 NOTICE: Serving restic REST API", Level.INFO),  # rclone
        ("2026/11/22 05:38:28 DEBUG : config: x", Level.DEBUG),
        ("2026/11/22 05:38:28 start server on :8000", Level.NONE),  # rest-server
        ("Traceback (most recent call last):", Level.ERROR),  # borg
        ("[WARNING] repository is locked", Level.WARNING),
        ("Nov 22 05:38:28 host sshd[12]: error: kex_exchange_identification", Level.ERROR),
        ("debug1: Authentications that can continue", Level.DEBUG),
        ("E1122 05:38:28.123456   12 main.go:1] failed", Level.ERROR),  # glog
        ("goroutine 1 [running]:", Level.NONE),
        ("errors=0 warnings=0", Level.NONE),
        ("nothing was an error", Level.NONE),
        ("error=0", Level.NONE),
        ("", Level.NONE),
    ],
)
def test_a_line_says_how_grave_it_is(text: str, level: Level) -> None:
    assert _parsed(text)[0] is level


@pytest.mark.parametrize(
    ("text", "clock", "message"),
    [
        ("2026-11-22T05:38:28.123Z INFO  ready", "05:38:28.123Z ", "INFO  ready"),
        ("2026/11/22 05:38:28 ready", "05:38:28 ", "ready"),
        ("[2026-11-22 05:38:28,123] ready", "05:38:28,123] ", "ready"),
        ("05:38:28.5 ready", "05:38:28.5 ", "ready"),
        ("Nov  2 05:38:28 ready", "05:38:28 ", "ready"),
        ("2026-11-22 ready", "", "2026-11-22 ready"),
    ],
)
def test_a_timestamp_is_told_from_the_message(text: str, clock: str, message: str) -> None:
    assert _parsed(text)[1:] == (clock, message)
