"""A lock on a path excludes the same path, its parents and its children, not its cousins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.clock import SYSTEM_CLOCK, VirtualClock
from seatrial.context import Context
from seatrial.errors import CancelledError, DeadlineExceededError, HarnessError
from seatrial.workload.locks import PathLock

PATIENCE_S = 10.0


def start(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def poll(condition: Callable[[], bool]) -> None:
    limit, never = SYSTEM_CLOCK.monotonic_s() + PATIENCE_S, threading.Event()
    while not condition():
        assert SYSTEM_CLOCK.monotonic_s() < limit
        SYSTEM_CLOCK.wait(never, 0.001)


def try_hold(locks: PathLock, path: str) -> bool:
    """Whether it is free now: time passes at once for who has to wait."""
    try:
        with locks.hold(Context(clock=VirtualClock()), Path(path)):
            return True
    except HarnessError as error:
        assert "still locked after 300 s" in str(error)
        return False


@pytest.mark.parametrize(
    ("path", "free"),
    [
        ("/data/a", False),
        ("/data", False),
        ("/", False),
        ("/data/a/b", False),
        ("/data/a/b/c", False),
        ("/data/b", True),
        ("/data/ab", True),
        ("/data/b/a", True),
        ("/other/a", True),
    ],
)
def test_what_a_held_path_excludes(path: str, free: bool) -> None:
    locks = PathLock()
    with locks.hold(Context(), Path("/data/a")):
        assert try_hold(locks, path) is free
    assert try_hold(locks, path)


def test_who_waits_gets_it_when_it_is_released() -> None:
    locks, order, release = PathLock(), [], threading.Event()

    def holder() -> None:
        with locks.hold(Context(), Path("/a")):
            order.append("first")
            release.wait(PATIENCE_S)

    def waiter() -> None:
        with locks.hold(Context(), Path("/a/b")):
            order.append("second")

    first = start(holder)
    poll(lambda: order == ["first"])
    second = start(waiter)
    poll(lambda: len(locks._waiting) == 1)
    assert order == ["first"]
    release.set()
    first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    assert order == ["first", "second"]


def test_a_late_child_does_not_overtake_a_waiting_parent() -> None:
    locks, ctx, got = PathLock(), Context(), threading.Event()

    def parent() -> None:
        with locks.hold(ctx, Path("/a")):
            got.set()

    with locks.hold(ctx, Path("/a/b")):
        waiting = start(parent)
        poll(lambda: len(locks._waiting) == 1)
        assert not try_hold(locks, "/a/c")
        assert try_hold(locks, "/b")
    waiting.join(PATIENCE_S)
    assert got.is_set()
    assert try_hold(locks, "/a/c")


def test_cancellation_wakes_who_waits() -> None:
    locks, ctx, errors = PathLock(), Context(), []

    def waiter() -> None:
        try:
            with locks.hold(ctx, Path("/a")):
                errors.append(None)
        except CancelledError as error:
            errors.append(str(error))

    with locks.hold(Context(), Path("/a")):
        thread = start(waiter)
        poll(lambda: len(locks._waiting) == 1)
        ctx.cancel.cancel("stop")
        thread.join(PATIENCE_S)
    assert errors == ["stop"]
    assert try_hold(locks, "/a")


def test_a_deadline_ends_the_wait() -> None:
    locks = PathLock()
    late = Context(clock=VirtualClock()).within(5)
    with locks.hold(Context(), Path("/a")), pytest.raises(DeadlineExceededError), locks.hold(late, Path("/a")):
        pass
    assert try_hold(locks, "/a")


def test_a_lock_is_released_when_its_block_raises() -> None:
    locks = PathLock()
    with pytest.raises(KeyError), locks.hold(Context(), Path("/a")):
        raise KeyError
    assert try_hold(locks, "/a")


def test_many_threads_never_hold_what_excludes_each_other() -> None:
    """A shadow count for each path, taken under the lock, must never be shared with a relative."""
    locks, overlaps = PathLock(), []
    inside: dict[str, int] = dict.fromkeys(["/a", "/a/b", "/a/c", "/d"], 0)
    related = {"/a": ["/a/b", "/a/c"], "/a/b": ["/a"], "/a/c": ["/a"], "/d": []}

    def work(paths: list[str]) -> None:
        for path in paths * 50:
            with locks.hold(Context(), Path(path)):
                inside[path] += 1
                if inside[path] != 1 or any(inside[other] for other in related[path]):
                    overlaps.append(path)
                inside[path] -= 1

    names = list(inside)
    threads = [start(lambda n=n: work(names[n:] + names[:n])) for n in range(4)]  # type: ignore[misc]  # a lambda with defaults
    for thread in threads:
        thread.join(PATIENCE_S)
    assert overlaps == []
    assert not locks._held
    assert not locks._waiting
