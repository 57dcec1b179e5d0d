"""A run at any time of it is what had been written by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.history.events import Finding, RunEnded
from seatrial.history.frames import Frame
from seatrial.history.journal import Journal
from seatrial.history.reader import read_journal
from seatrial.verdicts import Verdict
from seatrial_tui.source.checkpoints import Checkpoints
from seatrial_tui.source.moment import Moment
from seatrial_tui.source.reader import RunReader
from tests.support.waiting import eventually
from tests.tui.runs import moment_of
from tests.tui.source.journals import PLAN, SECOND, comparable, creates, finding, invoke, numbered, result, truth, written

RECORDS = numbered([*creates(1_500), *(finding(number) for number in range(5)), RunEnded(verdict=Verdict.FAIL, exit_code=1)], SECOND // 10)


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hundred seconds with a frame in each."""
    frames = [Frame(at_ns=second * SECOND + 7, in_flight=second) for second in range(1, 300)]
    return written(tmp_path_factory.mktemp("long"), RECORDS, frames)


@pytest.fixture(scope="module")
def player(long_run: Path) -> Iterator[RunReader]:
    """With checkpoints so near to each other that a seek begins at one of them."""
    with closing(RunReader(long_run, checkpoints=Checkpoints(spacing=300))) as reader:
        assert eventually(lambda: reader.moment().view.end is not None)
        yield reader


def at(reader: RunReader, at_ns: int) -> Moment:
    reader.seek(at_ns)
    assert eventually(
        lambda: not reader.moment().reading and not reader.moment().following and reader.moment().now_ns == reader.position_ns
    )
    return reader.moment()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_any_time_of_a_run_is_what_had_been_written_by_then(player: RunReader, long_run: Path, share: float) -> None:
    at_ns = player.begin_ns + int(share * (player.end_ns - player.begin_ns))
    moment = at(player, at_ns)
    assert comparable(moment.view) == truth(long_run, at_ns)
    assert moment.samples == moment_of(long_run, at_ns).samples
    assert (moment.following, moment.now_ns, moment.live) == (False, at_ns, False)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_any_time_of_a_recorded_run_is_what_had_been_written_by_then(failed_run: Path, share: float) -> None:
    with closing(RunReader(failed_run)) as reader:
        assert eventually(lambda: reader.moment().view.end is not None)
        at_ns = reader.begin_ns + int(share * (reader.end_ns - reader.begin_ns))
        assert comparable(at(reader, at_ns).view) == truth(failed_run, at_ns)


def test_timelines_and_findings_are_those_of_the_time(player: RunReader) -> None:
    at(player, RECORDS[21].at_ns)  # the first invoke
    assert [(row.action, row.outcome) for row in player.timeline("c0")] == [("snapshot-root", None), ("client-joined", None)]
    assert player.findings("g") == ()
    at(player, player.end_ns)
    assert len(player.findings("g")) == 5
    circumstances = player.circumstances("g")
    assert circumstances is not None
    assert circumstances.first_bad_ns == RECORDS[-6].at_ns


def test_a_seek_ends_within_the_run(player: RunReader) -> None:
    assert at(player, 0).now_ns == player.begin_ns == RECORDS[0].at_ns
    assert at(player, 1 << 62).now_ns == player.end_ns == RECORDS[-1].at_ns


def test_findings_are_stepped_through_in_both_directions(failed_run: Path) -> None:
    times = [record.at_ns for record in read_journal(failed_run) if isinstance(record.event, Finding)]
    with closing(RunReader(failed_run)) as reader:
        assert eventually(lambda: reader.moment().view.end is not None)
        assert reader.finding_times == tuple(times)
        assert not reader.step_finding(forward=True)
        back = []
        while reader.step_finding(forward=False):
            back.append(reader.position_ns)
        assert back == times[::-1]
        assert eventually(lambda: reader.moment().view.findings_total == 1)
        forward = [times[0]]
        while reader.step_finding(forward=True):
            forward.append(reader.position_ns)
        assert forward == times
        assert not reader.playing


def test_what_is_played_goes_on_to_the_end_and_stays_there(player: RunReader) -> None:
    at(player, player.end_ns)
    player.play(speed=2_000.0)
    assert eventually(lambda: not player.playing and player.moment().now_ns == player.end_ns)
    assert not player.following
    assert player.moment().view.end is not None
    seen = set()
    player.play(speed=100.0)
    assert player.playing
    assert eventually(lambda: seen.add(player.moment().now_ns) or len(seen) > 2)
    player.pause()
    stopped_ns = player.position_ns
    assert not player.playing
    assert eventually(lambda: player.moment().now_ns == stopped_ns)
    assert player.begin_ns < stopped_ns < player.end_ns


def test_a_live_run_can_be_stopped_on_the_screen_and_followed_again(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, ballast_bytes=0)) as journal, closing(RunReader(tmp_path)) as reader:
        journal.append(PLAN)
        journal.append(invoke("1"))
        assert eventually(lambda: reader.moment().view.in_flight == 1 and reader.moment().live)
        reader.pause()
        assert eventually(lambda: not reader.moment().following)
        paused = reader.moment()
        journal.append(result("1", snapshot="s1"))
        assert eventually(lambda: reader.moment().end_ns > paused.end_ns)
        moment = reader.moment()
        assert moment.live
        assert (moment.view.in_flight, moment.now_ns) == (1, paused.now_ns)
        assert reader.timeline("c0")[0].outcome is None
        reader.follow()
        assert eventually(lambda: reader.moment().following and reader.moment().view.snapshots.live == 1)
        assert reader.timeline("c0")[0].outcome is not None


def test_a_live_run_that_is_played_faster_than_it_goes_is_followed_in_the_end(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, ballast_bytes=0)) as journal, closing(RunReader(tmp_path)) as reader:
        for event in creates(20):
            journal.append(event)
        assert eventually(lambda: reader.moment().live and reader.moment().view.snapshots.live == 20)
        reader.play()
        assert not reader.playing, "what is followed plays anyway"
        assert at(reader, reader.begin_ns).view.seq == 1
        reader.play(speed=50.0)
        assert eventually(lambda: reader.following and reader.moment().following)
        assert eventually(lambda: reader.moment().view.snapshots.live == 20)


def test_a_clock_that_went_back_does_not_change_the_order_of_the_journal(tmp_path: Path) -> None:
    records = numbered(creates(10))
    jumped = [*records[:25], *(type(each)(seq=each.seq, at_ns=each.at_ns - 10 * SECOND, event=each.event) for each in records[25:])]
    directory = written(tmp_path, jumped)
    with closing(RunReader(directory)) as reader:
        assert eventually(lambda: reader.moment().view.seq == len(records))
        for each in (jumped[24], jumped[10], jumped[30], jumped[-1]):
            assert comparable(at(reader, each.at_ns).view) == truth(directory, each.at_ns)
