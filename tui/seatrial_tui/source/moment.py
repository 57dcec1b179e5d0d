"""What a pane is shown: the run at one moment and its recent past. Immutable, so any thread may hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from seatrial.history.events import Finding
from seatrial.history.view import RunView, SnapshotView
from seatrial.report.circumstances import Circumstances
from seatrial.verdicts import Outcome


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second of the run's past, for plots, growth and rates."""

    at_ns: int
    actions_per_minute: float = 0.0
    bytes_per_second: float = 0.0
    findings: int = 0
    """So far."""
    in_flight: int = 0
    waiting: int = 0
    requests: int = 0
    """Answered by the server so far, of all kinds; begins anew with each start of the server."""
    cpu_percent: Mapping[str, float] = {}
    """By role of the process, of one core."""
    rss_bytes: Mapping[str, int] = {}
    directories: Mapping[str, int] = {}
    """Bytes by path."""
    caches: Mapping[str, int] = {}
    """Bytes by path."""


class TimelineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One action of one client, or something else that befell it: then ``op`` is empty and ``action`` the kind of the event."""

    at_ns: int
    """When it began."""
    op: str = ""
    action: str = ""
    snapshot: str = ""
    outcome: Outcome | None = None
    """None while it runs, and of most events."""
    noop: bool = False
    cause: str = ""
    message: str = ""
    service_s: float = 0.0
    queue_s: float = 0.0
    bytes: int = 0
    files: int = 0


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The run at one moment. The same object as before where nothing has changed."""

    view: RunView = RunView()
    samples: Sequence[Sample] = ()
    """The oldest first; what is older than a few minutes is thinned out, what is kept is bounded."""
    live: bool = False
    """Its engine is there and writes."""
    following: bool = True
    """It goes on with the run. Else it stays at a moment that was sought, or is played."""
    now_ns: int = 0
    """Following a live run: the wall clock. Else: the moment shown, between ``begin_ns`` and ``end_ns``."""
    begin_ns: int = 0
    end_ns: int = 0
    """Of the journal so far."""
    reading: bool = False
    """What shall be shown is not read yet. While following, ``view.at_ns`` between ``begin_ns`` and ``end_ns`` says how far it has come."""
    problem: str = ""
    """What is wrong with the journal: records are missing, or it cannot be read any further; empty where all is well."""


class RunSource(Protocol):
    """One run directory, read by a thread of the source's own. All methods: any thread, none waits for the disk longer than a moment."""

    @property
    def directory(self) -> Path: ...

    def moment(self) -> Moment:
        """The run now, or at the moment that was sought."""

    def timeline(self, client: str) -> Sequence[TimelineRow]:
        """What one client did, the newest first, bounded."""

    def snapshots(self, client: str) -> Sequence[SnapshotView]:
        """The snapshots of one client, the newest first, bounded."""

    def findings(self, group: str) -> Sequence[Finding]:
        """The first findings of a group, bounded."""

    def circumstances(self, group: str) -> Circumstances | None:
        """What went on around the first finding of a group."""

    def close(self) -> None:
        """End the thread, give back the files. Idempotent."""
