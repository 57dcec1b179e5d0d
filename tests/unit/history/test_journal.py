"""Writing the journal: order, rotation, compression, a full disk."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import msgspec
import pytest

from seatrial.clock import VirtualClock
from seatrial.errors import HarnessError, UsageError
from seatrial.history import journal as journal_module
from seatrial.history.events import ErrorInfo, Event, Finding, Invoke, Record, Result, RunEnded, Steer, Trees
from seatrial.history.journal import Journal, JournalFollower, is_running, read_journal, split_trees
from seatrial.history.segments import MAX_LINE_BYTES, compress_segment, packed_path, plain_path, segment_numbers
from seatrial.verdicts import Outcome, Verdict


def steer(number: int, size: int = 0) -> Steer:
    return Steer(command="remark", argument=f"{number:06d}" + "x" * size)


def numbers(records: list[Record]) -> list[int]:
    return [int(record.event.argument[:6]) for record in records if isinstance(record.event, Steer)]


def written(directory: Path, count: int, segment_bytes: int) -> Path:
    journal = Journal(directory, VirtualClock(), ballast_bytes=0, segment_bytes=segment_bytes)
    for number in range(count):
        journal.append(steer(number))
    journal.close()
    return directory


def test_what_is_appended_is_what_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, VirtualClock(start_ns=5), host="far-away", ballast_bytes=0)
    events: list[Event] = [
        steer(0),
        Trees(op="1", root="ab", nodes={"ab": b"\x00\xff"}),
        Result(op="1", client="c", action="a", outcome=Outcome.FAILED, error=ErrorInfo(cause="x", message="ü\n")),
    ]
    appended = [journal.append(event) for event in events]
    journal.close()
    assert list(read_journal(tmp_path)) == appended
    assert [(record.seq, record.at_ns, record.host, record.event) for record in appended] == [
        (number + 1, 5, "far-away", event) for number, event in enumerate(events)
    ]


def test_a_line_is_exactly_the_record_encoded(tmp_path: Path) -> None:
    """The line is put together by hand, for speed: it must stay what msgspec makes of a ``Record``."""
    with_host = Journal(tmp_path, VirtualClock(), host='h"ost', ballast_bytes=0)
    record = with_host.append(steer(1))
    with_host.close()
    assert plain_path(tmp_path, 1).read_bytes() == msgspec.json.encode(record) + b"\n"


def test_threads_append_without_gaps_and_subscribers_see_the_order_of_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=0, segment_bytes=20_000)
    seen: list[Record] = []
    journal.subscribe(seen.append)

    def work(start: int) -> None:
        for number in range(start, start + 250):
            journal.append(steer(number))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 1000, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    records = list(read_journal(tmp_path))
    assert records == seen
    assert [record.seq for record in records] == list(range(1, 1001))
    assert sorted(numbers(records)) == list(range(1000))


def test_closed_segments_are_compressed_and_the_last_one_stays_plain(tmp_path: Path) -> None:
    written(tmp_path, 200, segment_bytes=2_000)
    last = segment_numbers(tmp_path)[-1]
    assert last > 3
    assert all(packed_path(tmp_path, number).exists() and not plain_path(tmp_path, number).exists() for number in range(1, last))
    assert plain_path(tmp_path, last).exists()
    assert numbers(list(read_journal(tmp_path))) == list(range(200))
    assert max(path.stat().st_size for path in tmp_path.glob("journal-*")) <= 2_000


@pytest.mark.parametrize("stage", ["temporary-half", "temporary-whole", "renamed"])
def test_a_crash_at_any_step_of_compression_loses_and_repeats_nothing(tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "compress_segment", lambda *_: None)
    written(tmp_path, 50, segment_bytes=2_000)
    before = list(read_journal(tmp_path))
    plain = plain_path(tmp_path, 1).read_bytes()
    compress_segment(tmp_path, 1)
    temporary = packed_path(tmp_path, 1).with_suffix(".zst.tmp")
    if stage.startswith("temporary"):
        packed = packed_path(tmp_path, 1).read_bytes()
        packed_path(tmp_path, 1).unlink()
        temporary.write_bytes(packed[: len(packed) // 2] if stage.endswith("half") else packed)
    plain_path(tmp_path, 1).write_bytes(plain)
    assert list(read_journal(tmp_path)) == before
    compress_segment(tmp_path, 1)
    assert not temporary.exists()
    assert not plain_path(tmp_path, 1).exists()
    assert list(read_journal(tmp_path)) == before


def test_a_disk_too_full_to_compress_leaves_the_plain_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = os.fsync
    journal = Journal(tmp_path, ballast_bytes=0, segment_bytes=2_000)
    monkeypatch.setattr(os, "fsync", full)
    for number in range(50):
        journal.append(steer(number))
    compressor = journal._compressor
    if compressor is not None:
        compressor.join()
    monkeypatch.setattr(os, "fsync", real)
    journal.close()
    assert not list(tmp_path.glob("*.zst*"))
    assert numbers(list(read_journal(tmp_path))) == list(range(50))


def test_without_a_thread_to_compress_with_every_event_is_written_and_the_journal_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    journal = Journal(tmp_path, ballast_bytes=0, segment_bytes=2_000)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        for number in range(40):
            journal.append(steer(number))
    assert not list(tmp_path.glob("*.zst"))
    for number in range(40, 80):
        journal.append(steer(number))
    journal.close()
    assert not is_running(tmp_path)
    assert [number for number in segment_numbers(tmp_path) if plain_path(tmp_path, number).exists()] == segment_numbers(tmp_path)[-1:]
    assert numbers(list(read_journal(tmp_path))) == list(range(80))


class FullDisk:
    """``os.write`` of a disk with so many bytes left, and so many more once the ballast is gone."""

    def __init__(self, left: int, ballast: Path, more: int) -> None:
        self.left, self.ballast, self.more = left, ballast, more
        self.real = os.write

    def __call__(self, fd: int, data: bytes) -> int:
        if self.more and not self.ballast.exists():
            self.left, self.more = self.left + self.more, 0
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self.real(fd, data[: self.left])
        self.left -= count
        return count


@pytest.mark.parametrize("left", [0, 1, 50, 120, 121, 122])
def test_a_full_disk_takes_the_ballast_then_says_so_and_keeps_what_was_acknowledged(
    tmp_path: Path, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, VirtualClock(), ballast_bytes=1000)
    journal.append(steer(0))
    assert not journal.ballast_released
    monkeypatch.setattr(os, "write", FullDisk(left, tmp_path / "ballast", 500))
    acknowledged = 1
    with pytest.raises(HarnessError, match="cannot be written: No space left") as raised:
        for number in range(1, 20):
            journal.append(steer(number))
            acknowledged += 1
    assert "make room" in str(raised.value)
    assert journal.ballast_released
    assert acknowledged > 3
    assert numbers(list(read_journal(tmp_path))) == list(range(acknowledged))
    monkeypatch.undo()
    assert journal.append(steer(acknowledged)).seq == acknowledged + 1
    journal.close()
    assert numbers(list(read_journal(tmp_path))) == list(range(acknowledged + 1))


def test_an_event_that_is_too_long_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=0)
    with pytest.raises(HarnessError, match="too long"):
        journal.append(steer(0, MAX_LINE_BYTES))
    assert journal.append(steer(1)).seq == 1
    journal.close()


def test_trees_are_split_so_that_the_journal_takes_them(tmp_path: Path) -> None:
    nodes = {f"{number:064x}": bytes(1 << 20) for number in range(20)}
    root = f"{7:064x}"
    parts = list(split_trees("op", root, nodes))
    assert len(parts) > 1
    assert next(iter(parts[0].nodes)) == root
    assert {node: data for part in parts for node, data in part.nodes.items()} == nodes
    journal = Journal(tmp_path, ballast_bytes=0)
    for part in parts:
        journal.append(part)
    journal.close()
    assert list(split_trees("op", root, {})) == [Trees(op="op", root=root, nodes={})]


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=0)
    finding = Finding(
        id="1", group="g", check="c", verdict=Verdict.FAIL, message="m", path=os.fsdecode(b"a\xff"), detail=[os.fsdecode(b"\xfe")]
    )
    record = journal.append(finding)
    result = Result(op="1", client="c", action="a", outcome=Outcome.UNKNOWN, options_used={os.fsdecode(b"\xff"): 1})
    other = journal.append(result)
    journal.close()
    assert list(read_journal(tmp_path)) == [record, other]
    assert isinstance(record.event, Finding)
    assert (record.event.path, record.event.detail) == ("a\\udcff", ["\\udcfe"])


def test_a_subscriber_that_fails_is_heard_and_hides_nothing_from_the_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=0)
    seen: list[Record] = []

    def fail(record: Record) -> None:
        raise ValueError("no")

    journal.subscribe(fail)
    journal.subscribe(seen.append)
    with pytest.raises(ValueError, match="no"):
        journal.append(steer(0))
    journal.close()
    assert list(read_journal(tmp_path)) == seen
    assert len(seen) == 1


def test_a_closed_journal_takes_nothing_and_a_second_one_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=10)
    assert is_running(tmp_path)
    with pytest.raises(HarnessError, match="already"):
        Journal(tmp_path)
    journal.append(steer(0))
    journal.close()
    journal.close()
    with pytest.raises(HarnessError, match="closed"):
        journal.append(steer(1))
    assert not is_running(tmp_path)
    assert not (tmp_path / "ballast").exists()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=str(tmp_path / "none")):
        Journal(tmp_path / "none")


def test_invoke_defaults_are_left_out_of_the_line(tmp_path: Path) -> None:
    """A million lines: what says nothing costs nothing."""
    journal = Journal(tmp_path, VirtualClock(), ballast_bytes=0)
    journal.append(Invoke(op="1", client="c", action="a", index=0, mutates=False))
    journal.close()
    assert b"options" not in plain_path(tmp_path, 1).read_bytes()


def test_nothing_follows_the_end_of_a_run(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=0)
    journal.append(RunEnded(verdict=Verdict.PASS, exit_code=0))
    with pytest.raises(HarnessError, match="has its last record"):
        journal.append(steer(0))
    journal.close()
    assert [type(record.event) for record in read_journal(tmp_path)] == [RunEnded]


@pytest.mark.parametrize("seen", [1, 40, 90, 120])
def test_who_has_read_half_a_line_that_was_then_taken_back_reads_the_next_one_whole(
    tmp_path: Path, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, VirtualClock(), ballast_bytes=0)
    first = journal.append(steer(1))
    follower = JournalFollower(tmp_path)
    assert follower.poll() == [first]
    real, begun = os.write, threading.Event()

    def half(fd: int, data: bytes) -> int:
        if not begun.is_set():
            begun.set()
            return real(fd, data[:seen])
        assert follower.poll() == []
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(HarnessError):
            journal.append(Steer(command="remark", argument="lost" * 50))
    after = journal.append(Steer(command="remark", argument="after" * 50))
    assert follower.poll() == [after]
    follower.close()
    journal.close()
