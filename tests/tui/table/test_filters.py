"""What a person may type behind ``/``, and what becomes of a pattern that would hold up the screen."""

from __future__ import annotations

import signal
import threading

import pytest

from seatrial_tui.filters import BROKEN, TooLong, compile_filter, patience


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("err", "an ERROR", True),
        ("Err", "an ERROR", False),
        ("!err", "an ERROR", False),
        ("!err", "fine", True),
        (r"a\d+b", "xa12b", True),
        ("^b$", "a\nb\nc", True),
    ],
)
def test_a_filter_ignores_case_unless_it_has_a_capital_and_inverts(pattern: str, text: str, matches: bool) -> None:
    wanted = compile_filter(pattern)
    assert wanted is not None
    assert wanted.matches(text) is matches


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "*"])
def test_a_broken_filter_is_refused(pattern: str) -> None:
    with pytest.raises(BROKEN):
        compile_filter(pattern)


def test_a_filter_of_uncertain_future_is_taken_without_a_warning() -> None:
    assert compile_filter("[[a]") is not None


@pytest.mark.parametrize("pattern", ["", "!"])
def test_a_filter_that_says_nothing_is_none(pattern: str) -> None:
    assert compile_filter(pattern) is None


def test_what_takes_too_long_is_broken_off_and_the_signal_is_given_back() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    wanted = compile_filter(r"^(\w+\s?)*$")
    assert wanted is not None
    with pytest.raises(TooLong), patience(0.05):
        wanted.matches("word " * 40 + "!")
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_what_is_done_in_time_is_left_alone_and_so_is_what_comes_after_it() -> None:
    with patience(0.01):
        pass
    assert sum(range(10_000_000)), "many times as long"


def test_only_the_main_thread_can_be_patient() -> None:
    refused: list[ValueError] = []

    def elsewhere() -> None:
        try:
            with patience(1):
                pass
        except ValueError as error:
            refused.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert refused
