"""Words, numbers and widths for people. What comes from outside (paths, server text, error texts) passes through ``plain`` first.

A file name may hold an escape sequence, a newline or a right-to-left override: printed as it is, it could forge lines of a report or
drive the reader's terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from seatrial.clock import rfc3339

_SURROGATE_ESCAPE = range(0xDC80, 0xDD00)
"""How Python carries the bytes of a file name that is not UTF-8."""
_KIB = 1024
_MINUTE_S, _HOUR_S = 60, 3600
_MILLISECOND_S, _TENTH_S, _SECOND_S, _TEN_S = 0.001, 0.1, 1.0, 10.0


def plain(text: str) -> str:
    """``text`` on one line, with every character that is not printable shown as a backslash escape."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code in _SURROGATE_ESCAPE:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def block(text: str, *, indent: int, most: int = 20) -> list[str]:
    """Foreign text of several lines, each harmless and indented but the first: what forges a line stays visibly inside.

    The first line tells what it is about, the last ones how it ended: of more than ``most`` those between are left out.
    """
    lines = [plain(line) for line in text.splitlines()] or [""]
    if len(lines) > most:
        lines = [lines[0], f"({len(lines) - most + 1:,} lines left out)", *lines[len(lines) - most + 2 :]]
    return [lines[0], *(" " * indent + line for line in lines[1:])]


def cells(text: str) -> int:
    """How many columns a terminal gives ``text``, which is printable."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns, cut in the middle: both ends of a path or an id tell the most."""
    if cells(text) <= width:
        return text
    keep = max(0, width - 1)
    head = _take(text, (keep + 1) // 2)
    tail = _take(text[::-1], keep // 2)[::-1]
    return f"{head}…{tail}"


def _take(text: str, width: int) -> str:
    used = 0
    for position, character in enumerate(text):
        used += cells(character)
        if used > width:
            return text[:position]
    return text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled with spaces to ``width`` columns."""
    gap = " " * max(0, width - cells(text))
    return gap + text if right else text + gap


def size(amount_bytes: float) -> str:
    """Binary units with three figures or so: ``0 B``, ``12.0 KiB``, ``3.4 GiB``."""
    value = float(amount_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < _KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    return f"{value:.1f} PiB"


def duration(seconds: float) -> str:
    """``1h 02m 03s``, ``2m 05s``, ``45 s``."""
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    hours, rest = divmod(whole, _HOUR_S)
    minutes, left = divmod(rest, _MINUTE_S)
    return f"{hours}h {minutes:02d}m {left:02d}s" if hours else f"{minutes}m {left:02d}s"


def latency(seconds: float) -> str:
    """As many digits as a latency deserves: ``0.3 ms``, ``84 ms``, ``1.25 s``, ``31 s``."""
    if seconds <= 0:
        return "-"
    if seconds < _TENTH_S:
        return f"{seconds / _MILLISECOND_S:.1f} ms"
    if seconds < _SECOND_S:
        return f"{seconds / _MILLISECOND_S:.0f} ms"
    return f"{seconds:.2f} s" if seconds < _TEN_S else duration(seconds)


def moment(at_ns: int) -> str:
    """RFC 3339 in UTC to the millisecond; ``-`` for never."""
    if at_ns <= 0:
        return "-"
    seconds, fraction_ns = divmod(at_ns, 1_000_000_000)
    return f"{rfc3339(seconds * 1_000_000_000)[:-1]}.{fraction_ns // 1_000_000:03d}Z"


def plural(amount: int, one: str, many: str = "") -> str:
    """``1 client``, ``3 clients``, ``12,000 files``."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Lines of a table; the first ``left`` columns stand to the left, figures to the right."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(head))]
    return ["  ".join(pad(text, widths[i], right=i >= left) for i, text in enumerate(line)).rstrip() for line in lines]
