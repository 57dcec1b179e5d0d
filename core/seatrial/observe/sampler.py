"""Once a second, everything that is worth a glance, as one frame of telemetry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypedDict

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.frames import CacheFrame, ClientFrame, DirectoryFrame, Frame, ProcessFrame, ServerFrame

PERIOD_S = 1.0
BUDGET_S = 0.05
"""Of a source that is asked on the sampler's own thread, per period, on the average."""
_STALE_S = 10.0
"""What a blocking source said this long ago is shown no more."""
_PATIENCE_S = 2.0
"""A blocking source that is stuck at the end is not waited for any longer."""


class FramePart(TypedDict, total=False):
    """What one source knows of a ``Frame``. Lists and dictionaries of several sources are joined, other values: the later one wins."""

    paused: bool
    in_flight: int
    waiting: int
    clients: dict[str, ClientFrame]
    processes: dict[str, ProcessFrame]
    directories: list[DirectoryFrame]
    caches: list[CacheFrame]
    server: ServerFrame | None
    server_log_bytes: int


Source = Callable[[], FramePart]


class _Direct:
    """A source asked on the sampler's thread: prompt as a rule. One that was slow is left alone until its average is in budget again."""

    def __init__(self, name: str, source: Source, clock: Clock) -> None:
        self.name, self._source, self._clock = name, source, clock
        self._last = FramePart()
        self._next_s = clock.monotonic_s()

    def part(self) -> FramePart:
        """Raises what the source raises."""
        began_s = self._clock.monotonic_s()
        if began_s < self._next_s:
            return self._last
        self._last = FramePart()
        try:
            self._last = self._source()
        finally:
            took_s = self._clock.monotonic_s() - began_s
            if took_s > BUDGET_S:
                self._next_s = began_s + took_s / BUDGET_S * PERIOD_S
        return self._last

    def close(self) -> None:
        """Nothing to give back."""


class _Aside:
    """A source that may block: asked on a thread of its own, its latest word is taken. The lock guards ``_last``, ``_at_s``, ``_error``."""

    def __init__(self, name: str, source: Source, clock: Clock) -> None:
        self.name, self._source, self._clock = name, source, clock
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last, self._at_s = FramePart(), clock.monotonic_s()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name=f"sample-{name}", daemon=True)
        self._thread.start()

    def part(self) -> FramePart:
        """Raises what the source raised last, once."""
        with self._lock:
            error, self._error = self._error, None
            fresh = self._clock.monotonic_s() - self._at_s <= _STALE_S
            part = self._last if fresh else FramePart()
        if error is not None:
            raise error
        return part

    def close(self) -> None:
        """End the thread; one that is stuck in its source ends with that call."""
        self._ended.set()
        self._thread.join(_PATIENCE_S)

    def _serve(self) -> None:
        while not self._ended.is_set():
            began_s = self._clock.monotonic_s()
            part, error = FramePart(), None
            try:
                part = self._source()
            except Exception as problem:  # noqa: BLE001 - handed to the sampler, which reports it
                error = problem
            with self._lock:
                self._last, self._error, self._at_s = part, error, self._clock.monotonic_s()
            self._clock.wait(self._ended, max(BUDGET_S, began_s + PERIOD_S - self._clock.monotonic_s()))


class Sampler:
    """Asks every source once a second and hands the frame to ``write`` (and a last one at ``close``).

    A source that raises is left out of that frame and named, with its first error, to ``on_failure(name, error)``; the others go on.
    Threading: ``add`` and ``remove`` from any thread, the lock guards ``_sources``; ``write``, ``on_failure`` and prompt sources run
    on the sampler's one thread, outside the lock.
    """

    def __init__(
        self,
        write: Callable[[Frame], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_failure: Callable[[str, Exception], None] | None = None,
    ) -> None:
        self._write, self._clock, self._on_failure = write, clock, on_failure
        self._lock = threading.Lock()
        self._sources: dict[str, _Direct | _Aside] = {}
        self._failed: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sampler", daemon=True)

    def add(self, name: str, source: Source, *, blocking: bool = False) -> None:
        """Ask this source from now on. ``blocking``: it may take longer than a moment (network, big trees)."""
        made = (_Aside if blocking else _Direct)(name, source, self._clock)
        with self._lock:
            old, self._sources[name] = self._sources.get(name), made
        if old is not None:
            old.close()

    def remove(self, name: str) -> None:
        """Ask it no more; an unknown one is fine."""
        with self._lock:
            old = self._sources.pop(name, None)
        if old is not None:
            old.close()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Write a last frame and end all threads. Idempotent."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            sources, self._sources = list(self._sources.values()), {}
        for source in sources:
            source.close()

    def frame(self) -> Frame:
        """A frame of this moment. For the sampler's thread, or before it is started."""
        with self._lock:
            sources = list(self._sources.values())
        whole = FramePart()
        for source in sources:
            try:
                whole = _join(whole, source.part())
            except Exception as error:  # noqa: BLE001 - one broken source must not cost the others
                self._report(source.name, error)
        return Frame(at_ns=self._clock.now_ns(), **whole)

    def _serve(self) -> None:
        next_s = self._clock.monotonic_s()
        while not self._ended.is_set():
            self._write(self.frame())
            now_s = self._clock.monotonic_s()
            next_s = max(next_s + PERIOD_S, now_s)  # what was missed is not made up for
            self._clock.wait(self._ended, next_s - now_s)
        self._write(self.frame())

    def _report(self, name: str, error: Exception) -> None:
        if name not in self._failed and self._on_failure is not None:
            self._failed.add(name)
            self._on_failure(name, error)


def _join(one: FramePart, other: FramePart) -> FramePart:
    joined: FramePart = {**one, **other}
    if "clients" in one and "clients" in other:
        joined["clients"] = one["clients"] | other["clients"]
    if "processes" in one and "processes" in other:
        joined["processes"] = one["processes"] | other["processes"]
    if "directories" in one and "directories" in other:
        joined["directories"] = one["directories"] + other["directories"]
    if "caches" in one and "caches" in other:
        joined["caches"] = one["caches"] + other["caches"]
    return joined
