"""The recent past of a run, second by second, out of records and frames as they pass by."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from seatrial.history.events import Finding, Record, Result, RunEnded
from seatrial.history.fold import RATE_WINDOW_S
from seatrial.history.frames import Frame
from seatrial.history.tallies import RateTally
from seatrial_tui.source.moment import Sample

RECENT = 600
"""Samples of one second each."""
THINNED = 900
"""Older samples; ten seconds apart at first, twice as far each time there are too many."""
FIRST_STRIDE = 10
_SECOND_NS = 1_000_000_000


class Sizes(Mapping[str, int]):
    """Bytes by path, 8 bytes each: hundreds of caches in 1,500 samples would be tens of megabytes as dictionaries. Immutable.

    Samples with the same paths share one index of them.
    """

    __slots__ = ("_index", "_sizes")

    def __init__(self, index: Mapping[str, int], sizes: array[int]) -> None:
        self._index, self._sizes = index, sizes

    def __getitem__(self, path: str) -> int:
        return self._sizes[self._index[path]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def after(self, sizes: Mapping[str, int]) -> Sizes:
        """The sizes a second later: this very object where nothing has changed."""
        now = array("q", sizes.values())
        if len(sizes) != len(self._index) or any(one != other for one, other in zip(sizes, self._index, strict=True)):
            return Sizes({path: position for position, path in enumerate(sizes)}, now)
        return self if now == self._sizes else Sizes(self._index, now)


class Samples:
    """One sample for each second in which something was heard. Threading: one owner.

    A second's sample is made when the next one begins, so that it holds all of it; the end of the run closes its last second.
    """

    def __init__(self) -> None:
        self._recent: deque[Sample] = deque()
        self._thinned: list[Sample] = []
        self._stride, self._passed = FIRST_STRIDE, 0
        self._all: Sequence[Sample] | None = ()
        self._rates = RateTally(RATE_WINDOW_S)
        self._frame: Frame | None = None
        self._at_ns = self._findings = 0
        self._directories = self._caches = Sizes({}, array("q"))

    @property
    def all(self) -> Sequence[Sample]:
        """The oldest first; the same object until there is a new one."""
        if self._all is None:
            self._all = (*self._thinned, *self._recent)
        return self._all

    def apply(self, record: Record) -> None:
        """Take one record, in ``seq`` order."""
        self._reach(record.at_ns)
        event = record.event
        if isinstance(event, Result):
            if not event.noop:
                self._rates.add(record.at_ns, event.bytes)
        elif isinstance(event, Finding):
            self._findings += 1
        elif isinstance(event, RunEnded):
            self._close()

    def apply_frame(self, frame: Frame) -> None:
        """Take one frame, at its time among the records."""
        self._reach(frame.at_ns)
        self._frame = frame

    def _reach(self, at_ns: int) -> None:
        if at_ns // _SECOND_NS > self._at_ns // _SECOND_NS and self._at_ns:
            self._close()
        self._at_ns = max(self._at_ns, at_ns)

    def _close(self) -> None:
        if self._recent and self._recent[-1].at_ns == self._at_ns:
            return  # closed by the end of the run
        self._all = None
        self._recent.append(self._sample())
        if len(self._recent) <= RECENT:
            return
        oldest = self._recent.popleft()
        self._passed += 1
        if self._passed % self._stride == 0:
            self._thinned.append(oldest)
        if len(self._thinned) > THINNED:
            del self._thinned[::2]
            self._stride *= 2

    def _sample(self) -> Sample:
        rates = self._rates.freeze(self._at_ns)
        told = Sample(
            at_ns=self._at_ns,
            actions_per_minute=rates.actions_per_minute,
            bytes_per_second=rates.bytes_per_second,
            findings=self._findings,
        )
        return told if self._frame is None else self._with(told, self._frame)

    def _with(self, told: Sample, frame: Frame) -> Sample:
        self._directories = self._directories.after({each.path: each.size_bytes for each in frame.directories})
        self._caches = self._caches.after({each.path: each.size_bytes for each in frame.caches})
        return Sample(
            at_ns=told.at_ns,
            actions_per_minute=told.actions_per_minute,
            bytes_per_second=told.bytes_per_second,
            findings=told.findings,
            in_flight=frame.in_flight,
            waiting=frame.waiting,
            requests=sum(frame.server.requests.values()) if frame.server else 0,
            cpu_percent={role: process.cpu_percent for role, process in frame.processes.items()},
            rss_bytes={role: process.rss_bytes for role, process in frame.processes.items()},
            directories=self._directories,
            caches=self._caches,
        )
