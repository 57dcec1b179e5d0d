"""What is told of an action in one line; of all clients or of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seatrial.history.view import ActionRow
from seatrial.report.prose import latency, plural, size
from seatrial_tui.lines.columns import Column
from seatrial_tui.lines.outcomes import count_cell
from seatrial_tui.lines.tones import Cell, Tone


def causes(row: ActionRow) -> Sequence[tuple[str, int]]:
    """Why it did not go well, the most frequent first."""
    return sorted(row.errors.items(), key=lambda cause: (-cause[1], cause[0]))


def top_cause(row: ActionRow) -> Cell:
    """The most frequent cause, and how many others there are."""
    told = causes(row)
    if not told:
        return ""
    cause, count = told[0]
    return f"{cause} {count:,}x" + (f" +{len(told) - 1}" if len(told) > 1 else ""), Tone.WARN


def all_causes(row: ActionRow, *, former: bool = False) -> str:
    """All causes in words. ``former``: earlier runs are counted in, of which no causes are kept."""
    told = [f"{cause} {plural(count, 'time')}" for cause, count in causes(row)]
    unexplained = row.failed + row.unknown - sum(row.errors.values())
    if unexplained > 0:
        told.append(f"{plural(unexplained, 'time')} {'in former runs, whose causes are not kept' if former else 'without a cause'}")
    return ", ".join(told) or "no errors"


def _count(name: str, title: str, of: Callable[[ActionRow], int], priority: int, tone: Tone = Tone.PLAIN) -> Column[ActionRow]:
    return Column(name=name, title=title, cell=lambda row: count_cell(of(row), tone), value=of, right=True, priority=priority)


def _time(name: str, title: str, of: Callable[[ActionRow], float], priority: int) -> Column[ActionRow]:
    return Column(name=name, title=title, cell=lambda row: latency(of(row)), value=of, right=True, priority=priority)


COLUMNS: Sequence[Column[ActionRow]] = (
    Column(name="action", title="action", cell=lambda row: row.action, grow=True, middle=True),
    _count("count", "count", lambda row: row.count, 2),
    _count("ok", "ok", lambda row: row.ok, 6),
    _count("failed", "failed", lambda row: row.failed, 1, Tone.BAD),
    _count("unknown", "unknown", lambda row: row.unknown, 4, Tone.WARN),
    _count("noop", "no-op", lambda row: row.noop, 9),
    _time("service_s_p50", "p50", lambda row: row.service.p50_s, 7),
    _time("service_s_p95", "p95", lambda row: row.service.p95_s, 1),
    _time("service_s_p99", "p99", lambda row: row.service.p99_s, 8),
    _time("service_s_max", "max", lambda row: row.service.max_s, 3),
    _time("queue_s_p95", "queue p95", lambda row: row.queue.p95_s, 10),
    Column(name="bytes", title="moved", cell=lambda row: size(row.bytes), value=lambda row: row.bytes, right=True, priority=11),
    Column(
        name="errors",
        title="errors by cause",
        cell=top_cause,
        value=lambda row: ", ".join(f"{cause} {count}" for cause, count in causes(row)),
        grow=True,
        priority=5,
    ),
)
