"""A server's log as a person may see it: the last lines, a range by offset, never anything that repaints a terminal."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

LINE_LIMIT = 2_000
"""Characters shown of one line."""
TAIL_BYTES = 256 << 10
RANGE_BYTES = 1 << 20
_TAB = "    "
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Control, format (such as those that turn the writing direction), private, surrogates, separators of lines and paragraphs."""


def clean(text: str) -> str:
    """One line with nothing in it that a terminal obeys: such characters as ``\\x1b`` or ``\\u202e``, tabs as blanks, a limited length."""
    more = len(text) - LINE_LIMIT
    shown = text[:LINE_LIMIT]
    if not shown.isprintable():
        shown = "".join(map(_visible, shown))
    return f"{shown} … ({more} characters more)" if more > 0 else shown


def _visible(character: str) -> str:
    if character == "\t":
        return _TAB
    if character.isprintable() or unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape").decode()


def clean_lines(data: bytes) -> list[str]:
    """All lines of ``data``, cleaned; bytes that are not UTF-8 as ``\\xNN``."""
    return [clean(line) for line in _lines(data)]


def _lines(data: bytes) -> list[str]:
    lines = re.split(r"\r?\n", data.decode(errors="backslashreplace"))
    if lines[-1] == "":
        lines.pop()
    return lines


class ServerLog:
    """Reads a log that another process appends to. A missing or unreadable one reads as empty.

    Threading: any thread; nothing is kept between calls.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def size_bytes(self) -> int:
        """Its size now, which is the offset of what comes next; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def tail(self, lines: int = 20) -> list[str]:
        """At most its last ``lines`` lines, out of its last ``TAIL_BYTES``; a first line that is cut begins with an ellipsis."""
        end = self.size_bytes()
        begin = max(0, end - TAIL_BYTES)
        found = _lines(self.read(begin, end))
        if begin > 0 and found:
            found[0] = f"… {found[0]}"
        return [clean(line) for line in found[-lines:]] if lines > 0 else []

    def lines_between(self, begin: int, end: int) -> list[str]:
        """The lines from one offset to another, at most the first ``RANGE_BYTES`` of them."""
        return clean_lines(self.read(begin, end))

    def read(self, begin: int, end: int) -> bytes:
        """The raw bytes between two offsets, as far as there are any, at most ``RANGE_BYTES``."""
        wanted = min(max(0, end - max(0, begin)), RANGE_BYTES)
        try:
            # Not blocking: should somebody have put a pipe in its place.
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            return os.pread(fd, wanted, max(0, begin))
        except OSError:
            return b""
        finally:
            os.close(fd)
