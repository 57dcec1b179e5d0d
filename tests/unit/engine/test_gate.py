"""The gate: admission in order, never more than the limit, alone when asked, and nobody left waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.context import CancelToken, Context
from seatrial.engine.gate import Gate
from seatrial.errors import CancelledError, DeadlineExceededError


def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Wait for a condition that another thread brings about."""
    limit, pause = SYSTEM_CLOCK.monotonic_s() + deadline_s, threading.Event()
    while not condition():
        assert SYSTEM_CLOCK.monotonic_s() < limit, "the condition never came true"
        pause.wait(0.002)


class Visitor:
    """A thread that enters the gate, tells, and stays until it is let go."""

    def __init__(
        self, gate: Gate, name: str, order: list[str], *, alone: bool = False, apart: bool = False, ctx: Context | None = None
    ) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()
        self._gate, self._name, self._order, self._ctx = gate, name, order, ctx or Context()
        self._alone, self._apart = alone, apart
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        before = gate.waiting + gate.in_flight
        self.thread.start()
        until(lambda: gate.waiting + gate.in_flight > before or not self.thread.is_alive())

    def _run(self) -> None:
        try:
            with self._gate.admit(self._ctx, alone=self._alone, apart=self._apart):
                self._order.append(self._name)
                self.inside.set()
                self.leave.wait(10)
        except CancelledError as error:
            self.error = error

    def end(self) -> None:
        self.leave.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_admits_in_the_order_of_arrival_and_never_more_than_the_limit() -> None:
    gate, order = Gate(2), list[str]()
    visitors = [Visitor(gate, str(n), order) for n in range(2)]
    assert all(visitor.inside.wait(10) for visitor in visitors)
    visitors += [Visitor(gate, str(n), order) for n in range(2, 6)]
    order.clear()  # the first two were let in at once
    for n, visitor in enumerate(visitors):
        assert gate.in_flight == len(visitors[n : n + 2])
        visitor.end()
        assert all(next_one.inside.wait(10) for next_one in visitors[n + 2 : n + 3])
        assert not any(later.inside.is_set() for later in visitors[n + 3 :])
    assert order == ["2", "3", "4", "5"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


def test_alone_waits_for_those_inside_and_holds_back_those_behind() -> None:
    gate, order = Gate(4), list[str]()
    first, collector, behind = Visitor(gate, "first", order), Visitor(gate, "gc", order, alone=True), Visitor(gate, "behind", order)
    until(lambda: order == ["first"])
    assert (gate.in_flight, gate.waiting) == (1, 2)
    first.end()
    assert collector.inside.wait(10)
    assert (gate.in_flight, gate.waiting) == (1, 1)
    collector.end()
    assert behind.inside.wait(10)
    behind.end()
    assert order == ["first", "gc", "behind"]


def test_those_apart_pass_whoever_is_alone_or_waits_to_be() -> None:
    gate, order = Gate(3), list[str]()
    collector, behind = Visitor(gate, "gc", order, alone=True), Visitor(gate, "behind", order)
    writer = Visitor(gate, "writer", order, apart=True)
    assert writer.inside.wait(10)
    assert not behind.inside.is_set()
    collector.end()
    assert behind.inside.wait(10)
    second = Visitor(gate, "second gc", order, alone=True)
    assert (gate.in_flight, gate.waiting) == (2, 1)
    behind.end()
    assert second.inside.wait(10), "those apart are no company"
    second.end()
    writer.end()
    assert (order, gate.in_flight, gate.waiting) == (["gc", "writer", "behind", "second gc"], 0, 0)


def test_those_apart_count_and_take_their_turn() -> None:
    gate, order = Gate(1), list[str]()
    first, sharer = Visitor(gate, "first", order, apart=True), Visitor(gate, "sharer", order)
    last = Visitor(gate, "last", order, apart=True)
    assert (gate.in_flight, gate.waiting) == (1, 2)
    for visitor in (first, sharer, last):
        assert visitor.inside.wait(10)
        visitor.end()
    assert order == ["first", "sharer", "last"]


def test_those_apart_are_turned_away_and_cancelled_like_all() -> None:
    gate, order, token = Gate(1), list[str](), CancelToken()
    inside = Visitor(gate, "inside", order)
    cancelled, away = Visitor(gate, "cancelled", order, apart=True, ctx=Context(cancel=token)), Visitor(gate, "away", order, apart=True)
    token.cancel("no more")
    cancelled.thread.join(10)
    gate.turn_away()
    away.thread.join(10)
    assert (type(cancelled.error), type(away.error)) == (CancelledError, CancelledError)
    inside.end()
    assert (order, gate.in_flight, gate.waiting) == (["inside"], 0, 0)


def test_a_paused_gate_lets_nobody_in_until_it_is_resumed() -> None:
    gate, order = Gate(1), list[str]()
    gate.pause()
    visitor = Visitor(gate, "a", order)
    assert (gate.in_flight, gate.waiting, gate.paused) == (0, 1, True)
    gate.resume()
    assert visitor.inside.wait(10)
    visitor.end()


def test_a_cancelled_waiter_leaves_the_queue_and_does_not_take_a_place() -> None:
    gate, order, token = Gate(1), list[str](), CancelToken()
    holder = Visitor(gate, "holder", order)
    waiter = Visitor(gate, "waiter", order, ctx=Context(cancel=token))
    behind = Visitor(gate, "behind", order)
    token.cancel("enough")
    waiter.thread.join(10)
    assert isinstance(waiter.error, CancelledError)
    holder.end()
    assert behind.inside.wait(10)
    behind.end()
    assert order == ["holder", "behind"]


def test_cancelling_a_waiter_who_wants_to_be_alone_frees_those_behind_it() -> None:
    gate, order, token = Gate(2), list[str](), CancelToken()
    holder = Visitor(gate, "holder", order)
    Visitor(gate, "gc", order, alone=True, ctx=Context(cancel=token))
    behind = Visitor(gate, "behind", order)
    token.cancel("enough")
    assert behind.inside.wait(10)
    holder.end()
    behind.end()


def test_turning_away_sends_every_waiter_home_and_keeps_those_inside() -> None:
    gate, order = Gate(1), list[str]()
    holder, waiter = Visitor(gate, "holder", order), Visitor(gate, "waiter", order)
    gate.turn_away()
    waiter.thread.join(10)
    assert isinstance(waiter.error, CancelledError)
    assert gate.in_flight == 1
    holder.end()
    assert order == ["holder"]


def test_once_turned_away_nobody_gets_in_until_it_is_opened_again() -> None:
    gate, order = Gate(2), list[str]()
    gate.pause()
    gate.turn_away()
    with pytest.raises(CancelledError, match="turned away"), gate.admit(Context()):
        order.append("too early")
    gate.reopen()
    late = Visitor(gate, "late", order)
    assert late.inside.wait(10), "a pause is over too"
    late.end()
    assert (order, gate.in_flight, gate.waiting, gate.paused) == (["late"], 0, 0, False)


def test_nobody_waits_longer_than_the_deadline() -> None:
    gate, order = Gate(2), list[str]()
    holder, alone = Visitor(gate, "holder", order), Visitor(gate, "alone", order, alone=True, ctx=Context().within(0.05))
    behind = Visitor(gate, "behind", order)
    assert behind.inside.wait(10), "who has gone holds up nobody"
    alone.thread.join(10)
    assert isinstance(alone.error, DeadlineExceededError)
    holder.end()
    behind.end()
    assert (order, gate.in_flight, gate.waiting) == (["holder", "behind"], 0, 0)


def test_a_gate_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Gate(0)


def test_many_threads_pass_without_loss_under_contention() -> None:
    gate, passed, lock, over = Gate(3), [0], threading.Lock(), []

    def work() -> None:
        for _ in range(50):
            with gate.admit(Context()):
                if gate.in_flight > 3:
                    over.append(gate.in_flight)
                with lock:
                    passed[0] += 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert passed == [800]
    assert over == []
    assert (gate.in_flight, gate.waiting) == (0, 0)
