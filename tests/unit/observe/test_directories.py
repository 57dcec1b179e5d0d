"""Directory sizes: right, cheap, and never in anybody's way."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.clock import SYSTEM_CLOCK, VirtualClock, thread_cpu_s
from seatrial.errors import HarnessError
from seatrial.observe import directories
from seatrial.observe.directories import DirectoryMeter, Measure, measure, printable, storage_stats, write_storage_stats
from tests.support.waiting import eventually


@pytest.fixture
def meter() -> Iterator[DirectoryMeter]:
    made = DirectoryMeter()
    yield made
    made.close()


def tree(root: Path, files: int = 3, size: int = 1000) -> Path:
    for number in range(files):
        place = root / f"d{number % 7}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").write_bytes(bytes(size))
    return root


def deny(monkeypatch: pytest.MonkeyPatch, denied: Path) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path) == os.fspath(denied):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_regular_files_count_and_nothing_else(tmp_path: Path) -> None:
    tree(tmp_path / "t")
    (tmp_path / "t" / "link").symlink_to(tmp_path / "t" / "d0" / "f0")
    (tmp_path / "t" / "loop").symlink_to(tmp_path / "t")
    os.mkfifo(tmp_path / "t" / "pipe")
    assert measure(tmp_path / "t") == Measure(3000, 3)


def test_what_is_missing_or_denied_or_no_directory_is_minus_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "t")
    file = tmp_path / "file"
    file.write_text("x")
    deny(monkeypatch, tmp_path / "t" / "d1")
    assert storage_stats([tmp_path / "t" / "d0", tmp_path / "t", tmp_path / "missing", file]) == {
        str(tmp_path / "t" / "d0"): 1000,
        str(tmp_path / "t"): -1,
        str(tmp_path / "missing"): -1,
        str(file): -1,
    }


def test_a_subdirectory_that_vanishes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "t")
    real = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path).endswith("d1"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert measure(tmp_path / "t") == Measure(2000, 2)


def test_storage_statistics_are_written_under_the_references_name_in_utc(tmp_path: Path) -> None:
    clock = VirtualClock(1_700_000_000_000_000_000)
    stats = {"/a": 5, "/b": -1}
    first = write_storage_stats(tmp_path, "kopia", stats, clock)
    assert first == tmp_path / "logs" / "multiclient_kopia_cache_dir_usage_20231114_221320.json"
    assert json.loads(first.read_text()) == [{"path": "/a", "size": 5}, {"path": "/b", "size": -1}]
    second = write_storage_stats(tmp_path, "kopia", {}, clock)
    assert second.name == "multiclient_kopia_cache_dir_usage_20231114_221320-2.json"
    assert json.loads(first.read_text())
    clock.advance(1)
    assert (
        write_storage_stats(tmp_path, "my/own target", {}, clock).name == "multiclient_my_own_target_cache_dir_usage_20231114_221321.json"
    )


def test_storage_statistics_that_cannot_be_written_say_where(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(HarnessError) as caught:
        write_storage_stats(tmp_path, "embedded", {})
    assert caught.value.where == str(tmp_path / "logs")


def test_odd_paths_are_printable() -> None:
    assert printable(Path(os.fsdecode(b"/a\xff"))) == r"/a\xff"


def test_the_meter_follows_growth_and_labels_stay(tmp_path: Path, meter: DirectoryMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "_ROUND_S", 0.02)
    tree(tmp_path / "data", 3)
    meter.watch(tmp_path / "data", "data")
    meter.watch(tmp_path / "later")
    assert [(frame.label, frame.size_bytes, frame.measured_at_ns) for frame in meter.frames()] == [("data", -1, 0), ("", -1, 0)]
    meter.start()
    assert eventually(lambda: meter.frames()[0].size_bytes == 3000)
    tree(tmp_path / "data", 5)
    tree(tmp_path / "later", 1)
    assert eventually(lambda: [(frame.size_bytes, frame.files) for frame in meter.frames()] == [(5000, 5), (1000, 1)])
    assert meter.frames()[0].measured_at_ns > 0
    meter.watch(tmp_path / "data", "again")
    assert meter.frames()[0].label == "data"
    meter.forget(tmp_path / "data")
    meter.forget(tmp_path / "never")
    assert [frame.path for frame in meter.frames()] == [str(tmp_path / "later")]


def test_one_unreadable_directory_does_not_keep_others_from_being_measured(
    tmp_path: Path, meter: DirectoryMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "bad")
    tree(tmp_path / "good")
    deny(monkeypatch, tmp_path / "bad")
    meter.watch(tmp_path / "bad")
    meter.watch(tmp_path / "good")
    meter.start()
    assert eventually(lambda: [frame.size_bytes for frame in meter.frames()] == [-1, 3000])


def test_it_rests_nineteen_times_as_long_as_it_works(tmp_path: Path) -> None:
    """With a clock that only moves by resting, all time that passes is rest."""
    tree(tmp_path / "big", 4000, 1)
    clock = VirtualClock()
    meter = DirectoryMeter(clock)
    began_s = meter._slice_began_s = thread_cpu_s()
    assert meter._measure(tmp_path / "big")
    worked_s = thread_cpu_s() - began_s
    rested_s = clock.monotonic_s()
    assert rested_s >= 19 * (worked_s - 2 * directories._SLICE_S)
    assert rested_s > 0


def test_it_ends_promptly_in_the_middle_of_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = threading.Event()

    def forever(_: Path) -> Iterator[Measure]:
        while True:
            endless.set()
            yield Measure(1, 1)

    monkeypatch.setattr(directories, "_entries", forever)
    meter = DirectoryMeter()
    meter.watch(tmp_path)
    meter.start()
    assert endless.wait(5)
    before, began_s = threading.active_count(), SYSTEM_CLOCK.monotonic_s()
    assert meter.frames()[0].size_bytes == -1  # nobody waits for it
    meter.close()
    meter.close()
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 1
    assert threading.active_count() == before - 1
