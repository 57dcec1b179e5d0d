"""Alarms: in order, once, taken back, bounded, and gone after close."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from seatrial import alarms as alarms_module
from seatrial.alarms import Alarms
from seatrial.clock import SYSTEM_CLOCK, VirtualClock
from tests.support.waiting import eventually


@pytest.fixture
def alarms() -> Iterator[Alarms]:
    made = Alarms()
    yield made
    made.close()


def test_callbacks_run_in_the_order_of_their_time_and_once(alarms: Alarms) -> None:
    seen: list[str] = []
    done = threading.Event()
    now_s = SYSTEM_CLOCK.monotonic_s()
    alarms.at(now_s + 0.09, done.set)
    alarms.at(now_s + 0.06, lambda: seen.append("late"))
    alarms.at(now_s + 0.03, lambda: seen.append("early"))
    alarms.at(now_s - 5, lambda: seen.append("overdue"))
    assert done.wait(5)
    assert seen == ["overdue", "early", "late"]


def test_no_callback_runs_before_its_time() -> None:
    clock = VirtualClock()
    alarms = Alarms(clock)
    at: list[float] = []
    alarms.at(100.0, lambda: at.append(clock.monotonic_s()))
    assert eventually(lambda: at)
    assert at[0] >= 100.0
    alarms.close()


def test_one_taken_back_does_not_run(alarms: Alarms) -> None:
    seen: list[str] = []
    done = threading.Event()
    alarms.after(0.02, lambda: seen.append("taken back"))()
    alarms.after(0.05, done.set)
    assert done.wait(5)
    assert seen == []


def test_ten_thousand_taken_back_leave_the_heap_small(alarms: Alarms) -> None:
    for _ in range(10_000):
        alarms.after(3600, lambda: None)()
    assert len(alarms._heap) <= alarms_module._SLACK + 1


def test_a_callback_that_raises_is_shown_and_costs_the_others_nothing(alarms: Alarms, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_value))
    done = threading.Event()

    def broken() -> None:
        raise ValueError("broken")

    alarms.after(0.0, broken)
    alarms.after(0.01, done.set)
    assert done.wait(5)
    assert [str(error) for error in shown] == ["broken"]


def test_a_callback_may_set_the_next_alarm(alarms: Alarms) -> None:
    done = threading.Event()
    alarms.after(0.0, lambda: alarms.after(0.0, done.set))
    assert done.wait(5)


def test_close_ends_the_thread_and_forgets(alarms: Alarms) -> None:
    seen: list[str] = []
    before = threading.active_count()
    alarms.after(60, lambda: seen.append("never"))
    assert threading.active_count() == before + 1
    alarms.close()
    alarms.close()
    assert threading.active_count() == before
    alarms.after(0.0, lambda: seen.append("never"))
    assert threading.active_count() == before
    assert seen == []


def test_after_a_moment_without_threads_the_next_alarm_goes_off_and_all_of_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    alarms, rang, lost = Alarms(), threading.Event(), threading.Event()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            with pytest.raises(RuntimeError):
                alarms.after(0, lost.set)
        alarms.after(0, rang.set)
        assert rang.wait(10)
        assert not lost.is_set()
    finally:
        alarms.close()
