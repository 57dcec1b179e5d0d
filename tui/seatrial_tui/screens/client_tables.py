"""The tables of one client: what it did, its snapshots, what went wrong, its figures by action."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.view import SnapshotView
from seatrial.report.prose import latency, moment, size
from seatrial.verdicts import Outcome
from seatrial_tui.lines.ages import Aged, lasting
from seatrial_tui.lines.columns import Column
from seatrial_tui.lines.outcomes import SNAPSHOT_STATES, count_cell, outcome_cell, outcome_word
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.source.moment import TimelineRow

Step = Aged[TimelineRow]
_CLOCK = slice(11, 23)
"""Hours to milliseconds of a time in RFC 3339."""
_DATE_AND_CLOCK = slice(0, 19)
FINDING = "finding"


def step_key(row: TimelineRow) -> str:
    """Operations have a name; what else befell a client has its moment."""
    return row.op or f"{row.at_ns} {row.action} {row.cause} {row.snapshot}"


def began_ns(row: TimelineRow) -> int | None:
    """Since when it is under way."""
    return row.at_ns if row.op and row.outcome is None else None


def is_error(row: TimelineRow) -> bool:
    """Something that did not go well, or that a check has found."""
    return row.action == FINDING or (row.outcome in (Outcome.FAILED, Outcome.UNKNOWN) and not row.noop)


def _at(at_ns: int) -> Cell:
    return moment(at_ns)[_CLOCK], Tone.FAINT


def _outcome(step: Step) -> Cell:
    row = step.row
    if row.action == FINDING:
        return "✗ found", Tone.BAD
    if row.op and row.outcome is None:
        return "▶ running", Tone.ACCENT
    return outcome_cell(row.outcome, noop=row.noop)


def _took(step: Step) -> Cell:
    return (lasting(step.seconds), Tone.ACCENT) if step.seconds >= 0 else latency(step.row.service_s) if step.row.op else ""


def _why(step: Step) -> Cell:
    row = step.row
    return f"{row.cause}: {row.message}" if row.cause and row.message else row.cause or row.message


_AT: Column[Step] = Column(name="at_ns", title="UTC", cell=lambda step: _at(step.row.at_ns), value=lambda step: step.row.at_ns, width=12)
_ACTION: Column[Step] = Column(name="action", title="action", cell=lambda step: step.row.action, grow=True, max_width=26)
_OUTCOME: Column[Step] = Column(
    name="outcome",
    title="outcome",
    cell=_outcome,
    value=lambda step: FINDING if step.row.action == FINDING else outcome_word(step.row.outcome, noop=step.row.noop),
    width=9,
)
_SNAPSHOT: Column[Step] = Column(
    name="snapshot", title="snapshot", cell=lambda step: (step.row.snapshot, Tone.FAINT), max_width=12, middle=True, priority=3
)
_WHY: Column[Step] = Column(name="cause", title="cause", cell=_why, width=24, max_width=400, grow=True)

TIMELINE: Sequence[Column[Step]] = (
    _AT,
    _ACTION,
    _OUTCOME,
    Column(name="service_s", title="took", cell=_took, value=lambda step: step.row.service_s, right=True),
    Column(
        name="queue_s",
        title="queued",
        cell=lambda step: latency(step.row.queue_s) if step.row.op else "",
        value=lambda step: step.row.queue_s,
        right=True,
        priority=2,
    ),
    Column(name="bytes", title="moved", cell=lambda step: _moved(step.row), value=lambda step: step.row.bytes, right=True, priority=1),
    Column(
        name="files",
        title="files",
        cell=lambda step: count_cell(step.row.files) if step.row.op else "",
        value=lambda step: step.row.files,
        right=True,
        priority=4,
    ),
    _SNAPSHOT,
    _WHY,
)
ERRORS: Sequence[Column[Step]] = (_AT, _ACTION, _OUTCOME, _WHY, _SNAPSHOT)


def _moved(row: TimelineRow) -> Cell:
    return size(row.bytes) if row.bytes else ("0 B" if row.op else "", Tone.FAINT)


def _day(at_ns: int) -> str:
    return moment(at_ns)[_DATE_AND_CLOCK].replace("T", " ")


def _time(name: str, title: str, of: str, priority: int) -> Column[SnapshotView]:
    def cell(row: SnapshotView) -> Cell:
        at_ns: int = getattr(row, of)
        return _day(at_ns) if at_ns else ("never", Tone.FAINT)

    return Column(name=name, title=title, cell=cell, value=lambda row: getattr(row, of) or None, priority=priority)


SNAPSHOTS: Sequence[Column[SnapshotView]] = (
    Column(name="state", title="state", cell=lambda row: SNAPSHOT_STATES[row.state], value=lambda row: row.state, width=10),
    Column(name="snapshot", title="snapshot", cell=lambda row: row.id, max_width=64, grow=True, middle=True),
    _time("created_ns", "created UTC", "created_ns", 1),
    _time("last_good_ns", "restored well UTC", "last_good_ns", 2),
    _time("deleted_ns", "deleted UTC", "deleted_ns", 3),
    Column(name="op", title="operation", cell=lambda row: row.op, priority=5),
    Column(name="root", title="fingerprint", cell=lambda row: (row.root, Tone.FAINT), max_width=64, grow=True, middle=True, priority=4),
)
