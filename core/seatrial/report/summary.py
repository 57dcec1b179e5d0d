"""A run judged again, from its journal alone: a run directory that was copied elsewhere gives the same verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.history.fold import RunFold
from seatrial.history.journal import JournalDamagedError, JournalGap, read_journal
from seatrial.history.judge import Judgement, judge
from seatrial.history.view import PhaseView, RunView
from seatrial.report.circumstances import CircumstanceCollector, Circumstances

KILLED = "ended without an end: the run was killed, or its journal is not all here"
STILL_RUNNING = "the run is still going on"
_KEPT_PROBLEMS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All that a report says."""

    directory: Path
    view: RunView
    judgement: Judgement
    circumstances: Mapping[str, Circumstances]
    """By the group of a finding."""
    running: bool = False

    @property
    def duration_s(self) -> float:
        """From the plan to the end, or to the last that was heard of it."""
        if not self.view.header.started_ns:
            return 0.0
        return max(0, (self.view.end.at_ns if self.view.end else self.view.at_ns) - self.view.header.started_ns) / 1e9

    @property
    def verify(self) -> PhaseView | None:
        """The verify phase; None where the run never came to it."""
        return next((phase for phase in reversed(self.view.phases) if phase.name == "verify"), None)


def summarise(run_dir: Path, *, running: bool = False) -> Summary:
    """Read the journal of ``run_dir`` once and judge it. ``running``: its engine is alive, so that a missing end means nothing.

    A gap or a damaged line makes it inconclusive, with a sentence; ``UsageError`` where there is no journal or one of another version.
    """
    fold = RunFold()
    collector = CircumstanceCollector(fold.snapshot)
    problems: list[str] = []

    def on_gap(gap: JournalGap) -> None:
        if len(problems) < _KEPT_PROBLEMS:
            problems.append(f"{gap} ({gap.where})")

    try:
        for record in read_journal(run_dir, on_gap=on_gap):
            fold.apply(record)
            collector.apply(record)
    except JournalDamagedError as error:
        problems.append(str(error))
    view = fold.view(force=True)
    problems += _unended(view, running)
    return Summary(
        directory=run_dir,
        view=view,
        judgement=_not_better_than_recorded(view, problems),
        circumstances=collector.by_group(),
        running=running and view.end is None,
    )


def _unended(view: RunView, running: bool) -> list[str]:
    if view.end is not None:
        return []
    return [STILL_RUNNING if running else KILLED]


def _not_better_than_recorded(view: RunView, problems: list[str]) -> Judgement:
    """The harness may know what no event shows, and said so at the end: then the sentence it left there counts as well."""
    judgement = judge(view, problems)
    recorded = view.end.event if view.end else None
    if recorded is None or recorded.verdict <= judgement.verdict:
        return judgement
    said = recorded.reason or f"the run itself ended with {recorded.verdict.name}, and its journal does not show why"
    return judge(view, [*problems, said])
