"""Signs that stand before words. The word is always there too: a sign alone tells nothing to who has not learnt it."""

from __future__ import annotations

from seatrial.verdicts import Verdict
from seatrial_tui.lines.tones import Cell, Tone

VERDICTS: dict[Verdict, tuple[str, Tone]] = {
    Verdict.PASS: ("✓", Tone.GOOD),
    Verdict.INCONCLUSIVE: ("?", Tone.WARN),
    Verdict.FAIL: ("✗", Tone.BAD),
}


def verdict_cell(verdict: Verdict) -> Cell:
    """Sign and word."""
    sign, tone = VERDICTS[verdict]
    return f"{sign} {verdict.name}", tone
