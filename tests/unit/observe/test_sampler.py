"""The sampler: one frame a second out of many sources, whatever one of them does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from seatrial.clock import SYSTEM_CLOCK, VirtualClock
from seatrial.history.frames import CacheFrame, ClientFrame, DirectoryFrame, Frame, ProcessFrame
from seatrial.observe import sampler as sampler_module
from seatrial.observe.sampler import FramePart, Sampler
from tests.support.waiting import eventually


class Collected:
    """Frames and failures as they come."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.failures: list[tuple[str, str]] = []

    def failed(self, name: str, error: Exception) -> None:
        self.failures.append((name, str(error)))


@pytest.fixture
def collected() -> Collected:
    return Collected()


@pytest.fixture
def sampler(collected: Collected) -> Iterator[Sampler]:
    made = Sampler(collected.frames.append, on_failure=collected.failed)
    yield made
    made.close()


def broken() -> FramePart:
    raise ValueError("broken source")


def test_parts_of_several_sources_become_one_frame() -> None:
    sampler = Sampler(lambda _: None, clock=VirtualClock(5))
    idle, running = ClientFrame(state="idle"), ClientFrame(state="running")
    sampler.add("a", lambda: FramePart(in_flight=3, clients={"x": idle}, directories=[DirectoryFrame(path="/1")]))
    sampler.add("b", lambda: FramePart(waiting=4, clients={"y": running}, directories=[DirectoryFrame(path="/2")]))
    sampler.add("c", lambda: FramePart(processes={"engine": ProcessFrame(pid=1)}, caches=[CacheFrame(owner="x", path="p")]))
    sampler.add("d", lambda: FramePart(processes={"server": ProcessFrame(pid=2)}, caches=[CacheFrame(owner="server", path="q")]))
    assert sampler.frame() == Frame(
        at_ns=5,
        in_flight=3,
        waiting=4,
        clients={"x": idle, "y": running},
        directories=[DirectoryFrame(path="/1"), DirectoryFrame(path="/2")],
        processes={"engine": ProcessFrame(pid=1), "server": ProcessFrame(pid=2)},
        caches=[CacheFrame(owner="x", path="p"), CacheFrame(owner="server", path="q")],
    )


def test_a_frame_a_second_and_a_last_one_at_the_end(collected: Collected) -> None:
    count = threading.Event()
    clock = VirtualClock()

    def write(frame: Frame) -> None:
        collected.frames.append(frame)
        if len(collected.frames) >= 5:
            count.set()

    sampler = Sampler(write, clock=clock)
    sampler.start()
    assert count.wait(5)
    sampler.close()
    seconds = [(frame.at_ns - collected.frames[0].at_ns) / 1e9 for frame in collected.frames[:5]]
    assert seconds == pytest.approx([0, 1, 2, 3, 4])
    written = len(collected.frames)
    sampler.close()
    assert len(collected.frames) in (written, written + 1)


def test_a_source_that_raises_is_named_once_and_costs_the_others_nothing(
    sampler: Sampler, collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "PERIOD_S", 0.01)
    sampler.add("broken", broken)
    sampler.add("broken aside", broken, blocking=True)
    sampler.add("good", lambda: FramePart(in_flight=1))
    sampler.start()
    assert eventually(lambda: len(collected.frames) > 5 and len(collected.failures) == 2)
    assert sorted(collected.failures) == [("broken", "broken source"), ("broken aside", "broken source")]
    assert all(frame.in_flight == 1 for frame in collected.frames)


def test_a_blocking_source_that_hangs_delays_nobody_and_goes_stale() -> None:
    clock, stuck, release = VirtualClock(), threading.Event(), threading.Event()
    answers = iter([FramePart(server_log_bytes=7)])

    def source() -> FramePart:
        for answer in answers:
            return answer
        stuck.set()
        release.wait(30)
        return FramePart(server_log_bytes=8)

    sampler = Sampler(lambda _: None, clock=clock)
    sampler.add("hangs", source, blocking=True)
    sampler.add("good", lambda: FramePart(in_flight=1))
    assert stuck.wait(5)
    began_s = SYSTEM_CLOCK.monotonic_s()
    assert sampler.frame() == Frame(at_ns=sampler.frame().at_ns, in_flight=1, server_log_bytes=7)
    clock.advance(sampler_module._STALE_S + 1)
    assert sampler.frame().server_log_bytes == 0
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 1
    release.set()
    assert eventually(lambda: sampler.frame().server_log_bytes == 8)
    sampler.close()


def test_a_prompt_source_that_was_slow_is_left_alone_until_it_is_in_budget_again() -> None:
    clock = VirtualClock()
    calls: list[float] = []

    def slow() -> FramePart:
        calls.append(clock.monotonic_s())
        clock.advance(0.5)
        return FramePart(waiting=len(calls))

    sampler = Sampler(lambda _: None, clock=clock)
    sampler.add("slow", slow)
    for _ in range(21):
        frame = sampler.frame()
        assert frame.waiting == len(calls)  # its last word stands meanwhile
        clock.advance(1)
    assert len(calls) == 3
    assert calls[1] - calls[0] >= 0.5 / sampler_module.BUDGET_S


def test_a_removed_source_is_asked_no_more_and_its_thread_ends(sampler: Sampler) -> None:
    before = threading.active_count()
    sampler.add("aside", lambda: FramePart(in_flight=1), blocking=True)
    assert eventually(lambda: sampler.frame().in_flight == 1)
    sampler.add("aside", lambda: FramePart(in_flight=2), blocking=True)  # takes the other's place
    assert eventually(lambda: sampler.frame().in_flight == 2)
    assert threading.active_count() == before + 1
    sampler.remove("aside")
    sampler.remove("never there")
    assert sampler.frame().in_flight == 0
    assert threading.active_count() == before


def test_close_ends_all_threads(collected: Collected) -> None:
    before = threading.active_count()
    sampler = Sampler(collected.frames.append)
    sampler.add("aside", lambda: FramePart(in_flight=1), blocking=True)
    sampler.start()
    assert eventually(lambda: collected.frames)
    sampler.close()
    assert threading.active_count() == before


def test_close_does_not_wait_for_a_source_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "_PATIENCE_S", 0.05)
    stuck, release = threading.Event(), threading.Event()

    def source() -> FramePart:
        stuck.set()
        release.wait(30)
        return FramePart()

    before = threading.active_count()
    sampler = Sampler(lambda _: None)
    sampler.add("stuck", source, blocking=True)
    assert stuck.wait(5)
    began_s = SYSTEM_CLOCK.monotonic_s()
    sampler.close()
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 5
    release.set()
    assert eventually(lambda: threading.active_count() == before)
