"""Where the lines of a file begin: one count for each block, so that its size in memory depends on bytes, not on lines.

A sparse table of offsets every so many lines would have to look at each newline in Python; counting newlines block by block runs at the
speed of memory, and one block is quickly searched for the newline that is wanted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable

BLOCK_BYTES = 64 << 10
_NEWLINE = b"\n"

Read = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there, fewer at the end of the file."""


class Index:
    """Newlines before each block of ``BLOCK_BYTES``: 8 bytes for 64 KiB of log.

    Lines are numbered from 0; what follows the last newline is a line too, an open one, unless it is empty.
    Threading: one thread, which owns it.
    """

    def __init__(self) -> None:
        self._counts = array("Q", [0])
        self.size_bytes = 0
        self.newlines = 0
        """As many lines are complete."""
        self.open = False
        """Whether a line without a newline follows the complete ones."""

    @property
    def lines(self) -> int:
        """All, the open one too."""
        return self.newlines + self.open

    def feed(self, data: bytes) -> None:
        """The next bytes of the file."""
        at, end = 0, len(data)
        while at < end:
            upto = min(end, at + BLOCK_BYTES - self.size_bytes % BLOCK_BYTES)
            self.newlines += data.count(_NEWLINE, at, upto)
            self.size_bytes += upto - at
            at = upto
            if self.size_bytes % BLOCK_BYTES == 0:
                self._counts.append(self.newlines)
        if data:
            self.open = not data.endswith(_NEWLINE)

    def start_of(self, number: int, read: Read) -> int:
        """The offset at which a line begins; the end of the file for one that is not there yet."""
        if number <= 0:
            return 0
        if number > self.newlines:
            return self.size_bytes
        block = bisect_left(self._counts, number) - 1
        begin = block * BLOCK_BYTES
        data = read(begin, min(BLOCK_BYTES, self.size_bytes - begin))
        return begin + _nth_newline(data, number - self._counts[block]) + 1

    def line_at(self, offset: int, read: Read) -> int:
        """The number of the line that the byte at ``offset`` belongs to; at the end of the file, of the line that comes next."""
        offset = min(max(0, offset), self.size_bytes)
        block = min(offset // BLOCK_BYTES, len(self._counts) - 1)
        begin = block * BLOCK_BYTES
        return self._counts[block] + read(begin, offset - begin).count(_NEWLINE)

    def lines_from(self, number: int, count: int, head_bytes: int, read: Read) -> list[tuple[bytes, int]]:
        """At most ``count`` lines from ``number`` on: the first ``head_bytes`` of each, and its length, both without the newline."""
        found: list[tuple[bytes, int]] = []
        start = at = self.start_of(number, read)
        data = read(start, min(BLOCK_BYTES, self.size_bytes - start))
        for line in range(number, min(number + count, self.lines)):
            end = data.find(_NEWLINE, at - start)
            if end < 0 and at > start:
                start, data = at, read(at, min(BLOCK_BYTES, self.size_bytes - at))
                end = data.find(_NEWLINE)
            # Not found: it is longer than a block, or it is the open one.
            upto = start + end if end >= 0 else self.start_of(line + 1, read) - (line < self.newlines)
            found.append((data[at - start : min(upto, at + head_bytes) - start], max(0, upto - at)))
            at = upto + 1
            if end < 0:
                start, data = at, read(at, max(0, min(BLOCK_BYTES, self.size_bytes - at)))
        return found


def _nth_newline(data: bytes, rank: int) -> int:
    """The position of the newline of that rank, from 1, by halves: some 16 counts instead of a loop over all newlines."""
    low, high = 0, len(data)
    while high - low > 1:
        middle = (low + high) // 2
        count = data.count(_NEWLINE, low, middle)
        if rank <= count:
            high = middle
        else:
            rank -= count
            low = middle
    return low
