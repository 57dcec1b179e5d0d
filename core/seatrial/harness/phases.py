"""The phases of a trial, as facts in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from seatrial.history.events import Phase
from seatrial.targets.protocols import EventSink

PhaseName = Literal["setup", "chaos", "heal", "quiesce", "verify", "report"]


class Phases:
    """Writes where each phase begins and ends. Threading: one thread."""

    def __init__(self, emit: EventSink, server_log_offset: Callable[[], int]) -> None:
        self._emit, self._server_log_offset = emit, server_log_offset

    @contextmanager
    def of(self, name: PhaseName, *, planned_s: float = 0.0, total: int = 0, detail: str = "") -> Iterator[None]:
        """One phase; it ends in the journal only when it came to its end."""
        offset = self._server_log_offset
        self._emit(Phase(name=name, state="begin", planned_s=planned_s, total=total, detail=detail, server_log_offset=offset()))
        yield
        self._emit(Phase(name=name, state="end", server_log_offset=offset()))
