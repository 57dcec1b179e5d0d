"""A run as far as it has been read: one owner for everything that is made out of its records and frames."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

from seatrial.history.events import Finding, Record
from seatrial.history.fold import FURTHER_GROUPS, KEPT, RunFold
from seatrial.history.frames import Frame
from seatrial.history.view import RunView, SnapshotView
from seatrial.report.circumstances import CircumstanceCollector, Circumstances
from seatrial_tui.source.moment import Sample, TimelineRow
from seatrial_tui.source.samples import Samples
from seatrial_tui.source.timelines import Timelines

KEPT_OF_GROUP = 50
KEPT_FINDINGS = 2_000
"""Of all groups; beyond that the first of each."""
KEPT_FINDING_TIMES = 100_000
"""Moments that one can step to."""


class RunState:
    """View, samples, timelines, findings and their circumstances at one position of a run.

    Threading: one owner at a time. Holds no file and no thread, and can be pickled: a copy reads on from the same position.
    """

    def __init__(self) -> None:
        self._fold = RunFold()
        self._timelines = Timelines()
        self._samples = Samples()
        self._collector = CircumstanceCollector(self._fold.snapshot)
        self._circumstances: tuple[int, Mapping[str, Circumstances]] = (0, {})
        self._findings: dict[str, list[Finding]] = {}
        self._findings_kept = self._findings_total = 0
        self.finding_times: array[int] = array("q")
        """When each finding was made, in nanoseconds."""
        self.seq = self.begin_ns = self.reached_ns = self.frame_ns = 0
        """Last record; time of the first; latest time of any record or frame; time of the last frame."""

    def apply(self, items: Iterable[Record | Frame]) -> None:
        """Take what comes next, in time."""
        fold, timelines, samples, collector = self._fold, self._timelines, self._samples, self._collector
        for item in items:
            self.reached_ns = max(self.reached_ns, item.at_ns)
            if isinstance(item, Frame):
                fold.apply_frame(item)
                samples.apply_frame(item)
                self.frame_ns = item.at_ns
                continue
            self.seq, self.begin_ns = item.seq, self.begin_ns or item.at_ns
            fold.apply(item)
            timelines.apply(item)
            samples.apply(item)
            collector.apply(item)
            if isinstance(item.event, Finding):
                self._found(item.event, item.at_ns)

    def view(self) -> RunView:
        """The same object until something was applied."""
        return self._fold.view(force=True)

    @property
    def samples(self) -> Sequence[Sample]:
        return self._samples.all

    def timeline(self, client: str) -> Sequence[TimelineRow]:
        """The newest first."""
        return self._timelines.of(client)

    def snapshots(self, client: str) -> list[SnapshotView]:
        """The newest first, at most 1,000."""
        return self._fold.snapshots(owner=client)

    def findings(self, group: str) -> Sequence[Finding]:
        """The first ``KEPT_OF_GROUP`` of a group."""
        return tuple(self._findings.get(group, ()))

    def circumstances(self, group: str) -> Circumstances | None:
        """Around the first finding of a group."""
        if self._circumstances[0] != self._findings_total:
            self._circumstances = self._findings_total, self._collector.by_group()
        return self._circumstances[1].get(group)

    def _found(self, event: Finding, at_ns: int) -> None:
        self._findings_total += 1
        if len(self.finding_times) < KEPT_FINDING_TIMES:
            self.finding_times.append(at_ns)
        # Named as the fold names them, which is what a screen asks for.
        group = event.group if event.group in self._findings or len(self._findings) < KEPT else FURTHER_GROUPS
        kept = self._findings.setdefault(group, [])
        if not kept or (len(kept) < KEPT_OF_GROUP and self._findings_kept < KEPT_FINDINGS):
            kept.append(event)
            self._findings_kept += 1
