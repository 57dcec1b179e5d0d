"""What panes are shown in tests: the views and moments of runs that took place, by the same code that shows them to a person."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from seatrial.history.events import Finding
from seatrial.history.view import RunView, SnapshotView
from seatrial.report.circumstances import Circumstances
from seatrial_tui.source.cursor import Cursor
from seatrial_tui.source.moment import Moment, TimelineRow
from seatrial_tui.source.reader import RunReader
from tests.support.waiting import eventually


def folded(run_dir: Path) -> RunView:
    """The view at the end of a run, its telemetry included."""
    return moment_of(run_dir).view


def moment_of(run_dir: Path, until_ns: int | None = None) -> Moment:
    """The last moment of a run that has ended, or an earlier one of it."""
    with closing(Cursor(run_dir, threading.Lock(), _no_gap)) as cursor:
        while cursor.step(until_ns):
            pass
        state = cursor.state
        view = state.view()
        return Moment(
            view=view,
            samples=state.samples,
            following=until_ns is None,
            now_ns=view.at_ns if until_ns is None else until_ns,
            begin_ns=state.begin_ns,
            end_ns=state.reached_ns,
        )


def moments_of(run_dir: Path, every_ns: int) -> Iterator[Moment]:
    """A run from its beginning to its end, as a screen would see it that looks so often."""
    with closing(Cursor(run_dir, threading.Lock(), _no_gap)) as cursor:
        begin_ns, end_ns = moment_of(run_dir).begin_ns, moment_of(run_dir).end_ns
        for now_ns in range(begin_ns + every_ns, end_ns, every_ns):
            while cursor.step(now_ns):
                pass
            view, samples = cursor.state.view(), cursor.state.samples
            yield Moment(view=view, samples=samples, live=True, now_ns=now_ns, begin_ns=begin_ns, end_ns=now_ns)


@contextmanager
def reading(run_dir: Path) -> Iterator[RunReader]:
    """A source that has read the run to its end: for panes that ask for more than the moment."""
    with closing(RunReader(run_dir)) as source:
        assert eventually(lambda: source.moment().view.seq and not source.moment().reading)
        yield source


class NoRun:
    """A run of which only the directory is asked."""

    def __init__(self, directory: Path = Path("run")) -> None:
        self.directory = directory

    def moment(self) -> Moment:
        return Moment()

    def timeline(self, client: str) -> Sequence[TimelineRow]:
        return ()

    def snapshots(self, client: str) -> Sequence[SnapshotView]:
        return ()

    def findings(self, group: str) -> Sequence[Finding]:
        return ()

    def circumstances(self, group: str) -> Circumstances | None:
        return None

    def close(self) -> None:
        """Nothing to give back."""


def _no_gap(gap: object) -> None:
    raise AssertionError(f"a recorded run has a gap: {gap}")
