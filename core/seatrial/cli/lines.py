"""The running commentary of a headless run: lines a person can follow in a CI log.

``Narrator`` is what ``cli/conduct.py`` tells; ``Lines`` writes text, ``cli/json_lines.py`` one document a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from seatrial.cli.terminal import Screen, Tone
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.events import (
    ClientJoined,
    ClientLeft,
    ClusterEvent,
    Fault,
    Finding,
    NodeEvent,
    NotRun,
    Phase,
    PlanEvent,
    Record,
    Recovered,
    Resolved,
    Result,
    ServerEvent,
    Steer,
)
from seatrial.history.view import RunView
from seatrial.report.explain import command_line
from seatrial.report.nodes import cluster_line
from seatrial.report.progress import how_far, time_left_s
from seatrial.report.prose import block, cells, duration, latency, plain, plural, size
from seatrial.report.summary import Summary
from seatrial.report.text import MEANING, action_table, causes, finding_fields, not_run, reason_lines, verified
from seatrial.report.times import in_words, spent_s
from seatrial.verdicts import Outcome, Verdict, exit_status

PROGRESS_S = 5.0
"""Between two progress lines."""
SHOWN_GROUPS = 50
"""Defects told in full while the run goes on; the report has all."""
_MARGIN = 9


class Detail(IntEnum):
    """How much is told."""

    QUIET = 0
    """Findings and the closing lines."""
    NORMAL = 1
    VERBOSE = 2
    """Each action's result, each client that comes or goes."""


class Narrator(Protocol):
    """Tells a run as it goes. Threading: one thread; no method raises for a reader that has left."""

    @property
    def lost(self) -> bool:
        """Nobody reads any more."""

    def start(self, directory: Path) -> None:
        """The run has a directory; nothing has been told yet."""

    def note(self, text: str) -> None:
        """Something about the run that is no fact of its journal."""

    def record(self, record: Record) -> None:
        """The next fact of the journal."""

    def tick(self, view: RunView) -> None:
        """Called several times a second with the run as it is."""

    def finish(self, summary: Summary) -> None:
        """The run is over and judged."""


class Lines:
    """Text. Seed and directory first, findings at once, the verdict and how to run it again last."""

    def __init__(
        self, screen: Screen, seed: int, command: tuple[str, ...] = (), detail: Detail = Detail.NORMAL, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._screen, self._detail, self._clock = screen, detail, clock
        self._seed, self._command = seed, command_line(command)
        self._began_s = self._told_s = clock.monotonic_s()
        self._groups: set[str] = set()
        self._expected = ""

    @property
    def lost(self) -> bool:
        return self._screen.lost

    def start(self, directory: Path) -> None:
        self._began_s = self._told_s = self._clock.monotonic_s()
        if self._detail > Detail.QUIET:
            self._screen.line(f"seed {self._seed}", Tone.HEAD)
            self._screen.line(f"run directory {plain(str(directory))}")

    def note(self, text: str) -> None:
        self._say(text, Tone.WARN)

    def record(self, record: Record) -> None:
        event = record.event
        if isinstance(event, PlanEvent) and event.settings.get("expect") == "fail":
            self._expected = " (expected)"
        if isinstance(event, Finding):
            self._finding(event)
        elif self._detail > Detail.QUIET:
            self._fact(event)

    def tick(self, view: RunView) -> None:
        now_s = self._clock.monotonic_s()
        if self._detail is Detail.QUIET or now_s - self._told_s < PROGRESS_S:
            return
        self._told_s = now_s
        self._say(progress_line(view, self._clock.now_ns(), self._screen.width - _MARGIN if self._screen.terminal else None), Tone.FAINT)

    def finish(self, summary: Summary) -> None:
        for line in closing_lines(summary, self._detail, self._screen.width if self._screen.terminal else None):
            self._screen.line(self._screen.fit(line))
        verdict = summary.judgement.verdict
        self._screen.line(plain(_verdict_line(summary)), {Verdict.PASS: Tone.GOOD, Verdict.INCONCLUSIVE: Tone.WARN}.get(verdict, Tone.BAD))
        for line in reason_lines(summary.judgement.reasons):
            self._screen.line(line)
        header = summary.view.header
        self._screen.line(f"seed           {header.seed}")
        self._screen.line(f"run it again   {command_line(header.command) or self._command}")
        self._screen.line(f"run directory  {plain(str(summary.directory))}")

    def _say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Text behind the time since the start; its further lines, if it has any, stand below, indented."""
        at = duration(self._clock.monotonic_s() - self._began_s)
        first, *rest = block(text, indent=_MARGIN + 2)
        for line in (f"{at:>{_MARGIN - 2}}  {first}", *rest):
            self._screen.line(self._screen.fit(line), tone)

    def _finding(self, finding: Finding) -> None:
        """In full, and never cut: once for each defect."""
        if finding.group in self._groups:
            return
        self._groups.add(finding.group)
        if len(self._groups) > SHOWN_GROUPS:
            if len(self._groups) == SHOWN_GROUPS + 1:
                self._say(f"more than {SHOWN_GROUPS} different defects: the rest is in the report", Tone.BAD)
            return
        at = duration(self._clock.monotonic_s() - self._began_s)
        tone = Tone.BAD if finding.verdict is Verdict.FAIL and not self._expected else Tone.WARN
        self._screen.line(
            f"{at:>{_MARGIN - 2}}  {finding.verdict.name}{self._expected} {plain(finding.check)}: {plain(finding.message)}", tone
        )
        again = [f"  {'run it again':<18} {self._command}"] if self._command else []
        remedy = [f"  {'remedy':<18} {plain(finding.remedy)}"] if finding.remedy else []
        for line in (*finding_fields(finding), *remedy, *again):
            self._screen.line(" " * (_MARGIN - 2) + line)

    def _fact(self, event: object) -> None:
        match event:
            case PlanEvent():
                clients = event.settings.get("clients")
                version = f" {event.target_version}" if event.target_version else ""
                self._say(
                    f"{event.preset} on {event.target}{version}" + (f", {plural(clients, 'client')}" if isinstance(clients, int) else "")
                )
            case Phase(state="begin"):
                planned = f", {duration(event.planned_s)} planned" if event.planned_s else ""
                total = f", {event.total:,} to do" if event.total else ""
                self._say(f"{event.name} begins{planned}{total}{_after(event.detail)}", Tone.HEAD)
            case Phase() if event.detail:
                self._say(f"{event.name} ended{_after(event.detail)}")
            case ServerEvent():
                self._server(event)
            case NotRun():
                self._say(f"{event.action} is not run: {event.why}", Tone.WARN)
            case NodeEvent():
                self._say(cluster_line(event), Tone.PLAIN if event.state == "up" else Tone.WARN)
            case ClusterEvent():
                self._say(cluster_line(event), Tone.FAINT)
            case Fault():
                self._say(f"fault {event.fault} {event.state}{_after(event.detail)}", Tone.WARN)
            case Steer():
                self._say(f"steered: {event.command} {event.argument}".rstrip())
            case Recovered():
                self._say(f"{event.client} had no space left, emptied its directory and goes on", Tone.WARN)
            case _ if self._detail is Detail.VERBOSE:
                self._detailed(event)

    def _server(self, event: ServerEvent) -> None:
        where = f" at {event.address}" if event.address else ""
        pid = f", pid {event.pid}" if event.pid else ""
        code = f" with {exit_status(event.exit_code)}" if event.exit_code is not None else ""
        self._say(f"server {event.state}{where}{pid}{code}{_after(event.detail)}", Tone.BAD if event.state == "died" else Tone.PLAIN)

    def _detailed(self, event: object) -> None:
        match event:
            case ClientJoined():
                self._say(f"{event.client} joined{_after(event.program)}")
            case ClientLeft():
                self._say(f"{event.client} left")
            case Result():
                self._say(result_line(event), Tone.PLAIN if event.outcome is Outcome.OK else Tone.WARN)
            case Resolved():
                self._say(f"operation {event.run_id}/{event.op} resolved: {event.outcome.value}, {event.how}")


def _after(detail: str) -> str:
    return f": {detail}" if detail else ""


def result_line(event: Result) -> str:
    """One action's result."""
    outcome = "no-op" if event.noop else event.outcome.value
    error = f" {event.error.cause}: {event.error.message}" if event.error else ""
    parts = [
        f"snapshot {event.snapshot}" if event.snapshot else "",
        plural(event.files, "file") if event.files else "",
        size(event.bytes) if event.bytes else "",
        f"{latency(event.service_s)} + {latency(event.queue_s)} queued" if event.queue_s else latency(event.service_s),
    ]
    return f"{event.client} {event.action} {outcome}{error} ({', '.join(part for part in parts if part)})"


def progress_line(view: RunView, now_ns: int, width: int | None = None) -> str:
    """Where the run stands: phase, how far, rates, counts, what is in flight, time left.

    Where ``width`` is short of cells the rates go first, then what is in flight: what went wrong and how long it takes stay.
    """
    ok, failed, unknown, noop = (sum(getattr(row, name) for row in view.actions) for name in ("ok", "failed", "unknown", "noop"))
    left_s = time_left_s(view.phase, now_ns) if view.phase else None
    rates = f"{view.rates.actions_per_minute / 60:.1f} actions/s, {size(view.rates.bytes_per_second)}/s"
    parts = {
        "phase": f"{view.phase.name} {how_far(view.phase)}".rstrip() if view.phase else "starting",
        "rates": rates,
        "counts": f"ok {ok:,} failed {failed:,} unknown {unknown:,} no-op {noop:,}",
        "in flight": f"{view.in_flight} in flight",
        "findings": f"{plural(view.findings_total, 'finding')} of {plural(len(view.findings), 'defect')}" if view.findings else "",
        "paused": "paused" if view.paused else "",
        "left": "" if left_s is None else f"{duration(left_s)} left",
    }
    for name, shorter in (("rates", rates.partition(",")[0]), ("in flight", ""), ("rates", "")):
        if width is None or cells(_joined(parts)) <= width:
            break
        parts[name] = shorter
    return _joined(parts)


def _joined(parts: Mapping[str, str]) -> str:
    return " | ".join(part for part in parts.values() if part)


def _verdict_line(summary: Summary) -> str:
    code = summary.judgement.exit_code
    return f"{summary.judgement.verdict.name}  exit code {int(code)}: {MEANING[code]}"


def closing_lines(summary: Summary, detail: Detail, width: int | None = None) -> list[str]:
    """What stands above the verdict: the actions and how much was verified."""
    view = summary.view
    if detail is Detail.QUIET:
        return []
    lines = ["", *action_table(view.actions, width), *(f"  {cause}" for cause in causes(view.actions))] if view.actions else []
    lines += [f"  {line}" for line in not_run(view)]
    found = f"{plural(view.findings_total, 'finding')} of {plural(len(view.findings), 'defect')}" if view.findings else "no findings"
    parts = spent_s(view)
    time = [f"time  {in_words(parts)}"] if parts else []
    return [*lines, "", f"{verified(summary)}; {found}; {duration(summary.duration_s)}", *time]
