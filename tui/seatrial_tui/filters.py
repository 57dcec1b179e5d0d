"""The filter that a person types, and how long it may take. Imports little: the log's scanner, a process of its own, starts with it."""

from __future__ import annotations

import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which texts to show."""

    search: Callable[[str], object]
    inverted: bool

    def matches(self, text: str) -> bool:
        return (self.search(text) is None) is self.inverted


def compile_filter(pattern: str) -> Filter | None:
    """The filter that somebody typed; None for one that says nothing.

    A leading ``!`` inverts; without a capital letter, case does not matter; ``^`` and ``$`` are the ends of a line. Raises ``re.error``,
    ``OverflowError`` or ``RecursionError`` for a broken one: ``BROKEN``.
    """
    body = pattern.removeprefix("!")
    if not body:
        return None
    with warnings.catch_warnings(action="ignore"):  # what may mean something else in some later Python is typed character by character
        search = re.compile(body, re.MULTILINE | (re.IGNORECASE if body == body.lower() else 0)).search
    return Filter(search=search, inverted=body != pattern)


BROKEN = (re.error, OverflowError, RecursionError)
"""What ``compile_filter`` raises: a repeat count, or a nesting, may be beyond what ``re`` can do."""


class TooLong(Exception):
    """A pattern takes too long."""


@contextmanager
def patience(processor_s: float) -> Iterator[None]:
    """What is done here and takes more processor time than that is broken off by ``TooLong``: ``re`` looks for signals now and then.

    Threading: the main thread only. Owner of SIGVTALRM meanwhile.
    """
    waiting = True

    def end(_number: int, _frame: FrameType | None) -> None:
        if waiting:
            raise TooLong

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, processor_s)
    try:
        yield
    finally:
        waiting = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
