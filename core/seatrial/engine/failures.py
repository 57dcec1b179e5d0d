"""What an exception says about the operation it ended."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.checker.mismatch import MismatchError
from seatrial.engine.turn import Done
from seatrial.errors import CancelledError, DeadlineExceededError, OperationError, SeatrialError
from seatrial.history.events import ErrorInfo
from seatrial.verdicts import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The part of a ``Result`` that an exception decides."""

    outcome: Outcome
    error: ErrorInfo
    done: Done = Done()


def classify(error: Exception, *, mutates: bool) -> Failure:
    """Outcome and cause of an action that raised.

    Only the target knows that an operation certainly did not happen. Whatever else ends a mutating action (a cancellation, a
    defect of ours) leaves it UNKNOWN; an action that changes nothing has FAILED.
    """
    if isinstance(error, MismatchError):
        # The restore itself went well: its content is what is wrong.
        return Failure(
            outcome=Outcome.OK,
            error=ErrorInfo(cause="mismatch", message=str(error)),
            done=Done(snapshot=error.snapshot_id, equal=False),
        )
    unsure = Outcome.UNKNOWN if mutates else Outcome.FAILED
    if isinstance(error, OperationError):
        outcome = error.outcome if mutates else Outcome.FAILED
        return Failure(outcome=outcome, error=ErrorInfo(cause=error.cause, message=str(error), remedy=error.remedy))
    if isinstance(error, CancelledError):
        cause = "timeout" if isinstance(error, DeadlineExceededError) else "cancelled"
        return Failure(outcome=unsure, error=ErrorInfo(cause=cause, message=str(error)))
    cause = "harness" if isinstance(error, SeatrialError) else "internal"
    return Failure(outcome=unsure, error=ErrorInfo(cause=cause, message=f"{type(error).__name__}: {error}"))
