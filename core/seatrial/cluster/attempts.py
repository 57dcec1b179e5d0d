"""Calls whose failure is an answer, and calls side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar, TypeVarTuple

Args = TypeVarTuple("Args")
T = TypeVar("T")

_WORKERS_MAX = 32


def attempt(call: Callable[[*Args], T], *args: *Args) -> tuple[T | None, Exception | None]:
    """(result, None) or (None, error): a peer that fails in whatever way must not end the work on the others."""
    try:
        return call(*args), None
    except Exception as error:  # noqa: BLE001 - any failure of a peer is handed to the caller
        return None, error


def side_by_side(calls: Sequence[Callable[[], T]]) -> Iterator[tuple[int, T | None, Exception | None]]:
    """Run all calls on daemon threads, at most 32 at once; (index, result, error) of each, in the order of arrival.

    Whoever stops iterating early leaves the late ones to end by themselves; their answers are discarded.
    """
    todo = iter(enumerate(calls))
    lock = threading.Lock()
    done: queue.SimpleQueue[tuple[int, T | None, Exception | None]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            with lock:
                task = next(todo, None)
            if task is None:
                return
            done.put((task[0], *attempt(task[1])))

    for number in range(min(len(calls), _WORKERS_MAX)):
        threading.Thread(target=work, name=f"cluster-call-{number}", daemon=True).start()
    yield from islice(iter(done.get, None), len(calls))
