"""Where the time of a run went: the workload apart from what proves that it was done well, and from what stands around both."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.history.view import PhaseView, RunView
from seatrial.report.prose import duration

_PARTS = {"setup": "set-up", "chaos": "workload", "heal": "heal", "quiesce": "liveness", "verify": "verify", "report": "tear-down"}
"""By phase. The last goes on until the run has ended."""
_WORTH_A_WORD_S = 0.5


def spent_s(view: RunView) -> dict[str, float]:
    """Seconds of wall time by part, in the order in which they came; of a run that is under way or was killed as far as it is known."""
    return {_PARTS[phase.name]: _spent_s(view, phase) for phase in view.phases if phase.name in _PARTS}


def _spent_s(view: RunView, phase: PhaseView) -> float:
    until_ns = phase.ended_ns
    if phase.name == "report" or not until_ns:
        until_ns = view.end.at_ns if view.end else view.at_ns
    return max(0, until_ns - phase.begun_ns) / 1e9


def in_words(parts: Mapping[str, float]) -> str:
    """``set-up 4 s · workload 54 s · ...``; there is no word of a healing that took no time."""
    return " · ".join(f"{part} {duration(took_s)}" for part, took_s in parts.items() if part != "heal" or took_s >= _WORTH_A_WORD_S)
