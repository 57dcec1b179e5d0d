"""Tracing hooks: a callback is told of each operation at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from seatrial.clock import Clock


@dataclass(slots=True)
class Span:
    """One operation. ``start`` and ``end`` are wall seconds; keys never appear in ``attributes``."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    parent: Span | None = None
    start: float = 0.0
    end: float = 0.0


class Tracer:
    """Spans of one node; a span's parent is the one open in the same thread. Threading: any thread."""

    def __init__(self, on_span: Callable[[Span], None] | None, clock: Clock) -> None:
        self._on_span = on_span
        self.active = on_span is not None
        self._clock = clock
        self._open = threading.local()

    @contextmanager
    def span(self, name: str, attributes: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The span's attributes, to which may be added. Hot paths look at ``active`` first."""
        if self._on_span is None:
            yield attributes
            return
        parent: Span | None = getattr(self._open, "span", None)
        span = Span(name, attributes, None, parent, self._clock.now_ns() / 1e9)
        self._open.span = span
        try:
            yield span.attributes
        except BaseException as error:
            span.error = error
            raise
        finally:
            self._open.span = parent
            span.end = self._clock.now_ns() / 1e9
            self._on_span(span)
