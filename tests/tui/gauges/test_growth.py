"""Growth since the start and per minute, out of samples."""

from __future__ import annotations

from seatrial_tui.lines.growth import Growth, grown
from seatrial_tui.source.moment import Sample
from tests.tui.gauges.gauge_cases import BEGIN_NS, SECOND_NS

MIB = 1 << 20


def sizes(*of_seconds: dict[str, int]) -> tuple[Sample, ...]:
    return tuple(Sample(at_ns=BEGIN_NS + second * SECOND_NS, directories=told) for second, told in enumerate(of_seconds))


def growth(*of_seconds: dict[str, int]) -> Growth:
    made = Growth(lambda sample, path: sample.directories.get(path, -1))
    made.look(sizes(*of_seconds))
    return made


def test_growth_counts_from_the_size_before_the_run_where_that_was_read() -> None:
    made = growth({"/a": 10}, {"/a": 20})
    assert made.since_start("/a", 20, before_bytes=4) == 16
    assert made.since_start("/a", 20, before_bytes=-1) == 10


def test_what_was_unreadable_at_first_grows_from_its_first_size() -> None:
    made = growth({"/a": -1}, {"/a": -1}, {}, {"/a": 7}, {"/a": 9})
    assert made.since_start("/a", 9) == 2


def test_nothing_is_said_of_what_is_unreadable_or_was_never_told() -> None:
    made = growth(*[{"/a": 10}] * 20)
    assert made.since_start("/a", -1) is None
    assert made.per_minute("/a", -1) is None
    assert made.since_start("/b", 5) is None
    assert made.per_minute("/b", 5) is None


def test_the_rate_is_over_the_last_minute() -> None:
    made = growth(*({"/a": 0 if second < 100 else (second - 100) * MIB} for second in range(161)))
    assert made.per_minute("/a", 60 * MIB) == 60 * MIB


def test_what_is_younger_than_a_minute_has_its_rate_since_it_was_first_told() -> None:
    made = growth(*({} if second < 20 else {"/a": (second - 20) * MIB} for second in range(31)))
    assert made.per_minute("/a", 10 * MIB) == 60 * MIB


def test_a_few_seconds_are_no_rate() -> None:
    assert growth({"/a": 0}, {"/a": 100}).per_minute("/a", 100) is None


def test_going_back_in_time_keeps_the_first_size_and_forgets_the_rate() -> None:
    history = sizes(*({"/a": second * MIB} for second in range(100)))
    made = Growth(lambda sample, path: sample.directories.get(path, -1))
    assert made.look(history)
    assert not made.look(history)
    made.since_start("/a", 99 * MIB)
    assert made.look(history[:3])
    assert made.since_start("/a", 2 * MIB) == 2 * MIB
    assert made.per_minute("/a", 2 * MIB) is None
    assert made.look(())
    assert made.per_minute("/a", 2 * MIB) is None


def test_growth_is_written_with_its_sign_and_unit() -> None:
    assert grown(3 * MIB / 2) == "+1.5 MiB"
    assert grown(-2048, "/min") == "-2.0 KiB/min"
    assert grown(0)[0] == "0 B"
    assert grown(None)[0] == "-"
