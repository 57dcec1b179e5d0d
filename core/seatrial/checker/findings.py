"""What becomes a finding, and how findings are grouped.

Findings of one group are one defect seen several times: a group is the check and the kind of damage, never an id or a path.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from seatrial.history.events import Event, Finding
from seatrial.verdicts import Verdict

MAX_DETAIL_LINES = 60
"""Kept in the journal for one finding; the whole difference is in its evidence."""


class Findings:
    """Numbers findings and writes them. Threading: any thread; ``_numbers`` is guarded by ``_lock``."""

    def __init__(self, emit: Callable[[Event], object], server_log_offset: Callable[[], int] = lambda: 0) -> None:
        self._emit, self._server_log_offset = emit, server_log_offset
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def add(
        self, check: str, damage: str, message: str, *, verdict: Verdict = Verdict.FAIL, detail: Sequence[str] = (), **facts: Any
    ) -> Finding:
        """Write one finding. ``facts`` are further fields of ``Finding``."""
        with self._lock:
            number = next(self._numbers)
        kept = list(detail[:MAX_DETAIL_LINES])
        if len(detail) > MAX_DETAIL_LINES:
            kept.append(f"... {len(detail) - MAX_DETAIL_LINES} more lines in the evidence")
        finding = Finding(
            id=f"F{number}",
            group=f"{check}/{damage}",
            check=check,
            verdict=verdict,
            message=message,
            damage=damage,
            detail=kept,
            server_log_offset=self._server_log_offset(),
            **facts,
        )
        self._emit(finding)
        return finding

    def incomplete(self, message: str, *, where: str, remedy: str) -> Finding:
        """Something needed for a verdict cannot be known."""
        return self.add("history", "incomplete", f"{where}: {message}", verdict=Verdict.INCONCLUSIVE, remedy=remedy)
