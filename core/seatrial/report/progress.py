"""How far a phase is: for lines and for the screen alike."""

from __future__ import annotations

from seatrial.history.view import PhaseView


def how_far(phase: PhaseView) -> str:
    """``12 of 40``, where the phase knows its work."""
    return f"{min(phase.progress, phase.total):,} of {phase.total:,}" if phase.total else ""


def time_left_s(phase: PhaseView, now_ns: int) -> float | None:
    """By the work done so far where the phase counts its work, within what is planned; None where nobody knows."""
    if phase.state == "end":
        return None
    spent_s = max(0.0, (now_ns - phase.begun_ns) / 1e9)
    planned_s = max(0.0, phase.planned_s - spent_s) if phase.planned_s else None
    if phase.total and phase.progress:
        by_work_s = spent_s / phase.progress * max(0, phase.total - phase.progress)
        return by_work_s if planned_s is None else min(by_work_s, planned_s)
    return planned_s
