"""Words for people: what comes from outside cannot leave its line or drive the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.report import prose


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a/b c/é漢", "a/b c/é漢"),
        ("\x1b[2J\x1b]0;own\x07", r"\x1b[2J\x1b]0;own\x07"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("caf\udce9", r"caf\xe9"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_is_not_printable_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert prose.plain(text) == shown


@given(st.text(alphabet=st.characters()))
def test_any_text_becomes_one_printable_encodable_line(text: str) -> None:
    shown = prose.plain(text)
    assert shown.isprintable()
    assert len(f"x{shown}x".splitlines()) == 1
    shown.encode("utf-8")


@given(st.text(alphabet="aé漢\u0301", max_size=60), st.integers(1, 40))
def test_shortened_text_fits_and_short_text_stays(text: str, width: int) -> None:
    short = prose.shorten(text, width)
    assert prose.cells(short) <= width
    if prose.cells(text) <= width:
        assert short == text


def test_foreign_lines_stay_indented_and_bounded() -> None:
    assert prose.block("died:\nlast\x1b", indent=2) == ["died:", "  last\\x1b"]
    assert prose.block("", indent=2) == [""]
    lines = prose.block("\n".join(map(str, range(100))), indent=0, most=5)
    assert lines == ["0", "(96 lines left out)", "97", "98", "99"]


def test_shortening_keeps_both_ends() -> None:
    assert prose.shorten("data/dir_1/dir_2/file_17", 11) == "data/…le_17"


def test_a_wide_character_takes_two_columns_in_a_table() -> None:
    assert prose.table(("name", "n"), [("漢字", "1"), ("ab", "22")]) == ["name   n", "漢字   1", "ab    22"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (prose.size(0), "0 B"),
        (prose.size(1023), "1023 B"),
        (prose.size(1536), "1.5 KiB"),
        (prose.size(3 << 30), "3.0 GiB"),
        (prose.size(5 << 50), "5.0 PiB"),
        (prose.duration(0.4), "0 s"),
        (prose.duration(59.6), "1m 00s"),
        (prose.duration(3723), "1h 02m 03s"),
        (prose.latency(0) + prose.moment(0), "--"),
        (prose.latency(0.00034), "0.3 ms"),
        (prose.latency(0.0996), "99.6 ms"),
        (prose.latency(0.25), "250 ms"),
        (prose.latency(1.254), "1.25 s"),
        (prose.latency(75), "1m 15s"),
        (prose.moment(1_700_000_000_007_999_999), "2023-11-14T22:13:20.007Z"),
        (prose.plural(1, "entry", "entries"), "1 entry"),
        (prose.plural(12000, "file"), "12,000 files"),
    ],
)
def test_figures_are_written_as_people_read_them(made: str, expected: str) -> None:
    assert made == expected
