"""Drawing, pinning and taking live snapshots."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import NoOp
from seatrial.history.changes import Moved
from seatrial.history.live import LiveSet
from seatrial.history.view import SnapshotState


def live_set(*ids: str) -> LiveSet:
    return LiveSet([(snapshot, "live") for snapshot in ids])


def moved(snapshot: str, state: SnapshotState, *allowed: SnapshotState) -> list[Moved]:
    return [Moved(snapshot, state, frozenset(allowed), 1)]


@given(st.sets(st.text(min_size=1), min_size=1), st.integers(0, 2**64))
def test_a_draw_is_an_index_into_the_sorted_live_ones(ids: set[str], draw: int) -> None:
    snapshots = live_set(*ids)
    expected = sorted(ids)[draw % len(ids)]
    assert snapshots.pick(draw) == expected
    assert snapshots.pin(draw) == expected
    if len(ids) > 1:
        snapshots.unpin(expected)
        assert snapshots.take(draw) == expected


def test_nothing_live_is_a_no_op() -> None:
    snapshots = live_set()
    assert snapshots.pick(3) is None
    with pytest.raises(NoOp):
        snapshots.pin(3)
    with pytest.raises(NoOp):
        snapshots.take(3)


def test_the_last_live_one_is_never_taken() -> None:
    snapshots = live_set("a", "b")
    assert snapshots.take(0) == "a"
    with pytest.raises(NoOp, match="last"):
        snapshots.take(0)
    snapshots.apply(moved("a", "deleting", "live"))
    snapshots.apply(moved("a", "live", "deleting"))
    assert snapshots.take(1) == "b"


def test_a_pinned_one_is_passed_over_until_its_last_restore_is_over() -> None:
    snapshots = live_set("a", "b", "c")
    assert [snapshots.pin(0), snapshots.pin(0), snapshots.pin(1)] == ["a", "a", "b"]
    assert snapshots.take(0) == "c"
    with pytest.raises(NoOp, match="being restored"):
        snapshots.take(0)
    snapshots.unpin("a")
    with pytest.raises(NoOp, match="being restored"):
        snapshots.take(0, "a")
    snapshots.unpin("a")
    assert snapshots.take(1) == "a"


def test_a_named_one_must_be_live() -> None:
    snapshots = live_set("a", "b", "c")
    assert snapshots.take(0, "b") == "b"
    for call in (snapshots.take, snapshots.pin):
        with pytest.raises(NoOp, match="not live"):
            call(0, "b")
    assert snapshots.pin(0, "c") == "c"


def test_what_is_taken_comes_back_by_put_back_or_by_the_result() -> None:
    snapshots = live_set("a", "b", "c")
    snapshots.take(0)
    assert (len(snapshots), snapshots.state("a")) == (2, "live")
    snapshots.put_back("a")
    snapshots.put_back("a")
    assert snapshots.ids() == ["a", "b", "c"]
    snapshots.take(0)
    snapshots.apply(moved("a", "deleting", "live"))
    snapshots.put_back("a")
    assert (snapshots.ids(), snapshots.state("a")) == (["b", "c"], "deleting")
    snapshots.apply(moved("a", "deleted", "deleting"))
    assert snapshots.state("a") is None
    snapshots.apply(moved("a", "live", "deleting"))
    assert snapshots.ids() == ["b", "c"]


def test_two_threads_never_take_the_same_one() -> None:
    snapshots = live_set(*(f"{number:04d}" for number in range(401)))
    taken: list[list[str]] = [[], [], [], []]
    start = threading.Barrier(4)

    def work(mine: list[str]) -> None:
        start.wait()
        mine.extend(snapshots.take(draw * 7) for draw in range(100))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [snapshot for mine in taken for snapshot in mine]
    assert len(everything) == len(set(everything)) == 400
    assert len(snapshots) == 1


def test_a_listing_notes_what_changes_while_it_is_under_way() -> None:
    snapshots = live_set("a", "b", "c")
    snapshots.apply(moved("a", "lost", "live"))
    first = snapshots.begin_listing()
    snapshots.apply(moved("b", "lost", "live"))
    second = snapshots.begin_listing()
    assert snapshots.end_listing(first) == ["c"]
    snapshots.apply(moved("c", "lost", "live"))
    assert snapshots.end_listing(second) == []
    assert (first.changed, second.changed) == ({"b"}, {"c"})
