"""Outcomes, states and counts as words with a sign, so that they read without colour."""

from __future__ import annotations

from seatrial.history.frames import ClientState
from seatrial.history.view import SnapshotState
from seatrial.verdicts import Outcome
from seatrial_tui.lines.tones import Cell, Tone

OUTCOMES: dict[Outcome, tuple[str, Tone]] = {
    Outcome.OK: ("✓ ok", Tone.GOOD),
    Outcome.FAILED: ("✗ failed", Tone.BAD),
    Outcome.UNKNOWN: ("? unknown", Tone.WARN),
}
STATES: dict[ClientState, tuple[str, Tone]] = {
    "joining": ("+", Tone.PLAIN),
    "idle": ("·", Tone.FAINT),
    "queued": ("…", Tone.PLAIN),
    "running": ("▶", Tone.ACCENT),
    "paused": ("‖", Tone.WARN),
    "leaving": ("-", Tone.PLAIN),
    "gone": ("■", Tone.FAINT),
}
SNAPSHOT_STATES: dict[SnapshotState, tuple[str, Tone]] = {
    "live": ("✓ live", Tone.GOOD),
    "deleting": ("… deleting", Tone.PLAIN),
    "deleted": ("■ deleted", Tone.FAINT),
    "unknown": ("? unknown", Tone.WARN),
    "lost": ("✗ lost", Tone.BAD),
}


def outcome_cell(outcome: Outcome | None, *, noop: bool, cause: str = "") -> Cell:
    """What became of an action, and why where it did not go well. Nothing for an action that has not returned."""
    if outcome is None:
        return ""
    if noop:
        return "○ no-op", Tone.FAINT
    if outcome is Outcome.OK and cause:
        return f"✗ {cause}", Tone.BAD  # it happened, and what came of it is wrong
    word, tone = OUTCOMES[outcome]
    return f"{word} {cause}".rstrip(), tone


def outcome_word(outcome: Outcome | None, *, noop: bool) -> str | None:
    """The same for a machine."""
    return None if outcome is None else "no-op" if noop else outcome.value


def count_cell(amount: int, tone: Tone = Tone.PLAIN) -> Cell:
    """A count; none at all is not worth a look."""
    return (f"{amount:,}", tone) if amount else ("0", Tone.FAINT)
