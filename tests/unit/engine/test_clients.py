"""Who is known to the engine, and under which index: it names operations."""

from __future__ import annotations

from seatrial.clock import VirtualClock
from seatrial.context import new_client_contexts
from seatrial.engine.clients import ClientSlots


def test_a_client_that_comes_on_two_threads_has_one_index_and_nobody_else_gets_it() -> None:
    slots, contexts = ClientSlots(VirtualClock()), new_client_contexts(None, 2)
    first, is_new = slots.add("operator", contexts[0])
    again, is_new_again = slots.add("operator", contexts[0])
    other, _ = slots.add("other", contexts[1])
    assert (again is first, is_new, is_new_again) == (True, True, False)
    assert (first.index, other.index) == (0, 1)
