"""What there is to say about one client, as a few toned lines. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.frames import CacheFrame
from seatrial.history.view import ClientRow
from seatrial.report.prose import latency, moment, plural, size
from seatrial_tui.lines.ages import lasting
from seatrial_tui.lines.outcomes import STATES, outcome_cell
from seatrial_tui.lines.sheet import Line, meter, packed
from seatrial_tui.lines.tones import Tone

_METER_CELLS = 12
_LABEL_CELLS = 7
_SUBDIRECTORIES_TOLD = 6
_BYTES = "bytes"
_Parts = Sequence[tuple[int, Line]]
"""What ``packed`` takes: the highest numbers go first where it is narrow."""


def facts(row: ClientRow, now_ns: int, width: int) -> Sequence[Line]:
    """State, last action, figures, id, directories, in ``width`` cells: what matters less gives way."""
    joined = f"client {row.index}" if row.index >= 0 else "has not joined yet"
    told: Sequence[tuple[str, _Parts]] = (
        ("now", _now(row, now_ns)),
        ("last", _last(row)),
        ("so far", _figures(row)),
        ("id", [(0, [row.id]), (1, [(joined, Tone.FAINT)])]),
        ("data", [(0, [row.data_directory or ("not on this machine", Tone.FAINT)])]),
        ("cache", _cache(row.cache, row.cache_directory)),
    )
    return [[(f"{label:<{_LABEL_CELLS}}", Tone.FAINT), *packed(parts, max(0, width - _LABEL_CELLS))] for label, parts in told]


def _now(row: ClientRow, now_ns: int) -> _Parts:
    sign, tone = STATES[row.state]
    lasts = f"for {lasting(max(0, now_ns - row.since_ns) // 1_000_000_000)}" if row.since_ns else ""
    return [
        (0, [(f"{sign} {row.state}", tone)]),
        (0, [row.action] if row.action else []),
        (5, [(row.stage, Tone.FAINT)] if row.stage else []),
        *_progress(row),
        (1, [(lasts, Tone.FAINT)] if lasts else []),
    ]


def _progress(row: ClientRow) -> _Parts:
    if not row.total:
        return [(4, [_amount(row.done, row.unit)])] if row.done else []
    fraction = min(1.0, max(0.0, row.done / row.total))
    done = size(row.done) if row.unit == _BYTES else f"{row.done:,}"
    return [
        (3, [(meter(fraction, _METER_CELLS), Tone.ACCENT)]),
        (2, [f"{fraction:4.0%}"]),
        (4, [f"{done} of {_amount(row.total, row.unit)}"]),
    ]


def _amount(amount: int, unit: str) -> str:
    return size(amount) if unit == _BYTES else f"{amount:,} {unit}".rstrip()


def _last(row: ClientRow) -> _Parts:
    if row.last_outcome is None:
        return [(0, [("nothing has returned yet", Tone.FAINT)])]
    outcome = outcome_cell(row.last_outcome, noop=row.last_noop, cause=row.last_cause)
    return [(0, [outcome]), (1, [row.last_action]), (2, [(moment(row.last_ns), Tone.FAINT)])]


def _figures(row: ClientRow) -> _Parts:
    return [
        (1, [(f"{row.ok:,} ok", Tone.GOOD if row.ok else Tone.FAINT)]),
        (0, [(f"{row.failed:,} failed", Tone.BAD if row.failed else Tone.FAINT)]),
        (0, [(f"{row.unknown:,} unknown", Tone.WARN if row.unknown else Tone.FAINT)]),
        (4, [(f"{row.noop:,} no-op", Tone.FAINT)]),
        (0, [(plural(row.findings, "finding"), Tone.BAD if row.findings else Tone.FAINT)]),
        (2, [f"{plural(row.snapshots_live, 'snapshot')} live"]),
        (3, [f"p95 {latency(row.service_s_p95)}"]),
        (5, [f"{size(row.bytes)} moved"]),
    ]


def _cache(cache: CacheFrame | None, directory: str) -> _Parts:
    path = cache.path if cache else directory
    if not path:
        return [(0, [("none", Tone.FAINT)])]
    if cache is None:
        return [(0, [path])]
    limit = f" of {size(cache.limit_bytes)}" if cache.limit_bytes else ""
    largest = sorted(cache.subdirectories.items(), key=lambda item: (-item[1], item[0]))[:_SUBDIRECTORIES_TOLD]
    return [
        (0, [f"{size(cache.size_bytes)}{limit}, {plural(cache.files, 'file')}"]),
        (1, [path]),
        *((2 + rank, [(f"{name} {size(amount)}", Tone.FAINT)]) for rank, (name, amount) in enumerate(largest)),
    ]
