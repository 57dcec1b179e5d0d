"""What there is to say about a run, each as a few toned words. Pure functions of a moment."""

from __future__ import annotations

from typing import get_args

import msgspec

from seatrial.history.events import Phase
from seatrial.history.view import EndView, PhaseView, RunView
from seatrial.report.progress import how_far, time_left_s
from seatrial.report.prose import duration, moment, plural, size
from seatrial.report.text import MEANING
from seatrial.verdicts import Verdict
from seatrial_tui.lines.sheet import GAP, Line, length, meter, packed
from seatrial_tui.lines.signs import VERDICTS
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.source.moment import Moment

PHASES: tuple[str, ...] = get_args(next(field.type for field in msgspec.structs.fields(Phase) if field.name == "name"))
_PAUSED = "‖ PAUSED"


def elapsed_s(shown: Moment) -> float:
    """Since the plan; the run's whole length once it has ended."""
    begun_ns = shown.view.header.started_ns
    until_ns = shown.view.end.at_ns if shown.view.end else shown.now_ns
    return max(0, until_ns - begun_ns) / 1e9 if begun_ns else 0.0


def broken_off(shown: Moment) -> bool:
    """The journal has no end, and nobody writes one any more."""
    return not shown.live and not shown.reading and shown.view.end is None and bool(shown.view.seq) and shown.now_ns >= shown.end_ns


def subject(view: RunView) -> Cell:
    """What is run on what."""
    header = view.header
    if not header.preset:
        return "waiting for the plan", Tone.FAINT
    return f"{header.preset} on {header.target} {header.target_version}".rstrip(), Tone.HEAD


def verdict(shown: Moment) -> Cell:
    """Word and sign; what is expected of a preset off contract is no alarm, and a run that broke off has not passed, nor has one that
    cannot be read to its end.
    """
    view = shown.view
    broke = broken_off(shown) or (bool(shown.problem) and not shown.live and view.end is None)
    if not view.seq:
        return ""
    worst = Verdict.worst((view.verdict, Verdict.INCONCLUSIVE)) if broke else view.verdict
    sign, tone = VERDICTS[worst]
    word = worst.name
    if view.verdict is Verdict.FAIL and view.header.expect == "fail":
        word, tone = "FAIL as expected", Tone.WARN
    if view.end is None and not broke:
        return f"{sign} {word} so far", tone
    return f"{sign} {word}", tone


def breadcrumb(view: RunView, gap: str = " › ") -> list[Cell]:
    """All phases in their order: ✓ done, ▶ under way, ■ cut short."""
    states = {phase.name: phase.state for phase in view.phases}
    line: list[Cell] = []
    for number, name in enumerate(PHASES):
        if number:
            line.append((gap, Tone.FAINT))
        state = states.get(name)
        if state == "end":
            line.append((f"{name} ✓", Tone.GOOD))
        elif state is None:
            line.append((name, Tone.FAINT))
        else:
            line.append((f"{name} ■", Tone.WARN) if view.end else (f"{name} ▶", Tone.HEAD))
    return line


def marks(view: RunView) -> list[Cell]:
    """The same in few columns: only the phase under way has its name."""
    states = {phase.name: phase.state for phase in view.phases}
    under_way = [name for name, state in states.items() if state == "begin"]
    done, ahead = sum(state == "end" for state in states.values()), sum(name not in states for name in PHASES)
    named = f" {under_way[-1]} {'■' if view.end else '▶'} " if under_way else " "
    return [("✓" * done, Tone.GOOD), (named, Tone.HEAD), ("·" * ahead, Tone.FAINT)]


def progress(shown: Moment, width: int) -> Line:
    """How far the phase is, in ``width`` columns; in its place, what matters more: paused, ended, broken off."""
    view = shown.view
    if shown.problem:
        return [(shown.problem, Tone.BAD)]
    if shown.reading and shown.end_ns > shown.begin_ns:
        read = min(1.0, max(0, view.at_ns - shown.begin_ns) / (shown.end_ns - shown.begin_ns))
        return packed([(0, ["reading the journal"]), (1, [(meter(read, 30), Tone.ACCENT)]), (0, [f"{read:4.0%}"])], width)
    if view.end is not None:
        return _ended(view.end)
    if broken_off(shown):
        return [("■ BROKEN OFF", Tone.BAD), "  the engine is gone, the journal has no end"]
    if view.phase is None:
        return [("the run has not begun", Tone.FAINT)]
    told = _told(view.phase, shown.now_ns)
    if view.paused:
        told = [(f"{view.phase.name} ", Tone.HEAD), *told]
        return [(_PAUSED, Tone.WARN), (" ░" * (max(0, width - len(_PAUSED) - length(told) - len(GAP)) // 2), Tone.WARN), GAP, *told]
    fraction = _fraction(view.phase, shown.now_ns)
    bar = max(8, min(60, width - 48))
    parts: list[tuple[int, Line]] = [(0, [(f"{view.phase.name:<7}", Tone.HEAD)])]
    if fraction is not None and view.phase.state == "begin":
        parts += [(2, [(meter(fraction, bar), Tone.ACCENT)]), (0, [f"{fraction:4.0%}"])]
    return packed([*parts, (1, told)], width)


def _ended(end: EndView) -> Line:
    code = end.event.exit_code
    meaning = next((text for known, text in MEANING.items() if known == code), "unknown")
    return [("■ ABORTED" if end.event.aborted else "■ ended", Tone.HEAD), f"  exit code {code}: {end.event.reason or meaning}"]


def _fraction(phase: PhaseView, now_ns: int) -> float | None:
    if phase.total:
        return min(1.0, phase.progress / phase.total)
    return min(1.0, max(0.0, (now_ns - phase.begun_ns) / 1e9 / phase.planned_s)) if phase.planned_s else None


def _told(phase: PhaseView, now_ns: int) -> Line:
    if phase.state == "end":
        return [("done", Tone.FAINT)]
    left_s = time_left_s(phase, now_ns)
    left = "" if left_s is None else f"{duration(left_s)} left" if left_s else "about to end"
    spent = duration(max(0, now_ns - phase.begun_ns) / 1e9)
    done = how_far(phase) or (f"{spent} of {duration(phase.planned_s)}" if phase.planned_s else spent)
    return [f"{done}, {left}" if left else done]


def identity(shown: Moment) -> list[tuple[int, Line]]:
    """Which run it is: parts for ``packed``."""
    header = shown.view.header
    if not header.run_id:
        return []
    return [
        (0, [("seed ", Tone.FAINT), str(header.seed)]),
        (1, [("run ", Tone.FAINT), header.run_id]),
        (2, [plural(header.clients, "client")]),
        (3, [("started ", Tone.FAINT), moment(header.started_ns)[:19] + "Z"]),
    ]


def at_work(view: RunView) -> list[tuple[int, Line]]:
    """What goes on now."""
    frame = view.frame
    waiting = frame.waiting if frame else 0
    return [
        (0, [f"{view.in_flight} in flight"]),
        (1, [(f"{waiting} waiting at the gate", Tone.PLAIN if waiting else Tone.FAINT)]) if frame else (1, []),
    ]


def snapshots(view: RunView) -> list[tuple[int, Line]]:
    """By state; what is no trouble and nobody has is left out where room is short."""
    counts = view.snapshots
    return [
        (0, [f"{counts.live:,} live"]),
        (2, [f"{counts.created:,} created"]),
        (3, [f"{counts.deleted:,} deleted"]),
        (1, [(f"{counts.unknown:,} unknown", Tone.WARN if counts.unknown else Tone.FAINT)]),
        (1, [(f"{counts.lost:,} LOST", Tone.BAD)]) if counts.lost else (1, []),
    ]


def findings(view: RunView) -> Cell:
    """How many, of how many defects."""
    if not view.findings_total:
        return "no findings", Tone.FAINT
    _, tone = VERDICTS[max(group.verdict for group in view.findings)] if view.findings else VERDICTS[view.verdict]
    tone = Tone.WARN if view.header.expect == "fail" else tone
    return f"{plural(view.findings_total, 'finding')} of {plural(len(view.findings), 'defect')}", tone


def doubts(view: RunView) -> list[tuple[int, Line]]:
    """What keeps the verdict open."""
    return [
        (0, [(f"{plural(view.unknown_open, 'operation')} of unknown outcome", Tone.WARN)] if view.unknown_open else []),
        (1, [(f"{plural(view.gaps, 'gap')} in the journal", Tone.BAD)] if view.gaps else []),
        (2, [(f"not run: {', '.join(each.action for each in view.not_run)}", Tone.WARN)] if view.not_run else []),
    ]


def actions_rate(per_minute: float) -> str:
    """With its unit."""
    return f"{per_minute:,.0f}/min"


def bytes_rate(per_second: float) -> str:
    """With its unit."""
    return f"{size(per_second)}/s"
