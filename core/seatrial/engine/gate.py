"""First come, first served admission: so many actions at a time, or one alone.

Why: a thousand free-running threads starve each other; gated they take turns. Each waiter sleeps on an event of its own, so admitting
one wakes exactly one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from seatrial.context import Context
from seatrial.errors import CancelledError


class _Waiter:
    """One place in the queue. ``admitted`` is guarded by the gate's lock."""

    __slots__ = ("admitted", "alone", "apart", "number", "turn")

    def __init__(self, number: int, *, alone: bool, apart: bool) -> None:
        self.number, self.alone, self.apart = number, alone, apart
        self.admitted = False
        self.turn = threading.Event()


class Gate:
    """Admits at most ``limit`` holders at a time, in the order in which they came.

    A holder who asked to be alone is admitted when nobody else is inside, and nobody overtakes it meanwhile: those inside finish,
    those behind wait. Those who are apart take a place and are otherwise in nobody's way, nor anybody in theirs. A paused gate lets
    nobody in, a closed one sends everybody home; who is inside goes on.

    Threading: safe from any thread; ``_lock`` guards all fields and is held for a few instructions only.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a gate admits at least one at a time, not {limit}")
        self.limit = limit
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()
        self._apart: deque[_Waiter] = deque()
        self._arrivals = 0
        self._inside = self._inside_apart = 0
        self._held_alone = False
        self._paused = self._closed = False

    @property
    def in_flight(self) -> int:
        """How many are inside."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many stand in the queue."""
        return len(self._queue) + len(self._apart)

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        """Let nobody in until ``resume``."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        with self._lock:
            self._paused = False
            self._admit_next()

    def turn_away(self) -> None:
        """Send everybody home who waits, or comes before ``reopen``: their ``admit`` raises ``CancelledError``. Who is inside goes on."""
        with self._lock:
            self._closed = True
            waiters = [*self._queue, *self._apart]
            self._queue, self._apart = deque(), deque()
            for waiter in waiters:
                waiter.turn.set()

    def reopen(self) -> None:
        """Whoever comes from now on is let in, whether it was paused or everybody was turned away."""
        with self._lock:
            self._closed = self._paused = False
            self._admit_next()

    @contextmanager
    def admit(self, ctx: Context, *, alone: bool = False, apart: bool = False) -> Iterator[float]:
        """Wait for a place, give the seconds waited, leave at the end. ``CancelledError`` when cancelled, too late or turned away."""
        began_s = ctx.clock.monotonic_s()
        with self._lock:
            if self._closed:
                raise CancelledError("turned away at the gate")
            self._arrivals += 1
            waiter = _Waiter(self._arrivals, alone=alone, apart=apart)
            self._queue_of(waiter).append(waiter)
            self._admit_next()
        # Race: cancellation, the deadline, admission and turning away all end the wait. Each first takes the waiter out of the queue under
        # the gate's lock, so only one of them does.
        take_back = ctx.cancel.on_cancel(lambda: self._wake(waiter))
        if ctx.deadline_s is None:
            waiter.turn.wait()
        elif not ctx.clock.wait(waiter.turn, ctx.remaining_s(0)):
            self._wake(waiter)
        take_back()
        if not waiter.admitted:
            ctx.check()
            raise CancelledError("turned away at the gate")
        try:
            yield ctx.clock.monotonic_s() - began_s
        finally:
            self._leave(waiter)

    def _wake(self, waiter: _Waiter) -> None:
        with self._lock:
            queue = self._queue_of(waiter)
            if waiter in queue:
                queue.remove(waiter)
                waiter.turn.set()
                self._admit_next()

    def _queue_of(self, waiter: _Waiter) -> deque[_Waiter]:
        return self._apart if waiter.apart else self._queue

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            self._inside -= 1
            self._inside_apart -= waiter.apart
            if waiter.alone:
                self._held_alone = False
            self._admit_next()

    def _admit_next(self) -> None:
        """Admit from the heads of the queues as long as the rules allow. Caller holds ``_lock``."""
        while not self._paused and self._inside < self.limit and (waiter := self._next()) is not None:
            self._queue_of(waiter).popleft()
            self._inside += 1
            self._inside_apart += waiter.apart
            self._held_alone = self._held_alone or waiter.alone
            waiter.admitted = True
            waiter.turn.set()

    def _next(self) -> _Waiter | None:
        """Who may come in now, of two the one who came first."""
        heads = [self._apart[0]] if self._apart else []
        if self._queue and not self._held_alone and not (self._queue[0].alone and self._inside > self._inside_apart):
            heads.append(self._queue[0])
        return min(heads, key=lambda waiter: waiter.number, default=None)
