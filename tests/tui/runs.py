"""What panes are shown in tests: the views and moments of runs that took place, by the same code that shows them to a person."""

from __future__ import annotations

from pathlib import Path

from seatrial.history.fold import RunFold
from seatrial.history.reader import read_journal
from seatrial.history.telemetry import TelemetryReader
from seatrial.history.view import RunView
from seatrial_tui.source.moment import Moment


def folded(run_dir: Path) -> RunView:
    """The view at the end of a run, its last telemetry included."""
    fold = RunFold()
    for record in read_journal(run_dir):
        fold.apply(record)
    frame = TelemetryReader(run_dir).latest()
    if frame is not None:
        fold.apply_frame(frame)
    return fold.view(force=True)


def moment_of(run_dir: Path) -> Moment:
    """The last moment of a run that has ended."""
    view = folded(run_dir)
    return Moment(view=view, now_ns=view.at_ns, begin_ns=view.header.started_ns, end_ns=view.at_ns)
