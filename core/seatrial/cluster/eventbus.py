"""A node's events for whoever watches: bounded, and never in the way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

_SLOTS = 16


@dataclass(frozen=True, slots=True)
class Event:
    """``version`` counts a bus's events from 1."""

    type: str
    payload: Any
    version: int


class Subscription:
    """One watcher's queue. Threading: any thread; an iteration ends with ``close``."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._queue: queue.Queue[Event | None] = queue.Queue(_SLOTS + 1)  # one slot more than events take, for the end mark
        self._closed = False

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; None after ``timeout`` seconds or once closed."""
        if self._closed and self._queue.empty():
            return None
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Take no more events. Idempotent."""
        if self._bus._forget(self):
            self._closed = True
            self._queue.put_nowait(None)

    def offer(self, event: Event) -> bool:
        """Queue an event unless the queue is full. The bus calls it, one at a time."""
        if self._queue.qsize() >= _SLOTS:
            return False
        self._queue.put_nowait(event)
        return True

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class EventBus:
    """Hands each event to all subscribers. Threading: any thread; ``_lock`` guards all fields; publishing never waits for a reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._version = self._dropped = 0

    def subscribe(self) -> Subscription:
        """Watch from now on; close it in the end."""
        subscription = Subscription(self)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def publish(self, type: str, payload: Any) -> int:  # noqa: A002 - the field's name
        """The event's version; a subscriber whose queue is full does without it."""
        with self._lock:
            self._version += 1
            event = Event(type, payload, self._version)
            self._dropped += sum(not subscription.offer(event) for subscription in self._subscriptions)
            return event.version

    @property
    def dropped(self) -> int:
        """Events that a full queue did not take."""
        with self._lock:
            return self._dropped

    @property
    def subscriber_count(self) -> int:
        """How many watch."""
        with self._lock:
            return len(self._subscriptions)

    def _forget(self, subscription: Subscription) -> bool:
        with self._lock:
            if subscription not in self._subscriptions:
                return False
            self._subscriptions.remove(subscription)
            return True
