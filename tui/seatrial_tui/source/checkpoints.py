"""Positions of a run kept ready, so that going back does not begin at the start each time."""

from __future__ import annotations

import pickle
import threading
from bisect import bisect_right

import msgspec
import zstandard

from seatrial.clock import thread_cpu_s
from seatrial_tui.source.state import RunState
from seatrial_tui.source.tape import Place

SPACING = 10_000
"""Records between two at least. Twice as many each time there are too many checkpoints."""
SHARE = 0.1
"""Of the time that reading takes, which making checkpoints may add."""
KEPT_BYTES = 32 << 20


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One position: the state there, and where to read on."""

    place: Place
    seq: int
    reached_ns: int
    packed: bytes
    """The state, pickled and compressed: as objects it would take ten times the memory."""

    def state(self) -> RunState:
        """A state of one's own."""
        loaded: RunState = pickle.loads(zstandard.decompress(self.packed))  # noqa: S301  (our own bytes: they never left this process)
        return loaded


class Checkpoints:
    """The checkpoints of one run, about evenly spread over its records, bounded in bytes. Threading: one owner."""

    def __init__(self, *, spacing: int = SPACING, kept_bytes: int = KEPT_BYTES) -> None:
        self._spacing, self._kept_bytes = spacing, kept_bytes
        self._all: list[Checkpoint] = []
        self._not_before_s = 0.0

    def due(self, state: RunState) -> bool:
        """Whether one shall be made here, by the thread that reads; they are made in the order of the journal."""
        return state.seq >= (self._all[-1].seq if self._all else 0) + self._spacing and thread_cpu_s() >= self._not_before_s

    def make(self, state: RunState, place: Place, lock: threading.Lock) -> None:
        """Keep this position of a state that others read under ``lock``."""
        began_s = thread_cpu_s()
        with lock:
            pickled = pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)
        packed = zstandard.compress(pickled, level=1)
        self._all.append(Checkpoint(place=place, seq=state.seq, reached_ns=state.reached_ns, packed=packed))
        ended_s = thread_cpu_s()
        self._not_before_s = ended_s + (ended_s - began_s) / SHARE
        while len(self._all) > 1 and sum(len(each.packed) for each in self._all) > self._kept_bytes:
            # From the last backwards, so that the newest stays and the distances stay even.
            self._all = self._all[::-2][::-1]
            self._spacing *= 2

    def before(self, at_ns: int) -> Checkpoint | None:
        """The last one with nothing later than ``at_ns``."""
        position = bisect_right(self._all, at_ns, key=lambda each: each.reached_ns)
        return self._all[position - 1] if position else None
