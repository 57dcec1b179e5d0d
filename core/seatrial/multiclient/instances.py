"""One instance per client, made on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from seatrial.context import Context, unwrap_context

T = TypeVar("T")


class PerClient(Generic[T]):
    """Makes, finds and forgets the instance of the context's client.

    Threading: safe from any thread. ``_lock`` guards the two maps and is never held while an instance is made; the client's own
    lock is, so two threads of one client get the same instance and other clients do not wait for it.
    """

    def __init__(self, make: Callable[[Context], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._instances: dict[str, T] = {}
        self._making: dict[str, threading.Lock] = {}

    def get(self, ctx: Context) -> T:
        """The client's instance; made now if need be. What the factory raises is raised, and the next call tries again."""
        client = unwrap_context(ctx).id
        with self._lock:
            if (instance := self._instances.get(client)) is not None:
                return instance
            making = self._making.setdefault(client, threading.Lock())
        with making:
            with self._lock:
                if (instance := self._instances.get(client)) is not None:
                    return instance
            made = self._make(ctx)
            with self._lock:
                self._instances[client] = made
                self._making.pop(client, None)
            return made

    def pop(self, ctx: Context) -> T | None:
        """Forget the client's instance and return it; None if there is none."""
        client = unwrap_context(ctx).id
        with self._lock:
            return self._instances.pop(client, None)

    def pop_all(self) -> dict[str, T]:
        """Forget all and return them by client id."""
        with self._lock:
            everything, self._instances = self._instances, {}
            return everything

    def items(self) -> list[tuple[str, T]]:
        """A copy of what is there now: (client id, instance)."""
        with self._lock:
            return list(self._instances.items())
