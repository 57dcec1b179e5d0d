"""Journal and telemetry as one stream in time, read on from any place; checkpoints along it."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from seatrial.history.events import Record, Steer
from seatrial.history.frames import Frame
from seatrial.history.journal import Journal
from seatrial.history.segments import plain_path
from seatrial_tui.source.checkpoints import Checkpoints
from seatrial_tui.source.cursor import Cursor
from seatrial_tui.source.state import RunState
from seatrial_tui.source.tape import Tape, last_record_ns
from tests.tui.source.journals import PLAN, SECOND, comparable, creates, numbered, truth, written

RECORDS = numbered(creates(100))
FRAMES = [Frame(at_ns=second * SECOND) for second in range(1, len(RECORDS), 3)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return written(tmp_path, RECORDS, FRAMES)


def tape(directory: Path) -> closing[Tape]:
    return closing(Tape(directory, print))


def test_records_and_frames_come_in_the_order_of_their_times(run: Path) -> None:
    both: list[Record | Frame] = [*RECORDS, *FRAMES]
    expected = sorted(both, key=lambda item: (item.at_ns, isinstance(item, Frame)))
    for limit in (1, 7, 10_000):
        with tape(run) as reading:
            items = []
            while more := reading.read(limit):
                items += more
            assert items == expected


def test_reading_ends_at_a_time_and_goes_on_from_there(run: Path) -> None:
    with tape(run) as reading:
        early = reading.read(10_000, until_ns=50 * SECOND)
        assert max(item.at_ns for item in early) == 50 * SECOND
        assert reading.read(10_000, until_ns=50 * SECOND) == []
        late = reading.read(10_000)
        assert len(early) + len(late) == len(RECORDS) + len(FRAMES)


def test_another_tape_goes_on_from_a_place(run: Path) -> None:
    with tape(run) as first:
        for _ in range(5):
            first.read(20)
        place = first.place
        assert place is not None
        with closing(Tape(run, print, place)) as second:
            assert second.read(10_000) == first.read(10_000)


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_the_last_record_of_a_journal_is_found_without_reading_it_all(tmp_path: Path, size: int) -> None:
    assert last_record_ns(tmp_path) == 0
    with closing(Journal(tmp_path, ballast_bytes=0)) as journal:
        journal.append(PLAN)
        last = journal.append(Steer(command="remark", argument="x" * size))
    assert last_record_ns(tmp_path) == last.at_ns
    with plain_path(tmp_path, 1).open("ab") as file:
        file.write(b'{"seq":3,"at_ns":')
    assert last_record_ns(tmp_path) == last.at_ns


def test_a_checkpoint_goes_on_as_if_all_had_been_read(run: Path) -> None:
    checkpoints = Checkpoints(spacing=1)
    lock = threading.Lock()
    with closing(Cursor(run, lock, print)) as cursor:
        cursor.step(40 * SECOND)
        cursor.step(40 * SECOND)
        assert checkpoints.before(1 << 62) is None
    with tape(run) as reading:
        state = RunState()
        while items := reading.read(20):
            state.apply(items)
            place = reading.place
            assert place is not None
            assert not checkpoints.due(RunState())
            checkpoints.make(state, place, lock)
    assert checkpoints.before(RECORDS[0].at_ns - 1) is None
    for at_ns in (30 * SECOND, 100 * SECOND, RECORDS[-1].at_ns):
        start = checkpoints.before(at_ns)
        assert start is not None
        assert at_ns - 20 * SECOND < start.reached_ns <= at_ns
        with closing(Cursor(run, lock, print, start)) as cursor:
            while cursor.step(at_ns):
                pass
            assert comparable(cursor.state.view()) == truth(run, at_ns)


def test_checkpoints_are_bounded_in_bytes_and_thinned_evenly(run: Path) -> None:
    lock = threading.Lock()
    with tape(run) as reading:
        state = RunState()
        state.apply(reading.read(20))
        place = reading.place
        assert place is not None
        one = Checkpoints()
        one.make(state, place, lock)
        first = one.before(1 << 62)
        assert first is not None
        kept = Checkpoints(spacing=1, kept_bytes=10 * len(first.packed))
        for seq in range(1, 200):
            state.seq, state.reached_ns = seq, seq
            kept.make(state, place, lock)
        seqs = sorted({found.seq for at_ns in range(200) if (found := kept.before(at_ns)) is not None})
        assert 4 <= len(seqs) <= 11
        assert seqs[-1] == 199


def test_checkpoints_take_a_small_part_of_the_time(run: Path) -> None:
    checkpoints, lock = Checkpoints(spacing=1), threading.Lock()
    with tape(run) as reading:
        state = RunState()
        state.apply(reading.read(20))
        place = reading.place
        assert place is not None
        assert checkpoints.due(state)
        checkpoints.make(state, place, lock)
        state.apply(reading.read(1))
        assert not checkpoints.due(state), "as much time as it took, ten times over, has not passed"
