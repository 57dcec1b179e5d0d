"""Samples of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seatrial.clock import SYSTEM_CLOCK, VirtualClock
from seatrial.observe import processes as processes_module
from seatrial.observe.processes import ProcessSampler, Watched
from tests.support.waiting import eventually


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600 & wait"], start_new_session=True)
    assert eventually(lambda: len(psutil.Process(process.pid).children()) == 2)
    yield process
    if process.poll() is None:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
    process.wait()


def test_a_process_that_works_shows_its_processor_use_memory_files_and_threads() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "x = bytearray(20 << 20)\nwhile True: pass"])
    try:
        sampler = ProcessSampler()
        seen = {"cpu": 0.0, "rss": 0}

        def look() -> bool:
            frame = sampler.sample({"server": Watched(busy.pid)})["server"]
            seen.update(cpu=max(seen["cpu"], frame.cpu_percent), rss=frame.rss_bytes)
            assert (frame.pid, frame.threads) == (busy.pid, 1)
            assert frame.open_files >= 3
            return seen["cpu"] > 10 and seen["rss"] > 20 << 20

        assert eventually(look), seen
    finally:
        busy.kill()
        busy.wait()


def test_descendants_are_added_up_and_left_out_where_not_wanted(parent: subprocess.Popen[bytes]) -> None:
    frames = ProcessSampler().sample({"tree": Watched(parent.pid), "alone": Watched(parent.pid, with_descendants=False)})
    assert frames["tree"].pid == frames["alone"].pid == parent.pid
    assert frames["tree"].threads == 3
    assert frames["alone"].threads == 1
    assert frames["tree"].rss_bytes > frames["alone"].rss_bytes


def test_new_descendants_are_found_at_the_next_scan(parent: subprocess.Popen[bytes]) -> None:
    clock = VirtualClock()
    sampler = ProcessSampler(clock)
    watched = {"me": Watched(os.getpid())}
    before = sampler.sample(watched)["me"].threads
    extra = subprocess.Popen(["sleep", "600"])
    try:
        assert sampler.sample(watched)["me"].threads == before
        clock.advance(processes_module._RESCAN_S)
        assert sampler.sample(watched)["me"].threads == before + 1
    finally:
        extra.kill()
        extra.wait()


def test_one_that_vanishes_is_left_out_and_the_others_stay(parent: subprocess.Popen[bytes]) -> None:
    sampler = ProcessSampler()
    watched = {"tree": Watched(parent.pid), "me": Watched(os.getpid(), with_descendants=False)}
    assert sampler.sample(watched)["tree"].threads == 3
    victim = psutil.Process(parent.pid).children()[0]
    victim.kill()
    assert eventually(lambda: sampler.sample(watched)["tree"].threads == 2)
    for child in psutil.Process(parent.pid).children():
        child.kill()
    parent.kill()
    assert eventually(lambda: set(sampler.sample(watched)) == {"me"})  # a zombie counts as gone
    parent.wait()
    assert set(sampler.sample(watched)) == {"me"}


def test_a_role_follows_its_new_process_after_a_restart(parent: subprocess.Popen[bytes]) -> None:
    sampler = ProcessSampler()
    sampler.sample({"server": Watched(os.getpid())})
    assert sampler.sample({"server": Watched(parent.pid)})["server"].pid == parent.pid
    assert len(sampler._trees) == 1


def test_an_unknown_number_is_absent() -> None:
    assert ProcessSampler().sample({"server": Watched(2**22 + 1)}) == {}


def test_a_sample_is_cheap_enough_for_every_second(parent: subprocess.Popen[bytes]) -> None:
    sampler = ProcessSampler()
    watched = {"engine": Watched(os.getpid(), with_descendants=False), "server": Watched(parent.pid)}
    sampler.sample(watched)
    began_s = SYSTEM_CLOCK.monotonic_s()
    for _ in range(20):
        sampler.sample(watched)
    assert (SYSTEM_CLOCK.monotonic_s() - began_s) / 20 < 0.05
