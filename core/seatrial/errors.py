"""One error root. Each class owns its exit code and says who can mend it.

A text says what happened, where, and what to do: ``what``, ``where`` (file, key, path or address) and ``remedy``.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from seatrial.verdicts import ExitCode, Outcome


class Mender(Enum):
    """Who can do something about an error."""

    USER = "user"
    TARGET = "target"
    US = "seatrial"


class SeatrialError(Exception):
    """Root of all errors that seatrial raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.BROKEN
    mender: ClassVar[Mender] = Mender.US

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.remedy:
            parts.append(f"({self.remedy})")
        # After the last lines of a log the remedy would read as one more of them.
        return ("\n" if "\n" in self.what else " ").join(parts)


class UsageError(SeatrialError):
    """The command line, the configuration or the environment asks for something that cannot be done."""

    exit_code = ExitCode.USAGE
    mender = Mender.USER


class ClientNotFoundError(UsageError):
    """A context without a client was given where one is needed."""

    def __init__(self) -> None:
        super().__init__("key not found", remedy="pass a context made by new_client_context()")


class HarnessError(SeatrialError):
    """Seatrial or the machine it runs on is at fault; nothing is said about the target."""


class RobustnessError(SeatrialError):
    """What came back is not what went in."""

    exit_code = ExitCode.ROBUSTNESS_FAILURE
    mender = Mender.TARGET


class InconclusiveError(SeatrialError):
    """What was seen does not suffice for a verdict."""

    exit_code = ExitCode.INCONCLUSIVE


class TargetError(SeatrialError):
    """The target does not work as a whole: its server does not come up, dies, or cannot be set up."""

    mender = Mender.TARGET


class NoOp(SeatrialError):
    """There was nothing to act on (no live snapshot, no such directory): counted, not an error."""


class CancelledError(SeatrialError):
    """The context was cancelled."""

    exit_code = ExitCode.INTERRUPTED
    mender = Mender.USER


class DeadlineExceededError(CancelledError):
    """The context's deadline has passed: the operation took longer than it may."""


class OperationError(TargetError):
    """One operation of a client did not return well.

    ``outcome`` is UNKNOWN unless the target's outcome table knows that the operation cannot have happened. ``cause`` is a short
    stable word (``contended``, ``no-space``, ``denied``, ``unreachable``, ``corrupt``, ...) by which failures are grouped. ``path`` is the
    file of the snapshot that it was about, relative to the snapshot's root, where the target can tell.
    """

    def __init__(
        self,
        what: str,
        *,
        cause: str,
        outcome: Outcome = Outcome.UNKNOWN,
        where: str = "",
        remedy: str = "",
        path: str = "",
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.cause, self.outcome, self.path = cause, outcome, path


class NoSpaceError(OperationError):
    """No space left, on our side or on the server's; the engine recovers from it."""

    def __init__(self, what: str, *, where: str = "", outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(what, cause="no-space", outcome=outcome, where=where)
