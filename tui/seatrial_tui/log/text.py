"""From the bytes of a line to its text. Imports little: the scanner, a process of its own, starts with it."""

from __future__ import annotations

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
