"""The outcome table: what is known of an operation of the embedded target that did not return well.

FAILED is a promise that the operation did not happen and never will. Whatever the table does not know is UNKNOWN.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from seatrial.errors import NoSpaceError, OperationError
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.verdicts import Outcome

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Stage(Enum):
    """How far an operation was."""

    BEFORE = "before"
    """Nothing that anybody can see has been sent. All of connect, restore, list and check; create until its snapshot file and delete
    until its deletion are sent: packs and an index that no snapshot refers to are garbage, not a snapshot."""
    COMMIT = "commit"
    """The one request that makes the operation happen (the snapshot file's upload, its deletion) has been handed to the connection."""
    HALFWAY = "halfway"
    """A prune has begun to write or delete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    stage: Stage
    cause: Cause | None
    """None for any."""
    settled: bool | None
    """Whether the answer settles that the request did not and will not take effect; None where that does not matter."""
    outcome: Outcome
    recognised: str
    """By what, in words for the docs."""


TABLE = (
    Row(
        stage=Stage.BEFORE,
        cause=None,
        settled=None,
        outcome=Outcome.FAILED,
        recognised="any error before the snapshot file's upload or deletion was sent: a refused or lost lock, an unreachable server, "
        "401 or 403, 507, a hash that does not match, a file that is missing or cannot be read",
    ),
    Row(
        stage=Stage.COMMIT,
        cause=Cause.DENIED,
        settled=True,
        outcome=Outcome.FAILED,
        recognised="401, 403 or 405 to the first attempt, or a certificate that is not the pinned one",
    ),
    Row(stage=Stage.COMMIT, cause=Cause.NO_SPACE, settled=True, outcome=Outcome.FAILED, recognised="507 to the first attempt"),
    Row(stage=Stage.COMMIT, cause=Cause.REJECTED, settled=True, outcome=Outcome.FAILED, recognised="400, 411 or 413 to the first attempt"),
    Row(stage=Stage.COMMIT, cause=Cause.MISSING, settled=True, outcome=Outcome.FAILED, recognised="404: no such repository"),
    Row(
        stage=Stage.COMMIT,
        cause=Cause.UNREACHABLE,
        settled=True,
        outcome=Outcome.FAILED,
        recognised="every attempt to connect was refused, so that nothing was sent",
    ),
    Row(
        stage=Stage.COMMIT,
        cause=Cause.SERVER_ERROR,
        settled=True,
        outcome=Outcome.FAILED,
        recognised="408, 425 or 429 to every attempt: not read, or put off",
    ),
    Row(
        stage=Stage.COMMIT,
        cause=None,
        settled=False,
        outcome=Outcome.UNKNOWN,
        recognised="sent, and the answer lost or one of 5xx: asked for again with HEAD until the time was up, and not found there (found "
        "there is OK); it may still arrive",
    ),
    Row(
        stage=Stage.HALFWAY,
        cause=None,
        settled=None,
        outcome=Outcome.UNKNOWN,
        recognised="any error after a prune has begun: some garbage is gone, some is not, nothing that is needed is",
    ),
)


def outcome_of(stage: Stage, cause: Cause, *, settled: bool) -> Outcome:
    """The first row that fits; UNKNOWN where none does."""
    for row in TABLE:
        if row.stage is stage and row.cause in (None, cause) and row.settled in (None, settled):
            return row.outcome
    return Outcome.UNKNOWN


def as_operation_error(error: RepositoryError | OSError, stage: Stage) -> OperationError:
    """What the protocol's callers get."""
    if isinstance(error, OSError):
        where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        if error.errno in _FULL:
            outcome = outcome_of(stage, Cause.NO_SPACE, settled=stage is not Stage.COMMIT)
            return NoSpaceError(f"no space left: {error}", where=where, outcome=outcome)
        return OperationError(str(error), cause=Cause.LOCAL.value, outcome=outcome_of(stage, Cause.LOCAL, settled=False), where=where)
    outcome = outcome_of(stage, error.cause, settled=not error.maybe_applied)
    if error.cause is Cause.NO_SPACE:
        return NoSpaceError(error.what, where=error.where, outcome=outcome)
    return OperationError(error.what, cause=error.cause.value, outcome=outcome, where=error.where, remedy=error.remedy, path=error.path)


class Progression:
    """How far the operation in the body of ``translated`` is. Owner: that operation."""

    def __init__(self) -> None:
        self.stage = Stage.BEFORE


@contextlib.contextmanager
def translated() -> Iterator[Progression]:
    """Raise errors of the body as ``OperationError`` with their outcome. Cancellations pass as they are."""
    progression = Progression()
    try:
        yield progression
    except (RepositoryError, OSError) as error:
        raise as_operation_error(error, progression.stage) from error
