"""The report for a person: what came out, why, and for each finding all that a maintainer would ask back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from seatrial.history.events import Finding
from seatrial.history.view import ActionRow, RunView
from seatrial.report.explain import command_line, explain, labelled, lines_of, subject
from seatrial.report.prose import block, cells, duration, latency, moment, plain, plural, size, table
from seatrial.report.summary import Summary
from seatrial.report.times import in_words, spent_s
from seatrial.verdicts import ExitCode

MEANING = {
    ExitCode.PASS: "pass",
    ExitCode.ROBUSTNESS_FAILURE: "robustness failure",
    ExitCode.USAGE: "usage or configuration error",
    ExitCode.INCONCLUSIVE: "inconclusive",
    ExitCode.BROKEN: "harness or target broke",
    ExitCode.INTERRUPTED: "interrupted",
}


def render_text(summary: Summary) -> str:
    """The whole report, lines of any width, a newline at its end."""
    sections = [_headline(summary), _run(summary), *_findings(summary), _actions(summary.view), _state(summary), _storage(summary.view)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _headline(summary: Summary) -> list[str]:
    header, judgement = summary.view.header, summary.judgement
    target = " ".join(filter(None, (header.target, header.target_version))) or "an unknown target"
    state = " (still running: so far)" if summary.running else ""
    return [
        plain(f"{judgement.verdict.name}{state}: {header.preset or 'an unknown preset'} on {target}, run {header.run_id or '-'}"),
        *reason_lines(judgement.reasons),
        f"  exit code {int(judgement.exit_code)}: {MEANING[judgement.exit_code]}",
    ]


def reason_lines(reasons: Iterable[str]) -> Iterator[str]:
    """Why the verdict is what it is; shared with the running commentary."""
    for reason in reasons:
        first, *rest = block(reason, indent=6)
        yield f"  - {first}"
        yield from rest


def _run(summary: Summary) -> list[str]:
    header = summary.view.header
    lines = ["Run", labelled("directory", plain(str(summary.directory)))]
    if header.run_id:
        lines += [
            labelled("seed", f"{header.seed}  (repeats the plan, not the interleaving)"),
            labelled("run it again", command_line(header.command) or "-"),
            labelled("started", f"{moment(header.started_ns)}, took {duration(summary.duration_s)}"),
            *([labelled("time", in_words(parts))] if (parts := spent_s(summary.view)) else []),
            labelled("clients", str(header.clients)),
            labelled("repository under", plain(header.repo_path_prefix)),
            labelled(
                "versions",
                plain(
                    f"seatrial {header.seatrial_version or '-'}, {header.target} {header.target_version or '-'}, "
                    f"Python {header.python_version or '-'}, {header.platform or '-'}"
                ),
            ),
        ]
    return lines


def _findings(summary: Summary) -> Iterator[list[str]]:
    for group in summary.view.findings:
        yield lines_of(explain(summary.view, group, summary.circumstances, summary.directory))


def finding_fields(finding: Finding) -> list[str]:
    """Which snapshot, client, path and damage: the lines that the report and the running commentary share."""
    return [labelled(label, text) for label, text in subject(finding)]


_COLUMNS: tuple[tuple[str, Callable[[ActionRow], str]], ...] = (
    ("action", lambda row: plain(row.action)),
    ("count", lambda row: f"{row.count:,}"),
    ("ok", lambda row: f"{row.ok:,}"),
    ("failed", lambda row: f"{row.failed:,}"),
    ("unknown", lambda row: f"{row.unknown:,}"),
    ("no-op", lambda row: f"{row.noop:,}"),
    ("p50", lambda row: latency(row.service.p50_s)),
    ("p95", lambda row: latency(row.service.p95_s)),
    ("p99", lambda row: latency(row.service.p99_s)),
    ("max", lambda row: latency(row.service.max_s)),
    ("queued p95", lambda row: latency(row.queue.p95_s)),
)
_DISPENSABLE = ("queued p95", "p99", "count", "max", "no-op")
"""Left out one after another where the place is narrow; all of them are in the report."""


def action_table(rows: Sequence[ActionRow], width: int | None = None) -> list[str]:
    """The closing table, also of the running commentary; no wider than ``width`` as long as a column can be spared."""
    columns = dict(_COLUMNS)
    lines = _action_lines(columns, rows)
    for head in _DISPENSABLE:
        if width is None or max(map(cells, lines)) <= width:
            break
        del columns[head]
        lines = _action_lines(columns, rows)
    return lines


def _action_lines(columns: Mapping[str, Callable[[ActionRow], str]], rows: Sequence[ActionRow]) -> list[str]:
    return table(list(columns), ([text(row) for text in columns.values()] for row in rows))


def causes(rows: Sequence[ActionRow]) -> list[str]:
    """Why actions did not return well: one line for each action and cause."""
    return [plain(f"{row.action}: {cause} {plural(count, 'time')}") for row in rows for cause, count in sorted(row.errors.items()) if count]


def not_run(view: RunView) -> list[str]:
    """What this server could not be asked for: one line for each action; never counted as passed."""
    return [plain(f"{each.action}: not run, {each.why}") for each in view.not_run]


def _actions(view: RunView) -> list[str]:
    if not view.actions:
        return []
    lines = ["Actions", *(f"  {line}" for line in (*action_table(view.actions), *causes(view.actions), *not_run(view)))]
    if view.former_runs:
        lines += [
            "",
            f"Actions of all {view.former_runs + 1} runs under this prefix",
            *(f"  {line}" for line in action_table(view.cumulative)),
        ]
    return lines


def verified(summary: Summary) -> str:
    """How much was proved, in words."""
    phase = summary.verify
    if phase is None:
        return "nothing was verified"
    return f"verified {min(phase.progress, phase.total):,} of {phase.total:,}" + (f" ({plain(phase.detail)})" if phase.detail else "")


def _state(summary: Summary) -> list[str]:
    view, counts = summary.view, summary.view.snapshots
    server = view.server
    deaths = f", died {plural(server.deaths, 'time')}" if server.deaths else ""
    lines = [
        "State",
        labelled(
            "snapshots",
            f"{counts.created} created, {counts.live} live, {counts.deleted} deleted, {counts.unknown} unknown, {counts.lost} lost; "
            f"{plural(counts.restored, 'restore')} compared",
        ),
        labelled("verification", verified(summary)),
        labelled("open operations", f"{view.unknown_open} unknown, {view.in_flight} in flight"),
        labelled("server", plain(f"{server.state or 'never started'}{deaths}{': ' + server.detail if server.detail else ''}")),
        labelled("journal", f"{plural(view.seq, 'record')}, {plural(view.gaps, 'gap')}"),
    ]
    for phase in view.phases:
        took_s = ((phase.ended_ns or view.at_ns) - phase.begun_ns) / 1e9
        state = duration(took_s) if phase.state == "end" else f"{duration(took_s)}, did not end"
        lines.append(labelled(f"phase {phase.name}", plain(state + (f": {phase.detail}" if phase.detail else ""))))
    lines += [labelled("steered", plain(f"{moment(row.at_ns)} {row.steer.command} {row.steer.argument}".rstrip())) for row in view.steering]
    return lines


def _storage(view: RunView) -> list[str]:
    """Whole directories only: what lies below one that is listed is in its size, and in the journal."""
    listed = dict.fromkeys((*view.storage_before, *view.storage_after))
    paths = [path for path in listed if not any(path.startswith(f"{other}/") for other in listed)]
    if not paths:
        return []

    def amount(value: int | None) -> str:
        return "-" if value is None or value < 0 else size(value)

    rows = [(plain(path), amount(view.storage_before.get(path)), amount(view.storage_after.get(path))) for path in paths]
    return ["Storage", *(f"  {line}" for line in table(("directory", "before", "after"), rows))]
