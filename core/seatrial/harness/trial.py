"""The trial: setup, chaos, heal, quiesce, verify, report. ``seatrial run`` is this, and nothing else is needed for a verdict."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from seatrial.alarms import Alarms
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import Preset
from seatrial.context import CancelToken, Context, new_client_context, new_client_contexts
from seatrial.engine.plan import Plan
from seatrial.engine.workers import run_clients
from seatrial.errors import CancelledError, HarnessError, OperationError, SeatrialError, TargetError
from seatrial.harness.chaos import Chaos
from seatrial.harness.control import ControlSocket
from seatrial.harness.harness import HarnessSettings, TestHarness
from seatrial.harness.phases import Phases
from seatrial.harness.run_history import RunHistory
from seatrial.harness.steering import Steering
from seatrial.harness.verify import prove
from seatrial.harness.watching import Watching
from seatrial.history.events import Record, RunEnded, ServerEvent, Steer
from seatrial.history.judge import judge
from seatrial.history.view import RunView
from seatrial.resources import refusal_of
from seatrial.targets.protocols import Disturbs, Target
from seatrial.verdicts import PRECEDENCE, ExitCode, Verdict, worst_exit_code

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """What a trial is asked for."""

    preset_name: str
    preset: Preset
    seed: int
    runs_dir: Path
    repo_path_prefix: Path | None = None
    fail_fast: bool = False
    target: Target | None = None
    """None for the registered one that the preset names."""
    command: tuple[str, ...] = ()
    """Runs the same plan again."""
    before_verify: Callable[[TestHarness], object] | None = None
    """Called when nobody acts any more; for planting a defect that the verify phase must catch."""


class Trial:
    """One run from beginning to end.

    Threading: ``run`` by one thread, once; ``stop``, ``view`` and ``subscribe`` from any. ``_lock`` guards what ``stop`` shares with it.
    """

    def __init__(self, request: TrialRequest, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._request, self._clock = request, clock
        self._settings = HarnessSettings(
            runs_dir=request.runs_dir,
            repo_path_prefix=request.repo_path_prefix,
            preset=request.preset,
            preset_name=request.preset_name,
            seed=request.seed,
            target=request.target,
            command=request.command,
        )
        self._cancel = CancelToken()
        self._subscribers: list[Callable[[Record], None]] = []
        self._history: RunHistory | None = None
        self._lock = threading.Lock()
        self._chaos: Chaos | None = None
        self._stop_reason = ""
        self._interrupted = False
        self._unsaid: list[Steer] = []
        self._server_died = ""
        self._disk_full = False

    # -- from any thread

    @property
    def directory(self) -> Path | None:
        """The run directory, once ``run`` has made it."""
        return self._history.directory if self._history else None

    def subscribe(self, callback: Callable[[Record], None]) -> None:
        """Call with every record, in order, on the thread that writes it: be quick. Before ``run``."""
        self._subscribers.append(callback)

    def view(self) -> RunView:
        """The run as it is now; empty before it has begun."""
        return self._history.view() if self._history else RunView()

    def stop(self, *, now: bool, reason: str, interrupted: bool = False, by: str = "") -> None:
        """End early. ``now=False``: no new actions, then heal, verify within the budget, report. ``now=True``: drop everything.

        ``interrupted`` says that a signal asked for it, which the exit code then tells; ``by`` who steered, which the journal does.
        """
        if by:
            self._say(Steer(command="stop-now" if now else "stop", argument=reason, by=by))
        with self._lock:
            self._stop_reason = self._stop_reason or reason
            self._interrupted |= interrupted
            chaos = self._chaos
        if chaos is not None:
            chaos.end()
        if now:
            self._cancel.cancel(reason)

    def _say(self, steer: Steer) -> None:
        with self._lock:
            history = self._history
            if history is None:
                self._unsaid.append(steer)  # the journal has yet to begin
                return
        with suppress(HarnessError):  # it has had its last record meanwhile
            history.emit(steer)

    # -- the run

    def run(self) -> ExitCode:
        """All phases. An error that keeps the run from being carried through is raised after it is in the journal."""
        plan = self._settings.plan()
        with self._settings.begin(plan, self._clock) as history, closing(Alarms(self._clock)) as alarms:
            with self._lock:
                self._history, unsaid = history, self._unsaid
            for subscriber in self._subscribers:
                history.journal.subscribe(subscriber)
            history.journal.subscribe(lambda record: self._notice(record, history, alarms))
            for steer in unsaid:
                history.emit(steer)
            try:
                self._carry_through(history, plan, alarms)
            except BaseException as raised:
                error = _one_of(raised)
                if not isinstance(error, SeatrialError):
                    self._end(history, HarnessError(f"{type(error).__name__}: {error}"))
                    raise
                ending = self._ending(error, history)
                self._end(history, ending)
                if ending is raised:
                    raise
                raise ending from raised
            return self._end(history, None)

    def _carry_through(self, history: RunHistory, plan: Plan, alarms: Alarms) -> None:
        ctx = new_client_context(Context(cancel=self._cancel, clock=self._clock))
        contexts = new_client_contexts(ctx, plan.preset.clients)
        phases = Phases(history.emit, history.server_log_offset)
        with ExitStack() as undo:
            with phases.of("setup"):
                harness = TestHarness(ctx, self._settings, history=history, plan=plan, clock=self._clock)
                undo.callback(harness.cleanup, ctx)
                undo.enter_context(Watching(harness))
                steering = undo.enter_context(closing(Steering(harness, ctx, self.stop, lambda: self._chaos)))
                control = undo.enter_context(closing(ControlSocket(history.directory, steering.handlers(), children=harness.children)))
                control.start()
                run_clients(contexts, harness.engine.join)
                harness.log_storage_stats("before")
            contexts, unexpected = self._disturb(harness, contexts, phases, alarms)
            prove(harness, ctx, contexts, phases, self._request.before_verify)
            with phases.of("report"):
                run_clients(contexts, harness.engine.leave)
            if unexpected is not None:
                raise unexpected

    def _disturb(
        self, harness: TestHarness, contexts: Sequence[Context], phases: Phases, alarms: Alarms
    ) -> tuple[list[Context], Exception | None]:
        """The clients that are there at its end, and what ended it early: an error of ours, after which what is stored can still be
        verified. After one that says that the server or this machine cannot go on, a verification would blame the wrong one."""
        duration_s = harness.plan.preset.duration_s
        chaos = Chaos(harness.engine, clock=self._clock, fail_fast=self._request.fail_fast)
        with self._lock:
            self._chaos = chaos
            if self._stop_reason:
                chaos.end()
        with phases.of("chaos", planned_s=duration_s):
            forget = alarms.after(duration_s, chaos.end) if duration_s else lambda: None
            if isinstance(harness.server, Disturbs):
                harness.server.begin_disturbing()
            unexpected, said = None, ""
            try:
                chaos.run(contexts)
            except Exception as raised:
                error = _one_of(raised)
                if isinstance(error, SeatrialError):
                    raise
                unexpected, said = raised, f"a client met an error of seatrial's own ({type(error).__name__}: {error})"
                said += ": the disturbances end early, what is stored is still verified"
                _log.error("%s", said)
            forget()
            self._cancel.check()
        with phases.of("heal", detail=said):
            if isinstance(harness.server, Disturbs):
                harness.server.heal(contexts[0])
        return chaos.members.present(), unexpected

    def _notice(self, record: Record, history: RunHistory, alarms: Alarms) -> None:
        """A server that dies, or a disk too full for the journal, ends the run: whatever went on would only wait, or be forgotten."""
        if isinstance(record.event, ServerEvent) and record.event.state == "died":
            self._server_died = record.event.detail or "it gave no reason"
            self._drop(alarms, "the server died")
        elif history.journal.ballast_released and not self._disk_full:
            self._disk_full = True
            self._drop(alarms, "the disk is full")

    def _drop(self, alarms: Alarms, reason: str) -> None:
        # Not here: this thread holds the journal's lock, and cancelling wakes threads that may want it.
        alarms.after(0, lambda: self.stop(now=True, reason=reason))

    def _ending(self, error: SeatrialError, history: RunHistory) -> SeatrialError:
        """What the run ends with: a cancelled or failed operation is not the cause where the server's death or a full disk was."""
        if isinstance(error, TargetError) and not isinstance(error, OperationError):
            return error
        if self._disk_full:
            return HarnessError(
                "the disk is full, and nothing more can be written into the journal",
                where=str(history.directory),
                remedy="make room, or choose another --runs-dir; everything up to here is kept",
            )
        if self._server_died:
            return TargetError(
                f"the server died in the middle of the run; the last lines of its log:\n{self._server_died}",
                remedy=f"see {history.server_log}",
            )
        if self._cancel.cancelled and isinstance(error, OperationError):
            return CancelledError(self._cancel.reason)  # what a command said when we ended it
        return error

    def _end(self, history: RunHistory, error: SeatrialError | None) -> ExitCode:
        """Write the last event; returns how the command ends."""
        judgement = judge(history.view(force=True))
        codes = [judgement.exit_code]
        if error is not None:
            codes.append(error.exit_code)
        if self._interrupted:
            codes.append(ExitCode.INTERRUPTED)
        code = worst_exit_code(codes)
        reason = str(error) if error is not None else self._stop_reason or "; ".join(judgement.reasons)
        aborted = isinstance(error, CancelledError)
        # What could not be carried through has not passed, whatever it had verified by then.
        verdict = judgement.verdict if error is None else Verdict.worst((judgement.verdict, Verdict.INCONCLUSIVE))
        history.emit(RunEnded(verdict=verdict, exit_code=int(code), reason=reason, aborted=aborted))
        return code


def _one_of(error: BaseException) -> BaseException:
    """Of errors that several clients have met at the same time the gravest; what the system refuses as an error of ours."""
    if isinstance(error, OSError):
        return refusal_of(error) or error
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_one_of(each) for each in error.exceptions]
    known = [leaf for leaf in leaves if isinstance(leaf, SeatrialError)]
    if len(known) < len(leaves):
        return error
    return min(known, key=lambda each: PRECEDENCE.index(each.exit_code))
