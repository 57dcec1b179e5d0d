"""The past second by second: all of it, thinner the older it is, and bounded."""

from __future__ import annotations

import pickle
from array import array
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from seatrial.history.events import RunEnded
from seatrial.history.frames import CacheFrame, DirectoryFrame, Frame, ProcessFrame, ServerFrame
from seatrial.verdicts import Verdict
from seatrial_tui.source.samples import RECENT, THINNED, Samples, Sizes
from tests.tui.source.journals import PLAN, SECOND, finding, numbered, result


def frame(second: int, **fields: object) -> Frame:
    return Frame(**{"at_ns": second * SECOND, "in_flight": second, **fields})  # type: ignore[arg-type]  # fields by name


def after(seconds: int) -> Samples:
    samples = Samples()
    for second in range(1, seconds + 1):
        samples.apply_frame(frame(second))
    return samples


def test_a_sample_holds_what_was_told_in_its_second() -> None:
    samples = Samples()
    for record in numbered([PLAN, result("1", bytes=600), finding(1)], SECOND // 4):
        samples.apply(record)
    told = Frame(
        at_ns=SECOND - 1,
        in_flight=2,
        waiting=3,
        processes={"server": ProcessFrame(pid=1, cpu_percent=50.0, rss_bytes=7)},
        directories=[DirectoryFrame(path="/d", size_bytes=10)],
        caches=[CacheFrame(owner="c0", path="/c", size_bytes=20)],
        server=ServerFrame(requests={"GET": 4, "PUT": 1}),
    )
    samples.apply_frame(told)
    assert len(samples.all) == 0
    samples.apply_frame(frame(1))
    (sample,) = samples.all
    assert sample.at_ns == SECOND - 1
    assert (sample.actions_per_minute, sample.bytes_per_second, sample.findings) == (60.0, 600.0, 1)
    assert (sample.in_flight, sample.waiting, sample.requests) == (2, 3, 5)
    assert (sample.cpu_percent, sample.rss_bytes) == ({"server": 50.0}, {"server": 7})
    assert (dict(sample.directories), dict(sample.caches)) == ({"/d": 10}, {"/c": 20})


def test_the_end_of_the_run_closes_its_last_second_once() -> None:
    samples = Samples()
    (plan, end) = numbered([PLAN, RunEnded(verdict=Verdict.PASS, exit_code=0)], SECOND // 4)
    samples.apply(plan)
    samples.apply(end)
    assert [sample.at_ns for sample in samples.all] == [end.at_ns]
    samples.apply_frame(frame(1))
    assert [sample.at_ns for sample in samples.all] == [end.at_ns]


def test_the_samples_are_the_same_object_until_there_is_a_new_one() -> None:
    samples = after(5)
    before = samples.all
    samples.apply_frame(Frame(at_ns=5 * SECOND + 1))
    assert samples.all is before
    samples.apply_frame(frame(6))
    assert samples.all is not before


def test_long_runs_keep_the_last_minutes_whole_and_the_rest_thinned() -> None:
    for seconds in (RECENT, RECENT + 1_000, RECENT + 30_000):
        samples = after(seconds + 1).all
        assert len(samples) <= RECENT + THINNED
        times = [sample.at_ns // SECOND for sample in samples]
        assert times == sorted(set(times))
        assert times[-RECENT:] == list(range(seconds - RECENT + 1, seconds + 1))
        old = times[:-RECENT]
        gaps = {later - earlier for earlier, later in pairwise(old)}
        assert len(gaps) <= 1, "as far apart everywhere"
        assert not old or old[0] <= 2 * max(gaps)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers(-1, 1 << 60), max_size=5), max_size=8))
def test_sizes_are_the_mapping_they_were_made_from(told: list[dict[str, int]]) -> None:
    sizes = Sizes({}, array("q"))
    kept = []
    for each in told:
        sizes = sizes.after(each)
        kept.append(sizes)
    assert [dict(each) for each in kept] == told
    assert [dict(each) for each in pickle.loads(pickle.dumps(kept))] == told  # noqa: S301  (made here)


def test_sizes_that_did_not_change_are_the_same_object() -> None:
    first = Sizes({}, array("q")).after({"/a": 1, "/b": 2})
    assert first.after({"/a": 1, "/b": 2}) is first
    assert first.after({"/a": 1, "/b": 3}) is not first
    assert "/z" not in first
