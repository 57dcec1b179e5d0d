"""The machine's form of a report: ``report.json`` and ``seatrial report --format json``.

``format`` grows when a reader of the old form would misread the new one; new fields may appear at any time. Times are RFC 3339 in UTC,
durations are seconds, sizes are bytes, verdicts are ``PASS``, ``INCONCLUSIVE``, ``FAIL``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.history.events import Finding
from seatrial.history.view import ActionRow, ClientRow, FindingGroup, PhaseView, RunView
from seatrial.report.circumstances import Circumstances, GcRun
from seatrial.report.prose import moment
from seatrial.report.summary import Summary
from seatrial.report.times import spent_s

REPORT_FORMAT = 1
Json = dict[str, Any]


def document(summary: Summary) -> Json:
    """The whole report as builtins."""
    view, judgement = summary.view, summary.judgement
    return {
        "format": REPORT_FORMAT,
        "verdict": judgement.verdict.name,
        "exit_code": int(judgement.exit_code),
        "reasons": list(judgement.reasons),
        "running": summary.running,
        "run": _run(summary),
        "findings": [_group(group, summary.circumstances.get(group.group)) for group in view.findings],
        "findings_total": view.findings_total,
        "actions": [_action(row) for row in view.actions],
        "not_run": [_event(each) for each in view.not_run],
        "clients": [_client(row, view) for row in view.clients],
        "snapshots": {**msgspec.to_builtins(view.snapshots), **_verified(summary)},
        "phases": [_phase(phase) for phase in view.phases],
        "server": msgspec.to_builtins(view.server),
        "faults": [{"at": _at(row.at_ns), **_event(row.fault)} for row in view.faults],
        "steering": [{"at": _at(row.at_ns), **_event(row.steer)} for row in view.steering],
        "failures": [{"at": _at(row.at_ns), **_event(row.result)} for row in view.failures],
        "unknown_open": [msgspec.to_builtins(row) for row in view.unknown],
        "unknown_open_total": view.unknown_open,
        "journal": {"records": view.seq, "gaps": view.gaps},
        "storage_bytes": {"before": dict(view.storage_before), "after": dict(view.storage_after)},
    }


def render_json(summary: Summary) -> str:
    """One indented document with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(document(summary)), indent=2).decode() + "\n"


def _at(at_ns: int) -> str | None:
    return moment(at_ns) if at_ns > 0 else None


def _run(summary: Summary) -> Json:
    header, view = summary.view.header, summary.view
    return {
        "id": header.run_id,
        "directory": str(summary.directory),
        "preset": header.preset,
        "description": header.description,
        "expect": header.expect,
        "seed": header.seed,
        "target": header.target,
        "target_version": header.target_version,
        "repo_path_prefix": header.repo_path_prefix,
        "command": list(header.command),
        "clients": header.clients,
        "seatrial_version": header.seatrial_version,
        "python_version": header.python_version,
        "platform": header.platform,
        "started_at": _at(header.started_ns),
        "ended_at": _at(view.end.at_ns if view.end else 0),
        "last_record_at": _at(view.at_ns),
        "duration_s": round(summary.duration_s, 3),
        "spent_s": {part: round(took_s, 3) for part, took_s in spent_s(view).items()},
    }


def _verified(summary: Summary) -> Json:
    """Null where the run never came to its verify phase."""
    phase = summary.verify
    return {"verified": min(phase.progress, phase.total) if phase else None, "to_verify": phase.total if phase else None}


def _event(event: msgspec.Struct) -> Json:
    fields: Json = msgspec.to_builtins(event)
    fields.pop("kind", None)
    return fields


def _phase(phase: PhaseView) -> Json:
    fields: Json = msgspec.to_builtins(phase)
    fields["begun_at"], fields["ended_at"] = _at(fields.pop("begun_ns")), _at(fields.pop("ended_ns"))
    return fields


def _action(row: ActionRow) -> Json:
    fields: Json = msgspec.to_builtins(row)
    fields.pop("client")
    return fields


def _client(row: ClientRow, view: RunView) -> Json:
    return {
        "id": row.id,
        "index": row.index,
        "ok": row.ok,
        "failed": row.failed,
        "unknown": row.unknown,
        "noop": row.noop,
        "bytes": row.bytes,
        "findings": row.findings,
        "actions": [_action(action) for action in view.client_actions.get(row.id, ())],
    }


def _finding(finding: Finding) -> Json:
    fields = _event(finding)
    fields["verdict"] = finding.verdict.name
    fields.pop("last_good_ns", None)
    return fields


def _group(group: FindingGroup, around: Circumstances | None) -> Json:
    return {
        "group": group.group,
        "check": group.check,
        "verdict": group.verdict.name,
        "count": group.count,
        "first_seen": _at(group.first_ns),
        "last_seen": _at(group.last_ns),
        "first": _finding(group.first),
        "circumstances": _around(around) if around else None,
    }


def _around(around: Circumstances) -> Json:
    return {
        "last_good": _at(around.last_good_ns),
        "snapshot_created": _at(around.created_ns),
        "first_bad": _at(around.first_bad_ns),
        "snapshots": list(around.snapshots),
        "gc": {
            "begun_so_far": around.gc_runs,
            "running": [_gc(run) for run in around.gc_running],
            "since_last_good": [_gc(run) for run in around.gc_since_good],
            "while_snapshot_was_made": [_gc(run) for run in around.gc_in_create],
        },
        "server": [{"state": each.state, "at": _at(each.at_ns), "exit_code": each.exit_code} for each in around.server],
        "in_flight": [
            {"op": each.op, "client": each.client, "action": each.action, "snapshot": each.snapshot, "began_at": _at(each.began_ns)}
            for each in around.in_flight
        ],
    }


def _gc(run: GcRun) -> Json:
    return {
        "op": run.op,
        "client": run.client,
        "began_at": _at(run.began_ns),
        "ended_at": _at(run.ended_ns),
        "outcome": run.outcome.value if run.outcome else None,
        "freed_bytes": run.freed_bytes,
    }
