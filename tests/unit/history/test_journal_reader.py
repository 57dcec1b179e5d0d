"""Reading journals: torn, holed, foreign, and growing ones."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from seatrial.clock import VirtualClock
from seatrial.errors import UsageError
from seatrial.history import reader as reader_module
from seatrial.history.events import PlanEvent, Record, RunEnded, Steer
from seatrial.history.journal import Journal
from seatrial.history.reader import JournalDamagedError, JournalFollower, JournalGap, JournalGapError, follow, read_journal
from seatrial.history.segments import compress_segment, packed_path, plain_path
from seatrial.verdicts import ExitCode, Verdict


def line(seq: int, argument: str = "") -> bytes:
    return msgspec.json.encode(Record(seq=seq, at_ns=1, event=Steer(command="remark", argument=argument))) + b"\n"


def seqs(directory: Path) -> list[int]:
    return [record.seq for record in read_journal(directory)]


def test_a_tail_torn_at_any_byte_is_ignored(tmp_path: Path) -> None:
    lines = [line(1, "ü"), line(2, "{}"), line(3, "x" * 50)]
    whole = b"".join(lines)
    ends = [0, len(lines[0]), len(lines[0] + lines[1]), len(whole)]
    for cut in range(len(whole) + 1):
        plain_path(tmp_path, 1).write_bytes(whole[:cut])
        assert seqs(tmp_path) == [seq for seq in (1, 2, 3) if ends[seq] <= cut]


@pytest.mark.parametrize("present", [[1, 3], [2, 3], [1, 2, 5]])
def test_missing_records_raise_or_are_reported(tmp_path: Path, present: list[int]) -> None:
    plain_path(tmp_path, 1).write_bytes(b"".join(map(line, present)))
    with pytest.raises(JournalGapError, match="missing") as raised:
        seqs(tmp_path)
    assert raised.value.exit_code is ExitCode.INCONCLUSIVE
    gaps: list[JournalGap] = []
    assert [record.seq for record in read_journal(tmp_path, on_gap=gaps.append)] == present
    (gap,) = gaps
    assert gap.found > gap.expected
    assert str(plain_path(tmp_path, 1)) in gap.where


def test_repeated_records_are_reported_and_left_out(tmp_path: Path) -> None:
    plain_path(tmp_path, 1).write_bytes(b"".join(map(line, [1, 2, 2, 1, 3])))
    with pytest.raises(JournalGapError, match="comes again"):
        seqs(tmp_path)
    gaps: list[JournalGap] = []
    assert [record.seq for record in read_journal(tmp_path, on_gap=gaps.append)] == [1, 2, 3]
    assert [(gap.expected, gap.found) for gap in gaps] == [(3, 2), (3, 1)]


def test_a_missing_segment_is_a_gap(tmp_path: Path) -> None:
    plain_path(tmp_path, 1).write_bytes(line(1))
    plain_path(tmp_path, 3).write_bytes(line(3))
    with pytest.raises(JournalGapError, match="records 2 to 2 are missing"):
        seqs(tmp_path)


@pytest.mark.parametrize("bad", [b"{", b"\x00\x00", b'{"seq":2}', b'{"seq":2,"at_ns":1,"event":{"kind":"never-heard-of"}}', b"\xff\xfe"])
def test_a_bad_line_in_the_middle_is_named_with_its_place(tmp_path: Path, bad: bytes) -> None:
    plain_path(tmp_path, 1).write_bytes(line(1) + bad + b"\n" + line(3))
    with pytest.raises(JournalDamagedError, match=r"journal-000001\.jsonl line 2") as raised:
        seqs(tmp_path)
    assert raised.value.exit_code is ExitCode.INCONCLUSIVE
    assert raised.value.remedy


def test_a_torn_end_of_a_segment_that_is_not_the_last_is_damage(tmp_path: Path) -> None:
    plain_path(tmp_path, 1).write_bytes(line(1) + line(2)[:-5])
    plain_path(tmp_path, 2).write_bytes(line(3))
    with pytest.raises(JournalDamagedError, match="cut short"):
        seqs(tmp_path)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_longer_than_any_is_named(tmp_path: Path, end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MAX_LINE_BYTES", 1000)
    plain_path(tmp_path, 1).write_bytes(line(1) + b"x" * 2000 + end)
    with pytest.raises(JournalDamagedError, match=r"line 2: a line is longer than 1,000 bytes"):
        seqs(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_compressed_segment_is_named(tmp_path: Path, damage: str) -> None:
    plain_path(tmp_path, 1).write_bytes(b"".join(map(line, range(1, 200))))
    plain_path(tmp_path, 2).write_bytes(line(200))
    compress_segment(tmp_path, 1)
    packed = bytearray(packed_path(tmp_path, 1).read_bytes())
    if damage == "cut":
        del packed[-10:]
    else:
        packed[len(packed) // 2] ^= 0x55
    packed_path(tmp_path, 1).write_bytes(packed)
    with pytest.raises(JournalDamagedError, match="journal-000001"):
        seqs(tmp_path)


@pytest.mark.parametrize("found", [0, 2, 99])
def test_a_format_of_another_version_names_both(tmp_path: Path, found: int) -> None:
    plan = {"kind": "plan", "format": found, "what-we-do-not-know": [1]}
    plain_path(tmp_path, 1).write_bytes(msgspec.json.encode({"seq": 1, "at_ns": 1, "event": plan}) + b"\n")
    with pytest.raises(UsageError, match=f"format {found}; this seatrial reads 1 to 1"):
        seqs(tmp_path)


def test_fields_we_do_not_know_yet_are_skipped(tmp_path: Path) -> None:
    event = {"kind": "steer", "command": "pause", "mood": "calm"}
    plain_path(tmp_path, 1).write_bytes(msgspec.json.encode({"seq": 1, "at_ns": 1, "event": event, "sea": "rough"}) + b"\n")
    assert seqs(tmp_path) == [1]


def test_no_journal_is_a_usage_error(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="no journal"):
            list(read_journal(directory))


def test_a_follower_sees_everything_once_over_rotation_and_compression(tmp_path: Path) -> None:
    follower = follow(tmp_path)
    assert follower.poll() == []
    journal = Journal(tmp_path, VirtualClock(), ballast_bytes=0, segment_bytes=1500)
    journal.append(PlanEvent(run_id="r", preset="p", seed=1, target="t", repo_path_prefix="/p", settings={}))
    seen = follower.poll()
    for number in range(300):
        journal.append(Steer(command="remark", argument=str(number)))
        if number % 7 == 0:
            seen += follower.poll(limit=5)
        if number == 150 and journal._compressor is not None:
            journal._compressor.join()  # what it stands in the middle of is compressed now
    assert not follower.ended
    journal.append(RunEnded(verdict=Verdict.PASS, exit_code=0))
    journal.close()
    while records := follower.poll():
        seen += records
    follower.close()
    assert follower.ended
    assert seen == list(read_journal(tmp_path))
    assert [record.seq for record in seen] == list(range(1, 303))


def test_a_follower_goes_on_where_another_one_stood(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, segment_bytes=2_000, ballast_bytes=0)) as journal:
        for number in range(100):
            journal.append(Steer(command="remark", argument=str(number)))
    whole = list(read_journal(tmp_path))
    with JournalFollower(tmp_path) as first:
        assert first.place is None
        for taken in range(1, len(whole)):
            first.poll(limit=1)
            with JournalFollower(tmp_path, after=first.place) as second:
                assert second.poll() == whole[taken:]


def test_a_follower_waits_for_the_rest_of_a_line(tmp_path: Path) -> None:
    path = plain_path(tmp_path, 1)
    with JournalFollower(tmp_path) as follower:
        for cut in range(len(line(1))):
            path.write_bytes(line(1)[:cut])
            assert follower.poll() == []
        path.write_bytes(line(1) + line(2)[:3])
        assert [record.seq for record in follower.poll()] == [1]


def test_what_is_written_between_the_end_of_a_segment_and_the_next_one_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_path(tmp_path, 1).write_bytes(line(1))
    real = JournalFollower._has_next

    def rotate_just_now(follower: JournalFollower) -> bool:
        monkeypatch.undo()
        with plain_path(tmp_path, 1).open("ab") as file:
            file.write(line(2))
        plain_path(tmp_path, 2).write_bytes(line(3))
        return real(follower)

    monkeypatch.setattr(JournalFollower, "_has_next", rotate_just_now)
    assert seqs(tmp_path) == [1, 2, 3]
