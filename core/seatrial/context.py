"""The context: who acts, until when, and how to stop it. An explicit frozen value, handed down as an argument, never ambient.

It stands below the targets, which honour deadline and cancellation; ``seatrial`` offers it to users.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import CancelledError, ClientNotFoundError, DeadlineExceededError
from seatrial.seeds import new_client_id


@dataclass(frozen=True, slots=True)
class Client:
    """A unique client: ``<pet-name>-<uuid>``."""

    id: str


class CancelToken:
    """Cancels once, for good, and wakes whoever is blocked.

    Threading: safe from any thread. Callbacks run on the thread that cancels, outside the lock, each at most once; they must not
    block. One that is added after the cancellation runs at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0
        self.reason = ""

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    @property
    def event(self) -> threading.Event:
        """For waiting with ``Clock.wait``."""
        return self._event

    def cancel(self, reason: str) -> None:
        """Cancel; the first reason stays."""
        with self._lock:
            if self._event.is_set():
                return
            self.reason = reason
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Run ``callback`` at cancellation. Returns a function that takes it back."""
        with self._lock:
            if not self._event.is_set():
                key = self._next
                self._next += 1
                self._callbacks[key] = callback
                return lambda: self._forget(key)
        callback()
        return lambda: None

    def _forget(self, key: int) -> None:
        with self._lock:
            self._callbacks.pop(key, None)

    def check(self) -> None:
        """Raise ``CancelledError`` once cancelled."""
        if self._event.is_set():
            raise CancelledError(self.reason or "cancelled")


class Progress:
    """How far the current action is: latest value only, for telemetry.

    Threading: one writer (the client's worker), any number of readers. Each attribute is replaced whole; a reader may see a new
    ``done`` with an old ``total``, which a progress bar survives.
    """

    __slots__ = ("done", "stage", "total", "unit")

    def __init__(self) -> None:
        self.stage, self.done, self.total, self.unit = "", 0, 0, ""

    def start(self, stage: str, total: int = 0, unit: str = "bytes") -> None:
        """Begin a stage such as ``scan``, ``upload``, ``restore``; ``total`` 0 means not known."""
        self.stage, self.done, self.total, self.unit = stage, 0, total, unit

    def advance(self, amount: int) -> None:
        """Add to what is done."""
        self.done += amount


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to everything that acts for a client or may have to stop early."""

    client: Client | None = None
    deadline_s: float | None = None
    """On the monotonic clock; None for none."""
    cancel: CancelToken = field(default_factory=CancelToken)
    progress: Progress = field(default_factory=Progress)
    clock: Clock = SYSTEM_CLOCK

    def within(self, timeout_s: float) -> Context:
        """The same context with a deadline no later than ``timeout_s`` from now."""
        limit = self.clock.monotonic_s() + timeout_s
        return replace(self, deadline_s=limit if self.deadline_s is None else min(limit, self.deadline_s))

    def remaining_s(self, default_s: float) -> float:
        """Seconds until the deadline, never negative; ``default_s`` where there is none."""
        if self.deadline_s is None:
            return default_s
        return max(0.0, self.deadline_s - self.clock.monotonic_s())

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline_s is not None and self.clock.monotonic_s() >= self.deadline_s

    def check(self) -> None:
        """Raise ``CancelledError`` when cancelled, ``DeadlineExceededError`` when past the deadline."""
        self.cancel.check()
        if self.expired:
            raise DeadlineExceededError("deadline exceeded")


def new_client_context(parent: Context | None = None) -> Context:
    """``parent`` (deadline, cancel token) with a new client of its own and a progress of its own."""
    return replace(parent or Context(), client=Client(new_client_id()), progress=Progress())


def new_client_contexts(parent: Context | None, n: int) -> list[Context]:
    """``n`` contexts with a new client each."""
    return [new_client_context(parent) for _ in range(n)]


def unwrap_context(ctx: Context) -> Client:
    """The client of a context; ``ClientNotFoundError`` (``key not found``) where there is none."""
    if ctx.client is None:
        raise ClientNotFoundError
    return ctx.client
