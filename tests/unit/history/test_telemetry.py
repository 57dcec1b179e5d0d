"""Telemetry: latest value, bounded, never in the way."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from seatrial.clock import VirtualClock
from seatrial.history.frames import ClientFrame, Frame
from seatrial.history.telemetry import FILE_BYTES, FILE_NAME, OLD_NAME, TelemetryReader, TelemetryWriter


def frame(at_ns: int, size: int = 0) -> Frame:
    return Frame(at_ns=at_ns, clients={"c": ClientFrame(state="running", stage="x" * size)})


def write_all(directory: Path, frames: list[Frame], file_bytes: int = FILE_BYTES) -> None:
    """One writer per frame: closing is what makes sure that it is written."""
    for each in frames:
        writer = TelemetryWriter(directory, file_bytes=file_bytes)
        writer.write(each)
        writer.close()


def test_frames_come_back_in_order_and_the_last_one_is_the_latest(tmp_path: Path) -> None:
    reader = TelemetryReader(tmp_path)
    assert (reader.poll(), reader.latest()) == ([], None)
    write_all(tmp_path, [frame(1), frame(2)])
    assert reader.poll() == [frame(1), frame(2)]
    write_all(tmp_path, [frame(3)])
    assert reader.poll() == [frame(3)]
    assert reader.poll() == []
    assert reader.latest() == frame(3)
    reader.close()


def test_the_files_stay_bounded_and_a_reader_follows_the_rotation(tmp_path: Path) -> None:
    reader = TelemetryReader(tmp_path)
    seen = []
    for number in range(1, 61):
        write_all(tmp_path, [frame(number, 200)], file_bytes=2_000)
        if number % 3 == 0:
            seen += reader.poll()
            seen += reader.poll()
    assert [each.at_ns for each in seen] == list(range(1, 61))
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, OLD_NAME}
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    reader.close()


def test_a_reader_may_begin_with_the_file_before(tmp_path: Path) -> None:
    reader = TelemetryReader(tmp_path, from_old=True)
    assert reader.poll() == []
    write_all(tmp_path, [frame(number, 200) for number in range(1, 13)], file_bytes=2_000)
    assert (tmp_path / OLD_NAME).exists()
    seen = [*reader.poll(), *reader.poll()]
    assert [each.at_ns for each in seen] == list(range(seen[0].at_ns, 13))
    current = TelemetryReader(tmp_path)
    assert 0 < len(current.poll()) < len(seen)
    current.close()
    write_all(tmp_path, [frame(13)])
    assert reader.poll() == [frame(13)]
    reader.close()


def test_a_torn_or_foreign_line_costs_only_itself(tmp_path: Path) -> None:
    write_all(tmp_path, [frame(1)])
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + b"nonsense\n" + whole + whole[:-4])
    reader = TelemetryReader(tmp_path)
    assert reader.poll() == [frame(1), frame(1)]
    assert reader.latest() == frame(1)
    reader.close()


def test_the_latest_frame_is_found_in_the_old_file_right_after_a_rotation(tmp_path: Path) -> None:
    write_all(tmp_path, [frame(1)])
    (tmp_path / FILE_NAME).rename(tmp_path / OLD_NAME)
    assert TelemetryReader(tmp_path).latest() == frame(1)


def test_a_disk_that_hangs_costs_frames_and_not_the_callers_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going, free = threading.Event(), threading.Event()
    real = os.open

    def hang(*args: Any) -> int:
        going.set()
        assert free.wait(20)
        return real(*args)

    monkeypatch.setattr(os, "open", hang)
    writer = TelemetryWriter(tmp_path)
    writer.write(frame(1))
    assert going.wait(20)
    for number in range(2, 12):
        writer.write(frame(number))
    assert writer.dropped == 9
    free.set()
    writer.close()
    reader = TelemetryReader(tmp_path)
    monkeypatch.undo()
    first, last = reader.poll()
    assert (first.at_ns, first.dropped, last.at_ns, last.dropped) == (1, 0, 11, 9)
    reader.close()


def test_frames_that_cannot_be_written_are_counted(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    writer = TelemetryWriter(tmp_path, VirtualClock())
    writer.write(frame(1))
    writer.close()
    writer.write(frame(2))
    assert writer.dropped == 2


def test_a_frame_without_a_time_gets_one(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path, VirtualClock(start_ns=77))
    writer.write(Frame(at_ns=0))
    writer.close()
    latest = TelemetryReader(tmp_path).latest()
    assert latest is not None
    assert latest.at_ns == 77


def test_frames_written_between_the_last_read_and_a_rotation_are_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path, [frame(1)])
    reader = TelemetryReader(tmp_path)
    assert reader.poll() == [frame(1)]
    real = TelemetryReader._rotated

    def rotate_just_now(self: TelemetryReader) -> bool:
        monkeypatch.undo()
        write_all(tmp_path, [frame(2)])
        write_all(tmp_path, [frame(3)], file_bytes=1)
        return real(self)

    monkeypatch.setattr(TelemetryReader, "_rotated", rotate_just_now)
    assert reader.poll() + reader.poll() == [frame(2), frame(3)]
    reader.close()


def test_a_file_that_cannot_be_begun_costs_a_frame_and_nobody_elses_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path, [frame(1, 200)])
    real_open, real_close = os.open, os.close
    ours, doubly = set[int](), list[int]()

    def no_room(path: str | Path, flags: int, *rest: int, **named: int) -> int:
        if Path(path) == tmp_path / FILE_NAME and not Path(path).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fd = real_open(path, flags, *rest, **named)
        ours.add(fd)
        return fd

    def closed(fd: int) -> None:
        if fd not in ours:
            doubly.append(fd)
        ours.discard(fd)
        real_close(fd)

    writer = TelemetryWriter(tmp_path, file_bytes=250)
    monkeypatch.setattr(os, "open", no_room)
    monkeypatch.setattr(os, "close", closed)
    writer.write(frame(2, 200))
    writer.close()
    monkeypatch.undo()
    assert (writer.dropped, doubly, ours) == (1, [], set())
    write_all(tmp_path, [frame(3, 200)])
    assert TelemetryReader(tmp_path).latest() == frame(3, 200)
