"""Locks on paths: a lock on a path excludes the same path, its parents and its children, not its cousins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.context import Context
from seatrial.errors import HarnessError


@dataclass(eq=False, slots=True)
class _Claim:
    parts: tuple[str, ...]
    granted: threading.Event = field(default_factory=threading.Event)
    """Also set to wake a waiter that was cancelled; ``_held`` decides."""

    def excludes(self, other: _Claim) -> bool:
        shorter = min(len(self.parts), len(other.parts))
        return self.parts[:shorter] == other.parts[:shorter]


class PathLock:
    """A set of paths that are held, and those who wait, first come first served among those that exclude each other.

    Threading: safe from any thread; not re-entrant. ``_lock`` guards the two lists and is never held while waiting. Paths are
    compared as given, so give absolute ones.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[_Claim] = []
        self._waiting: list[_Claim] = []

    @contextmanager
    def hold(self, ctx: Context, path: Path, timeout_s: float = 300.0) -> Iterator[None]:
        """Hold ``path`` for the block.

        Waits until the context's deadline, ``timeout_s`` without one. Raises ``CancelledError`` when cancelled or past the deadline,
        ``HarnessError`` when ``timeout_s`` has passed.
        """
        claim = _Claim(path.parts)
        with self._lock:
            self._waiting.append(claim)
            self._grant()
        try:
            self._wait(ctx, claim, path, timeout_s)
            yield
        finally:
            self._release(claim)

    def _wait(self, ctx: Context, claim: _Claim, path: Path, timeout_s: float) -> None:
        take_back = ctx.cancel.on_cancel(claim.granted.set)
        try:
            ctx.clock.wait(claim.granted, ctx.remaining_s(timeout_s))
        finally:
            take_back()
        with self._lock:
            held = claim in self._held
        if not held:
            ctx.check()
            raise HarnessError(f"still locked after {timeout_s:g} s", where=str(path), remedy="another action of this client hangs")

    def _release(self, claim: _Claim) -> None:
        with self._lock:
            (self._held if claim in self._held else self._waiting).remove(claim)
            self._grant()

    def _grant(self) -> None:
        """Grant each waiter that neither a holder nor an earlier waiter excludes. Called with the lock held."""
        ahead = list(self._held)
        for claim in list(self._waiting):
            if not any(claim.excludes(other) for other in ahead):
                self._waiting.remove(claim)
                self._held.append(claim)
                claim.granted.set()
            ahead.append(claim)
