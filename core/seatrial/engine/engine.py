"""The engine: one action at a time for each client, from the draw to the result in the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seatrial.clock import Clock
from seatrial.config.model import ActionName, ActionOptions, Preset
from seatrial.context import Context, unwrap_context
from seatrial.engine.actions import ACTIONS, Action
from seatrial.engine.clients import ClientSlot, ClientSlots
from seatrial.engine.failures import Failure, classify
from seatrial.engine.gate import Gate
from seatrial.engine.plan import Plan, pick_action, weights_of
from seatrial.engine.turn import Done, Scene, Turn
from seatrial.errors import CancelledError, DeadlineExceededError, NoOp, NoSpaceError, OperationError, SeatrialError
from seatrial.history.events import ClientJoined, ClientLeft, Recovered, Result
from seatrial.history.view import RunView
from seatrial.verdicts import Outcome

WRITES = frozenset(
    {ActionName.WRITE, ActionName.DELETE_SUBDIRECTORY, ActionName.DELETE_FILES, ActionName.RESTORE_INTO_DATA, ActionName.REMOVE_CLIENT}
)
"""Actions after which a client's data directory is not what its last snapshot holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOut:
    """What ``exec_action`` gives back."""

    op: str
    """Empty where nothing was begun."""
    noop: bool = False
    not_run: str = ""
    """Why this server cannot be asked for it; empty where it can."""
    done: Done = Done()

    @property
    def snapshot(self) -> str:
        """The snapshot made, restored or deleted; empty for none."""
        return self.done.snapshot


class Engine:
    """Executes actions.

    Threading: any number of threads; the actions of one client follow one another. Nothing is shared between clients but the
    gate, the ledger and the journal, which guard themselves.
    """

    def __init__(self, plan: Plan, scene: Scene, gate: Gate, view: Callable[[], RunView], clock: Clock) -> None:
        self.plan, self.scene, self.gate = plan, scene, gate
        self._view, self._clock = view, clock
        self.clients = ClientSlots(clock)

    @property
    def preset(self) -> Preset:
        return self.plan.preset

    def statistics(self) -> RunView:
        """Counts, percentiles, errors, times, per action and client, of this run. Cumulative ones: ``scene.ledger.cumulative()``."""
        return self._view()

    def join(self, ctx: Context) -> ClientSlot:
        """Make the client known, its connection and its data directory ready. Idempotent."""
        client = unwrap_context(ctx)
        if (slot := self.clients.of(client.id)) is not None:
            return slot
        directory = self.scene.snapshotter.connect(ctx)
        data_directory = self.scene.writer.data_directory(ctx)
        slot, _ = self.clients.add(client.id, ctx)
        slot.program = self.scene.snapshotter.program(ctx)
        self.scene.emit(
            ClientJoined(
                client=client.id,
                index=slot.index,
                data_directory=str(data_directory),
                cache_directory=str(directory),
                program=slot.program,
            )
        )
        slot.enter("idle")
        return slot

    def _operator(self, ctx: Context) -> ClientSlot:
        """Who acts on the server needs no connection and no data directory."""
        client = unwrap_context(ctx)
        slot, is_new = self.clients.add(client.id, ctx)
        if is_new:
            self.scene.emit(ClientJoined(client=client.id, index=slot.index))
        return slot

    def leave(self, ctx: Context) -> None:
        """Disconnect the client and remove what it keeps on this machine; its snapshots stay."""
        slot = self.clients.of(unwrap_context(ctx).id)
        if slot is not None:
            slot.enter("leaving")
            slot.wrote_since_snapshot = False
        self.scene.snapshotter.cleanup_client(ctx)
        self.scene.writer.cleanup(ctx)
        if slot is not None:
            slot.enter("gone")
            self.scene.emit(ClientLeft(client=unwrap_context(ctx).id))

    def exec_action(
        self, ctx: Context, key: ActionName | str, options: ActionOptions | None = None, *, times: int | None = None
    ) -> ActionOut:
        """Do one action ``times`` times, without that ``repeat_action`` of them, until the first error.

        Raises what went wrong after it is in the journal: ``OperationError`` (FAILED or UNKNOWN), ``MismatchError``,
        ``CancelledError``. Nothing to act on is no error: ``ActionOut.noop``; neither is what this server cannot do, of which the
        journal was told at the beginning: ``ActionOut.not_run``.
        """
        action = ACTIONS[ActionName(key)]
        if why := self.scene.absent.get(action.name):
            return ActionOut(op="", not_run=why)
        slot = self._operator(ctx) if action.on_the_server else self.join(ctx)
        out = ActionOut(op="")
        with slot.busy:
            for _ in range(times or self.preset.repeat_action):
                out = self._take_turn(ctx, slot, action, options or self.preset.options)
        return out

    def random_action(self, ctx: Context, options: ActionOptions | None = None) -> ActionOut:
        """One weighted pick of the preset's mix, then recovery from a full disk."""
        slot = self.join(ctx)
        weights = {name: weight for name, weight in weights_of(self.preset).items() if name not in self.scene.absent}
        key = pick_action(weights, self.plan.draws(slot.index, slot.actions).action)
        try:
            return self.exec_action(ctx, key, options)
        except NoSpaceError as error:
            if not self.check_err_recovery(ctx, error):
                raise
            return ActionOut(op="")

    def check_err_recovery(self, ctx: Context, error: SeatrialError) -> bool:
        """After ``NoSpaceError`` (unless ``throw_no_space_error``): empty the client's data directory and restore a random live
        snapshot into it; no live one is fine. Returns whether it recovered."""
        if not isinstance(error, NoSpaceError) or self.preset.throw_no_space_error:
            return False
        self.scene.writer.delete_everything(ctx)
        restored = ""
        try:
            restored = self.exec_action(ctx, ActionName.RESTORE_INTO_DATA).snapshot
        except NoSpaceError:
            self.scene.writer.delete_everything(ctx)
        self.scene.emit(Recovered(client=unwrap_context(ctx).id, snapshot=restored))
        return True

    def shutdown(self, contexts: Sequence[Context]) -> None:
        """One more snapshot of every client that has written since its last one."""
        for ctx in contexts:
            slot = self.clients.of(unwrap_context(ctx).id)
            if slot is not None and slot.wrote_since_snapshot:
                self.exec_action(ctx, ActionName.SNAPSHOT, times=1)

    def _take_turn(self, ctx: Context, slot: ClientSlot, action: Action, options: ActionOptions) -> ActionOut:
        """One passage through the gate. Caller holds ``slot.busy``."""
        number = slot.actions
        slot.actions += 1
        op = f"{slot.index}-{number}"
        slot.enter("queued", action.name.value, op)
        try:
            with self.gate.admit(ctx, alone=action.alone(self.scene, options), apart=action.apart) as queue_s:
                slot.enter("running", action.name.value, op)
                turn = Turn(
                    ctx=ctx.within(self.preset.action_timeout_s),
                    op=op,
                    action=action.name,
                    mutates=action.mutates,
                    action_index=number,
                    options=options,
                    draws=self.plan.draws(slot.index, number),
                    queue_s=queue_s,
                    emit=self.scene.emit,
                )
                return self._perform(ctx, slot, action, turn)
        finally:
            slot.enter("idle")

    def _perform(self, ctx: Context, slot: ClientSlot, action: Action, turn: Turn) -> ActionOut:
        """Run the action and write its result, whatever happens."""
        began_s = self._clock.monotonic_s()
        try:
            done = action.perform(self.scene, turn)
        except NoOp:
            self._write_result(action, turn, began_s, Done(), noop=True)
            return ActionOut(op=turn.op, noop=True)
        except Exception as raised:
            error = _whose_time_is_up(raised, ctx)
            if action.name in WRITES and turn.invoked:
                slot.wrote_since_snapshot = True  # some of it
            failure = classify(error, mutates=action.mutates and turn.invoked)
            self._write_result(action, turn, began_s, failure.done, failure=failure)
            self.scene.checker.report(
                error, action=action.name.value, op=turn.op, client=unwrap_context(turn.ctx).id, snapshot=turn.snapshot
            )
            if error is raised:
                raise
            raise error from raised
        if action.name in WRITES:
            slot.wrote_since_snapshot = True
        elif action.name is ActionName.SNAPSHOT:
            slot.wrote_since_snapshot = False
        self._write_result(action, turn, began_s, done)
        return ActionOut(op=turn.op, done=done)

    def _write_result(
        self, action: Action, turn: Turn, began_s: float, done: Done, *, noop: bool = False, failure: Failure | None = None
    ) -> None:
        self.scene.emit(
            Result(
                op=turn.op,
                client=unwrap_context(turn.ctx).id,
                action=action.name.value,
                outcome=failure.outcome if failure else Outcome.OK,
                noop=noop,
                error=failure.error if failure else None,
                options_used=done.options_used,
                snapshot=done.snapshot or turn.snapshot,
                root=done.root,
                equal=done.equal,
                listed=done.listed,
                freed_bytes=done.freed_bytes,
                files=done.files,
                bytes=done.bytes,
                service_s=self._clock.monotonic_s() - began_s,
                queue_s=turn.queue_s,
            )
        )


def _whose_time_is_up(error: Exception, ctx: Context) -> Exception:
    """An action that is slower than it may be has failed; one that its caller's budget cut short has only been cancelled."""
    # A program of the target's is ended at its deadline, and then says so as an operation that failed.
    too_late = isinstance(error, DeadlineExceededError) or (isinstance(error, OperationError) and error.cause == "timeout")
    if too_late and ctx.expired:
        return CancelledError("the time allotted to it is over")
    return error
