"""What a run comes to: one pure function over its view, used by the harness when it ends and by every report afterwards.

The view tells what the journal holds. ``problems`` are sentences about what it cannot hold: a journal without an end, a verification
that gave up. Exit codes are facts of the run itself where nothing in the history could show them (usage, broken, interrupted);
pass, failure and inconclusive are judged anew each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seatrial.config.model import ActionName
from seatrial.history.view import FindingGroup, PhaseView, RunView
from seatrial.verdicts import PRECEDENCE, ExitCode, Verdict, exit_status, worst_exit_code

_NOT_JUDGED = frozenset({ExitCode.USAGE, ExitCode.BROKEN, ExitCode.INTERRUPTED})


class Judgement(NamedTuple):
    """The verdict, how the command ends, and why: one sentence each, the gravest first; none for a plain PASS."""

    verdict: Verdict
    exit_code: ExitCode
    reasons: tuple[str, ...]


class _Charge(NamedTuple):
    """One thing that speaks against a plain PASS."""

    code: ExitCode
    reason: str
    verdict: Verdict = Verdict.INCONCLUSIVE


def judge(view: RunView, problems: Sequence[str] = ()) -> Judgement:
    """Judge a run whose phases are over, or which will not go on.

    A preset off contract (``expect = "fail"``) turns the sides round: loss that was caught is its PASS, and no loss is its FAIL.
    """
    charges = [*_broken(view), *_failed(view), *_inconclusive(view), *(_Charge(ExitCode.INCONCLUSIVE, text) for text in problems)]
    if view.header.expect == "fail":
        charges = _off_contract(view, charges)
    codes = [charge.code for charge in charges]
    verdict = Verdict.worst(charge.verdict for charge in charges)
    charges.sort(key=lambda charge: PRECEDENCE.index(charge.code))
    return Judgement(verdict, worst_exit_code(codes), tuple(dict.fromkeys(charge.reason for charge in charges)))


def _broken(view: RunView) -> Iterator[_Charge]:
    end = view.end.event if view.end else None
    if end and (end.aborted or end.exit_code == ExitCode.INTERRUPTED):
        # Stopped cleanly, it has verified what there was: the verdict stands, the exit code tells of the interruption.
        verdict = Verdict.INCONCLUSIVE if end.aborted else Verdict.PASS
        yield _Charge(ExitCode.INTERRUPTED, end.reason or ("aborted" if end.aborted else "stopped early"), verdict)
    elif end and end.exit_code in _NOT_JUDGED:
        yield _Charge(ExitCode(end.exit_code), end.reason or "the run could not be carried through")
    if view.server.deaths:
        status = "" if view.server.exit_code is None else f" with {exit_status(view.server.exit_code)}"
        when = "in the middle of the run" if view.server.address else "before it was ready"
        yield _Charge(ExitCode.BROKEN, f"the server died{status} {when}")


def _failed(view: RunView) -> Iterator[_Charge]:
    bad = [group for group in view.findings if group.verdict is Verdict.FAIL]
    if bad:
        yield _Charge(ExitCode.ROBUSTNESS_FAILURE, f"{_defects(bad)}: {bad[0].first.message}", Verdict.FAIL)


def _defects(groups: Sequence[FindingGroup]) -> str:
    seen = sum(group.count for group in groups)
    return f"{len(groups)} defect{'s' if len(groups) > 1 else ''} found, seen {seen} time{'s' if seen > 1 else ''}"


def _inconclusive(view: RunView) -> Iterator[_Charge]:
    def charge(reason: str) -> _Charge:
        return _Charge(ExitCode.INCONCLUSIVE, reason)

    for group in view.findings:
        if group.verdict is Verdict.INCONCLUSIVE:
            yield charge(group.first.message)
    for each in view.not_run:
        if each.planned:
            yield charge(f"{each.action}, a step of this preset, was not run: {each.why}")
    for row in view.actions:
        refused = row.errors.get("no-space", 0)
        if row.action == ActionName.WRITE and refused and not row.ok:
            times = f"{refused} time{'s' if refused > 1 else ''}"
            yield charge(
                f"nothing was written: no space for {row.action}, {times}, and never any (free some, or lower its free-space-limit)"
            )
    if view.gaps:
        yield charge(f"the journal has {view.gaps} gap{'s' if view.gaps > 1 else ''} in its sequence: part of the history is missing")
    verify = next((phase for phase in reversed(view.phases) if phase.name == "verify"), None)
    if verify is None:
        yield charge("nothing was verified: the run never came to its verify phase")
    else:
        yield from map(charge, _short_of(verify))
    if view.unknown_open:
        yield charge(f"{view.unknown_open} operation{'s' if view.unknown_open > 1 else ''} may or may not have happened")
    if view.in_flight:
        yield charge(f"{view.in_flight} operation{'s' if view.in_flight > 1 else ''} never returned")


def _short_of(verify: PhaseView) -> Iterator[str]:
    if verify.progress < verify.total:
        yield f"only {verify.progress} of {verify.total} live snapshots were verified"
    elif verify.state != "end":
        yield "the verify phase did not come to its end"


def _off_contract(view: RunView, charges: Sequence[_Charge]) -> list[_Charge]:
    broken = [charge for charge in charges if charge.code in _NOT_JUDGED]
    caught = next((charge for charge in charges if charge.code is ExitCode.ROBUSTNESS_FAILURE), None)
    if caught:
        said = f"the expected loss was caught ({view.header.preset} is off contract): {caught.reason}"
        return [*broken, _Charge(ExitCode.PASS, said, Verdict.PASS)]
    if charges:
        return list(charges)
    said = f"{view.header.preset} is off contract and must lose something, but no loss was caught"
    return [_Charge(ExitCode.ROBUSTNESS_FAILURE, said, Verdict.FAIL)]
