"""What there is to say about one client, as a few toned lines. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.frames import CacheFrame
from seatrial.history.view import ClientRow
from seatrial.report.prose import latency, moment, plural, size
from seatrial_tui.lines.ages import lasting
from seatrial_tui.lines.outcomes import STATES, outcome_cell
from seatrial_tui.lines.sheet import GAP, Line, meter, packed
from seatrial_tui.lines.tones import Tone

_METER_CELLS = 12
_LABEL_CELLS = 7
_SUBDIRECTORIES_TOLD = 6


def facts(row: ClientRow, now_ns: int, width: int) -> Sequence[Line]:
    """State, last action, figures, id, directories, in ``width`` cells; figures that matter less give way."""
    return [
        _labelled("now", _now(row, now_ns)),
        _labelled("last", _last(row)),
        _labelled("so far", packed(_figures(row), max(0, width - _LABEL_CELLS))),
        _labelled("id", [row.id, (f"{GAP}client {row.index}" if row.index >= 0 else f"{GAP}has not joined yet", Tone.FAINT)]),
        _labelled("data", [row.data_directory or ("not on this machine", Tone.FAINT)]),
        _labelled("cache", _cache(row.cache, row.cache_directory)),
    ]


def _labelled(label: str, line: Line) -> Line:
    return [(f"{label:<{_LABEL_CELLS}}", Tone.FAINT), *line]


def _now(row: ClientRow, now_ns: int) -> Line:
    sign, tone = STATES[row.state]
    line: list[tuple[str, Tone] | str] = [(f"{sign} {row.state}", tone)]
    if row.action:
        line.append(f"{GAP}{row.action}")
    if row.stage:
        line.append((f"{GAP}{row.stage}", Tone.FAINT))
    if row.total:
        fraction = min(1.0, max(0.0, row.done / row.total))
        line += [GAP, (meter(fraction, _METER_CELLS), Tone.ACCENT), f" {fraction:4.0%}  {_amount(row.done, row.unit)} of "]
        line.append(_amount(row.total, row.unit))
    elif row.done:
        line.append(f"{GAP}{_amount(row.done, row.unit)}")
    if row.since_ns:
        line.append((f"{GAP}for {lasting(max(0, now_ns - row.since_ns) // 1_000_000_000)}", Tone.FAINT))
    return line


def _amount(amount: int, unit: str) -> str:
    return size(amount) if unit == "bytes" else f"{amount:,} {unit}".rstrip()


def _last(row: ClientRow) -> Line:
    if row.last_outcome is None:
        return [("nothing has returned yet", Tone.FAINT)]
    outcome = outcome_cell(row.last_outcome, noop=row.last_noop, cause=row.last_cause)
    return [outcome, f"{GAP}{row.last_action}", (f"{GAP}{moment(row.last_ns)}", Tone.FAINT)]


def _figures(row: ClientRow) -> Sequence[tuple[int, Line]]:
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


def _cache(cache: CacheFrame | None, directory: str) -> Line:
    path = cache.path if cache else directory
    if not path:
        return [("none", Tone.FAINT)]
    if cache is None:
        return [path]
    limit = f" of {size(cache.limit_bytes)}" if cache.limit_bytes else ""
    line: list[tuple[str, Tone] | str] = [f"{size(cache.size_bytes)}{limit}, {plural(cache.files, 'file')}", GAP, path]
    largest = sorted(cache.subdirectories.items(), key=lambda item: (-item[1], item[0]))[:_SUBDIRECTORIES_TOLD]
    if largest:
        line.append((GAP + "  ".join(f"{name} {size(amount)}" for name, amount in largest), Tone.FAINT))
    return line
