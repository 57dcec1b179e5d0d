"""Sizes and durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.config.quantities import duration_s, size_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("512b", 512),
        ("4KiB", 4096),
        ("4 kB", 4000),
        (" 64mib ", 64 << 20),
        ("1.5GiB", 3 << 29),
        ("2TB", 2 * 10**12),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "5", "64M", "-1KiB", "1 KiB 2", "KiB", "1e3B", "0.3B", "1.0001KiB", "inf", "1" * 16 + "B", "٣B", "1PiB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        size_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("250ms", 0.25),
        ("90s", 90),
        ("5m", 300),
        ("8h", 28800),
        ("2d", 172800),
        ("1h30m", 5400),
        ("1H 2m 3s 4ms", 3723.004),
        ("1.5h", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5x", "-5s", "m5", "5m1h", "5m5m", "1h 30", "inf", "nan", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration_s(text)


@given(st.integers(0, 2**50), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
def test_binary_sizes_are_powers_of_1024(number: int, unit: str) -> None:
    power = ["KiB", "MiB", "GiB", "TiB"].index(unit) + 1
    if number < 10**15:
        assert size_bytes(f"{number}{unit}") == number * 1024**power


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for read in (size_bytes, duration_s):
        try:
            assert read(text) >= 0
        except ValueError as error:
            assert "not a" in str(error)
