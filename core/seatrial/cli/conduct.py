"""One run from the command's side: the trial works on a thread of its own; the main thread tells what its journal says and passes
signals on.

Why not the other way round: Python runs signal handlers on the main thread, in the middle of whatever it does there. Were that the
trial, a handler could find its locks held.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from seatrial.cli.lines import Narrator
from seatrial.cli.tether import Tether
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import SeatrialError
from seatrial.history.journal import JournalFollower, JournalGap, follow
from seatrial.history.view import RunView
from seatrial.report import Summary, summarise, write_all
from seatrial.verdicts import ExitCode, worst_exit_code

POLL_S = 0.2
"""How late a line may be."""
BEGIN_POLL_S = 0.02
"""Until there is a run directory: a dashboard may be waiting for it."""
ABORT_S = 20.0
"""After the second signal the run has this long to kill its children and to journal that; then we go without it."""
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runnable(Protocol):
    """What is conducted: ``seatrial.harness.trial.Trial``."""

    @property
    def directory(self) -> Path | None:
        """The run directory, once there is one."""

    def view(self) -> RunView:
        """The run as it is; any thread."""

    def run(self) -> ExitCode:
        """All phases; raises ``SeatrialError`` when it cannot be carried through."""

    def stop(self, *, now: bool, reason: str, interrupted: bool = False, by: str = "") -> None:
        """End it: cleanly, or at once; any thread, returns soon. ``by`` names who steered, for the journal."""


class _Done:
    """The trial's thread is at its end."""


class _Vanished:
    """The dashboard that we were tied to is gone without a word."""


_Message = signal.Signals | _Done | _Vanished | str
"""The last is a warning that somebody logged."""
WAITING_MAX = 1000
"""Warnings that wait to be told; more than these say nothing new."""


def _leave(code: ExitCode) -> NoReturn:
    """Without cleaning up: the guard process kills what we leave behind."""
    os._exit(code)


def _pass_over(_gap: JournalGap) -> None:
    """The commentary goes on; the report names the gap."""


class Conductor:
    """Runs one trial, tied to a dashboard where there is a ``tether``.

    Owned by the main thread; ``_inbox`` is what signal handlers, the trial's thread and the tether's may touch.
    """

    def __init__(
        self,
        trial: Runnable,
        narrator: Narrator,
        *,
        tether: Tether | None = None,
        clock: Clock = SYSTEM_CLOCK,
        leave: Callable[[ExitCode], None] = _leave,
    ) -> None:
        self._trial, self._narrator, self._tether, self._clock, self._leave = trial, narrator, tether, clock, leave
        # SimpleQueue.put is reentrant: a handler may interrupt a put.
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._journal: JournalFollower | None = None
        self._code: ExitCode | None = None
        self._error: BaseException | None = None
        self._stops = 0
        self._aborted_s: float | None = None

    @property
    def stopped(self) -> bool:
        """Somebody asked it to stop."""
        return self._stops > 0

    def conduct(self) -> ExitCode:
        """Run to the end, write the reports, tell the closing lines. Raises what the trial raised, after that."""
        thread = threading.Thread(target=self._work, name="trial", daemon=True)
        with _signals_to(self._inbox.put), _warnings_to(self._warn), self._tied():
            thread.start()
            try:
                while not self._next_is_done():
                    self._tell()
                thread.join()
                self._tell()
            except BaseException:
                # A defect of the commentary must not leave a run behind that nobody watches.
                self._trial.stop(now=True, reason="the command failed")
                thread.join(ABORT_S)
                raise
            finally:
                if self._journal is not None:
                    self._journal.close()
        return self._close()

    @contextmanager
    def _tied(self) -> Iterator[None]:
        if self._tether is None:
            yield
            return
        self._tether.start(lambda: self._inbox.put(_Vanished()))
        try:
            yield
        finally:
            self._tether.close()

    def _work(self) -> None:
        try:
            self._code = self._trial.run()
        except BaseException as error:  # noqa: BLE001  # carried to the main thread, which raises it
            self._error = error
        finally:
            self._inbox.put(_Done())

    def _next_is_done(self) -> bool:
        try:
            message = self._inbox.get(timeout=POLL_S if self._journal is not None else BEGIN_POLL_S)
        except queue.Empty:
            self._watch_the_end()
            return False
        if isinstance(message, signal.Signals):
            self._stop(f"interrupted by {message.name}")
        elif isinstance(message, _Vanished):
            self._stop_unseen()
        elif isinstance(message, str):
            self._narrator.note(message)
        return isinstance(message, _Done)

    def _warn(self, text: str) -> None:
        if self._inbox.qsize() < WAITING_MAX:
            self._inbox.put(text)

    def _watch_the_end(self) -> None:
        if self._narrator.lost and not self._stops and self._tether is None:
            self._stop("the output takes no more")
        if self._aborted_s is not None and self._clock.monotonic_s() - self._aborted_s > ABORT_S:
            self._leave(ExitCode.INTERRUPTED)

    def _stop_unseen(self) -> None:
        if self._stops:
            return  # whoever steers may look away
        self._stops = 1
        self._trial.stop(now=False, reason="the dashboard has vanished without detaching", by="dashboard")

    def _stop(self, reason: str) -> None:
        self._stops += 1
        if self._stops == 1:
            self._narrator.note(f"{reason}: the run stops; once more ends it at once")
            self._trial.stop(now=False, reason=reason, interrupted=True)
        elif self._stops == 2:
            self._narrator.note(f"{reason}: the run is ended at once")
            self._aborted_s = self._clock.monotonic_s()
            self._trial.stop(now=True, reason=reason, interrupted=True)
        else:
            self._leave(ExitCode.INTERRUPTED)

    def _tell(self) -> None:
        if self._journal is None:
            directory = self._trial.directory
            if directory is None:
                return
            if self._tether is not None:
                self._tether.begun(directory)
            self._narrator.start(directory)
            self._journal = follow(directory, on_gap=_pass_over)
        while records := self._journal.poll():
            for record in records:
                self._narrator.record(record)
        self._narrator.tick(self._trial.view())

    def _close(self) -> ExitCode:
        summary = self._report()
        if summary is not None:
            self._narrator.finish(summary)
        if self._error is not None:
            raise self._error
        codes = (self._code, summary.judgement.exit_code if summary else None)
        return worst_exit_code(code for code in codes if code is not None)

    def _report(self) -> Summary | None:
        """None where the run failed before it had anything to report; of two errors the run's own is the one to show."""
        directory = self._trial.directory
        if directory is None:
            return None
        try:
            return write_all(directory)
        except SeatrialError as error:
            self._error = self._error or error
        with suppress(SeatrialError):  # the files could not be written, on a full disk for instance: the verdict is told all the same
            return summarise(directory)
        return None


@contextmanager
def _signals_to(put: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Hand the stopping signals over instead of dying of them. Elsewhere than on the main thread Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, _frame: FrameType | None) -> None:
        put(signal.Signals(number))

    before = {each: signal.signal(each, handler) for each in STOPPING}
    try:
        yield
    finally:
        for each, former in before.items():
            signal.signal(each, former)


class _Teller(logging.Handler):
    """Hands log records on as text. Threading: any thread; ``tell`` must not block."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(self.format(record))


@contextmanager
def _warnings_to(tell: Callable[[str], None]) -> Iterator[None]:
    """What the run warns of belongs into its commentary, not raw onto standard error."""
    teller = _Teller(tell)
    logging.getLogger().addHandler(teller)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(teller)
