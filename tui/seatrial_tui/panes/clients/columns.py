"""What is told of a client in one line."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.view import ClientRow
from seatrial.report.prose import latency, size
from seatrial_tui.lines.ages import Aged, lasting
from seatrial_tui.lines.columns import Column
from seatrial_tui.lines.outcomes import STATES, count_cell, outcome_cell, outcome_word
from seatrial_tui.lines.sheet import meter
from seatrial_tui.lines.tones import Cell, Tone

Line = Aged[ClientRow]

AGING = frozenset({"running", "queued", "joining", "leaving"})
"""States of which it is told how long they last."""
_METER_CELLS = 4
_WORD_CELLS = 9
_LASTING_CELLS = 6


def since_ns(row: ClientRow) -> int | None:
    """Since when the state lasts, where that is told."""
    return row.since_ns if row.state in AGING and row.since_ns else None


def progress(row: ClientRow, width: int = _METER_CELLS) -> str:
    """A bar and per cent; empty where nobody knows how much there is to do."""
    if not row.total:
        return ""
    fraction = min(1.0, max(0.0, row.done / row.total))
    return f"{meter(fraction, width)} {fraction:4.0%}"


def state_cell(line: Line) -> Cell:
    """Sign, word or progress, how long: each in its own place, so that the eye can go down the column."""
    row = line.row
    sign, tone = STATES[row.state]
    told = (progress(row) if row.state == "running" else "") or row.state
    return f"{sign} {told:<{_WORD_CELLS}} {lasting(line.seconds):>{_LASTING_CELLS}}".rstrip(), tone


def action_cell(line: Line) -> Cell:
    """What it does; of an action that waits for its turn, faintly."""
    row = line.row
    told = f"{row.action} {row.stage}".rstrip()
    return told if row.state == "running" else (told, Tone.FAINT)


def last_cell(line: Line) -> Cell:
    """How its last action went."""
    row = line.row
    return outcome_cell(row.last_outcome, noop=row.last_noop, cause=row.last_cause)


COLUMNS: Sequence[Column[Line]] = (
    Column(name="client", title="client", cell=lambda line: line.row.name, value=lambda line: line.row.id, max_width=20),
    Column(name="state", title="state", cell=state_cell, value=lambda line: line.row.state, width=2 + _WORD_CELLS + 1 + _LASTING_CELLS),
    Column(name="action", title="action", cell=action_cell, value=lambda line: line.row.action, grow=True),
    Column(
        name="last_outcome",
        title="last",
        cell=last_cell,
        value=lambda line: outcome_word(line.row.last_outcome, noop=line.row.last_noop),
        grow=True,
    ),
    Column(name="ok", title="ok", cell=lambda line: count_cell(line.row.ok), value=lambda line: line.row.ok, right=True, priority=5),
    Column(
        name="failed",
        title="failed",
        cell=lambda line: count_cell(line.row.failed, Tone.BAD),
        value=lambda line: line.row.failed,
        right=True,
        priority=2,
    ),
    Column(
        name="unknown",
        title="unknown",
        cell=lambda line: count_cell(line.row.unknown, Tone.WARN),
        value=lambda line: line.row.unknown,
        right=True,
        priority=4,
    ),
    Column(
        name="noop", title="no-op", cell=lambda line: count_cell(line.row.noop), value=lambda line: line.row.noop, right=True, priority=9
    ),
    Column(
        name="service_s_p95",
        title="p95",
        cell=lambda line: latency(line.row.service_s_p95),
        value=lambda line: line.row.service_s_p95,
        right=True,
        priority=6,
    ),
    Column(
        name="snapshots_live",
        title="snapshots",
        cell=lambda line: count_cell(line.row.snapshots_live),
        value=lambda line: line.row.snapshots_live,
        right=True,
        priority=7,
    ),
    Column(name="bytes", title="moved", cell=lambda line: size(line.row.bytes), value=lambda line: line.row.bytes, right=True, priority=8),
    Column(
        name="findings",
        title="findings",
        cell=lambda line: count_cell(line.row.findings, Tone.BAD),
        value=lambda line: line.row.findings,
        right=True,
        priority=3,
    ),
)
