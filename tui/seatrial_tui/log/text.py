"""From the bytes of a line to its text. Imports little: the scanner, a process of its own, starts with it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from seatrial.observe.serverlog import LINE_LIMIT, clean

LINE_BYTES = 4 * LINE_LIMIT + 4
"""Of a line are read: enough for ``LINE_LIMIT`` characters of any kind."""


def line_text(head: bytes, length: int) -> str:
    """What is shown of a line that begins with ``head`` (its first ``LINE_BYTES`` or all of it) and has ``length`` bytes."""
    text = head.decode(errors="backslashreplace")
    if length == len(head):
        text = text.removesuffix("\r")
    if len(text) > LINE_LIMIT or length > len(head):
        return f"{clean(text[:LINE_LIMIT])} … (a line of {length:,} bytes)"
    return text if text.isprintable() else clean(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which lines to show. A leading ``!`` inverts; without a capital letter, case does not matter."""

    search: Callable[[str], object]
    inverted: bool

    def matches(self, text: str) -> bool:
        return (self.search(text) is None) is self.inverted


def compile_filter(pattern: str) -> Filter | None:
    """The filter that somebody typed; None for one that says nothing.

    Raises ``re.error``, ``OverflowError`` or ``RecursionError`` for a broken one: ``BROKEN``.
    """
    body = pattern.removeprefix("!")
    if not body:
        return None
    with warnings.catch_warnings(action="ignore"):  # what may mean something else in some later Python is typed character by character
        search = re.compile(body, re.IGNORECASE if body == body.lower() else 0).search
    return Filter(search=search, inverted=body != pattern)


BROKEN = (re.error, OverflowError, RecursionError)
"""What ``compile_filter`` raises: a repeat count, or a nesting, may be beyond what ``re`` can do."""
