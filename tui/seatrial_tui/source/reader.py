"""The source of everything on the screen: one run directory, read by a thread of its own, live or finished, now or at any time."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import SeatrialError
from seatrial.history.events import Finding
from seatrial.history.journal import is_running
from seatrial.history.reader import JournalGap
from seatrial.history.segments import segment_numbers
from seatrial.history.view import SnapshotView
from seatrial.report.circumstances import Circumstances
from seatrial_tui.source.checkpoints import Checkpoints
from seatrial_tui.source.cursor import Cursor
from seatrial_tui.source.moment import Moment, TimelineRow
from seatrial_tui.source.tape import last_record_ns

LOOK_S = 0.12
"""How often a run that is live, or not there yet, is looked at: a fact is shown within twice that."""
LOOK_SELDOM_S = 1.0
"""One whose engine is gone."""
BREATH_S = 0.001
"""Between two steps of a long way, so that the screen comes to its turn."""
PUBLISH_S = 0.25
"""How often a moment is made on a long way."""
JOIN_S = 5.0
FAR = 20_000
"""Records ahead from where a checkpoint is nearer than reading on."""
_SECOND_NS = 1_000_000_000


class RunReader:
    """Follows a run, or shows it at a moment that was sought or is played. Implements ``RunSource``.

    The directory need not be there yet. Begins with the end: what is live is followed, of what has ended its last moment is shown.

    Threading: any thread for all methods; none waits for the disk or for a long way through the journal: ``moment`` tells when it is
    reached. One daemon thread reads; it owns the cursors and the checkpoints. ``_lock`` guards the wishes (``_target``, ``_speed``,
    ``_closed``), ``_shown`` and what the states hold; it is held for one chunk of records, never while reading a file.
    """

    def __init__(
        self, directory: Path, clock: Clock = SYSTEM_CLOCK, *, checkpoints: Checkpoints | None = None, at_once: bool = True
    ) -> None:
        """``at_once``: read from now on. Else from ``begin`` on: a long journal would hold up a screen that is not painted yet."""
        self._directory, self._clock = directory, clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._target: int | None = None
        self._speed = 0.0
        self._aim: int | None = None
        """The target as the thread took it up: one step and what is published of it must be about the same."""
        self._problems: dict[str, None] = {}
        self._broken = False
        self._head = Cursor(directory, self._lock, self._on_gap)
        self._catching_up, self._began, self._live = True, False, False
        self._tail_ns = 0
        self._sought: Cursor | None = None
        self._coming: Cursor | None = None
        self._arrived: int | None = None
        self._checkpoints = checkpoints or Checkpoints()
        self._shown = self._head.state
        self._moment = Moment(reading=bool(segment_numbers(directory)))
        self._published_s = self._ticked_s = clock.monotonic_s()
        self._snapshots: tuple[str, dict[str, SnapshotView]] = ("", {})
        self._finding_times: tuple[int, ...] = ()
        self._thread = threading.Thread(target=self._run, name="run-reader", daemon=True)
        if at_once:
            self.begin()

    def begin(self) -> None:
        """Read. Idempotent; from the owner's thread only."""
        if self._thread.ident is None:
            self._thread.start()

    # -- what is shown

    @property
    def directory(self) -> Path:
        return self._directory

    def moment(self) -> Moment:
        """The run now, or at the moment that was sought; the same object where nothing changed. Takes no lock."""
        return self._moment

    def timeline(self, client: str) -> Sequence[TimelineRow]:
        """What one client did, the newest first; rows stay the same objects until they change."""
        with self._lock:
            return self._shown.timeline(client)

    def snapshots(self, client: str) -> Sequence[SnapshotView]:
        """The newest first, at most 1,000; rows stay the same objects until they change or another client is asked for."""
        with self._lock:
            rows = self._shown.snapshots(client)
            known = self._snapshots[1] if self._snapshots[0] == client else {}
            rows = [before if (before := known.get(row.id)) == row and before is not None else row for row in rows]
            self._snapshots = client, {row.id: row for row in rows}
            return rows

    def findings(self, group: str) -> Sequence[Finding]:
        """The first findings of a group as the view names it, bounded."""
        with self._lock:
            return self._shown.findings(group)

    def circumstances(self, group: str) -> Circumstances | None:
        """What went on around the first finding of a group."""
        with self._lock:
            return self._shown.circumstances(group)

    # -- moving in time

    @property
    def begin_ns(self) -> int:
        """The first record; 0 while there is none."""
        return self._moment.begin_ns

    @property
    def end_ns(self) -> int:
        """The last that is known of."""
        return self._moment.end_ns

    @property
    def position_ns(self) -> int:
        """Where it stands or is on the way to."""
        target = self._target
        return self._moment.end_ns if target is None else target

    @property
    def following(self) -> bool:
        """It goes on with the run; of a finished one it shows the end."""
        return self._target is None

    @property
    def playing(self) -> bool:
        return self._speed > 0

    @property
    def finding_times(self) -> tuple[int, ...]:
        """When findings were made, as far as the journal is read; ascending, bounded."""
        with self._lock:
            times = self._head.state.finding_times
            if len(times) != len(self._finding_times):
                self._finding_times = tuple(times)
            return self._finding_times

    def seek(self, at_ns: int) -> None:
        """Show this moment, within the run; playing goes on from there."""
        with self._lock:
            self._target = self._within(at_ns)
        self._wake.set()

    def play(self, speed: float = 1.0) -> None:
        """Let time pass, so many seconds of the run in one; from the start where it stands at the end of a finished run.

        A live run that is followed plays anyway: nothing happens. Having caught up with the end it is followed, a finished one stays.
        """
        with self._lock:
            if self._target is None:
                if self._moment.live:
                    return
                self._target = self._moment.begin_ns
            elif self._target >= self._moment.end_ns and not self._moment.live:
                self._target = self._moment.begin_ns
            self._speed = max(0.0, speed)
        self._wake.set()

    def pause(self) -> None:
        """Stay at the moment shown, also of a run that is followed. The run itself goes on."""
        with self._lock:
            self._speed = 0.0
            if self._target is None:
                self._target = self._within(self._moment.view.at_ns)
        self._wake.set()

    def follow(self) -> None:
        """Back to now; of a finished run to its end."""
        with self._lock:
            self._target, self._speed = None, 0.0
        self._wake.set()

    def step_finding(self, *, forward: bool) -> bool:
        """To the next or the previous finding, and stay there; False where there is none."""
        with self._lock:
            position, times = self.position_ns, self._head.state.finding_times
            index = bisect_right(times, position) if forward else bisect_left(times, position) - 1
            if not 0 <= index < len(times):
                return False
            self._target, self._speed = times[index], 0.0
        self._wake.set()
        return True

    def close(self) -> None:
        """End the thread, give back the files. Idempotent."""
        with self._lock:
            self._closed = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)

    def _within(self, at_ns: int) -> int:
        return max(self._moment.begin_ns, min(at_ns, self._moment.end_ns))

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._closed:
                self._wake.clear()
                busy = self._go_on()
                now_s = self._clock.monotonic_s()
                if not busy or now_s - self._published_s >= PUBLISH_S:
                    self._publish()
                    self._published_s = now_s
                self._clock.wait(self._wake, BREATH_S if busy else self._pause_s())
        except Exception as error:  # noqa: BLE001  (the thread's boundary: the screen says what happened instead of standing still)
            self._problems[f"the run cannot be shown any further: {type(error).__name__}: {error}"] = None
            self._moment = msgspec.structs.replace(self._moment, problem=self._problem(), reading=False)
        finally:
            for cursor in (self._head, self._sought, self._coming):
                if cursor is not None:
                    cursor.close()

    def _pause_s(self) -> float:
        return LOOK_S if self._live or not self._began or self._speed > 0 else LOOK_SELDOM_S

    def _go_on(self) -> bool:
        """One step; whether there is more to do at once."""
        busy = self._read_head()
        self._take_up_wishes()
        return self._seek_on() or busy

    def _read_head(self) -> bool:
        if not self._began:
            # Before there is a journal its lock must not be looked at: that might keep the engine from taking it.
            self._began = bool(segment_numbers(self._directory))
            self._tail_ns = last_record_ns(self._directory)
        self._live = self._began and not self._head.ended and is_running(self._directory)
        busy = not self._broken and self._step(self._head, None)
        if not self._broken:
            self._head.keep(self._checkpoints)
        self._catching_up = busy
        return busy

    def _step(self, cursor: Cursor, until_ns: int | None) -> bool:
        try:
            return cursor.step(until_ns)
        except (SeatrialError, OSError) as error:
            if cursor is self._head:
                self._broken = True
                self._problems[str(error)] = None
            return False

    def _take_up_wishes(self) -> None:
        """The target, moved on by the time that has passed where it is played."""
        now_s = self._clock.monotonic_s()
        passed_s, self._ticked_s = now_s - self._ticked_s, now_s
        end_ns = self._end_ns()
        with self._lock:
            # On a long way time stands still: what is played shall be seen.
            if self._speed and self._target is not None and self._arrived == self._target:
                self._target = min(end_ns, self._target + int(passed_s * self._speed * 1e9))
                if self._target >= end_ns:
                    self._speed = 0.0
                    self._target = None if self._live else end_ns
            self._aim = self._target

    def _seek_on(self) -> bool:
        """One step towards the target; whether there is more to do at once."""
        if self._aim is None:
            self._show(None)
            return False
        if self._aim >= self._head.state.reached_ns and not self._live and not self._catching_up:
            self._show(None)
            self._arrived = self._aim
            return False
        cursor = self._towards(self._aim)
        if self._step(cursor, self._aim):
            return True
        self._show(cursor)
        self._arrived = self._aim
        return False

    def _towards(self, aim: int) -> Cursor:
        """The cursor that can come to this moment soonest."""
        ready = [cursor for cursor in (self._sought, self._coming) if cursor is not None and cursor.state.reached_ns <= aim]
        nearest = max(ready, key=lambda cursor: cursor.state.seq, default=None)
        checkpoint = self._checkpoints.before(aim)
        if nearest is not None and (checkpoint is None or checkpoint.seq - nearest.state.seq <= FAR):
            return nearest
        if self._coming is not None:
            self._coming.close()
        self._coming = Cursor(self._directory, self._lock, self._on_gap, checkpoint)
        return self._coming

    def _show(self, cursor: Cursor | None) -> None:
        """Show a cursor that has arrived, or the head; the others are given back."""
        for other in (self._sought, self._coming):
            if other is not None and other is not cursor:
                other.close()
        self._sought, self._coming = cursor, None
        if cursor is None:
            self._arrived = None
        with self._lock:
            self._shown = cursor.state if cursor else self._head.state

    def _end_ns(self) -> int:
        return max(self._head.state.reached_ns, self._tail_ns)

    def _publish(self) -> None:
        """Make a new moment where anything differs from the last."""
        last, following = self._moment, self._aim is None
        under_way = not following and self._arrived != self._aim
        view = last.view if under_way else self._shown.view()
        samples = last.samples if under_way else self._shown.samples
        moment = Moment(
            view=view,
            samples=samples,
            live=self._live,
            following=following,
            now_ns=last.now_ns if under_way else self._now_ns(view.at_ns),
            begin_ns=self._head.state.begin_ns,
            end_ns=self._end_ns(),
            reading=under_way or (following and self._catching_up),
            problem=self._problem(),
        )
        if not _same(last, moment):
            self._moment = moment

    def _now_ns(self, at_ns: int) -> int:
        if self._aim is not None:
            return self._aim
        # Whole seconds: it moves a screen that has nothing else to show only once in each.
        return max(at_ns, self._clock.now_ns() // _SECOND_NS * _SECOND_NS) if self._live else at_ns

    def _on_gap(self, gap: JournalGap) -> None:
        if len(self._problems) < 3:
            self._problems[f"{gap.where}: {gap}"] = None

    def _problem(self) -> str:
        """Without the run's directory before the file: where there is little room the reason would have none."""
        return "; ".join(self._problems).replace(f"{self._directory}/", "")


def _same(one: Moment, other: Moment) -> bool:
    """Views and samples by identity: comparing all their rows would cost more than showing them."""
    return (
        one.view is other.view
        and one.samples is other.samples
        and (one.live, one.following, one.now_ns, one.begin_ns, one.end_ns, one.reading, one.problem)
        == (other.live, other.following, other.now_ns, other.begin_ns, other.end_ns, other.reading, other.problem)
    )
