"""The outcome table of a program: what is known of a command from its exit code and its words, by version.

FAILED is a promise that the command changed nothing that anybody can see. A command that we ended, and one that no row knows, is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.children import Completed
from seatrial.errors import NoSpaceError, OperationError
from seatrial.targets.programs.program import Version
from seatrial.verdicts import Outcome, exit_status

_SAID_LINES, _SAID_CHARACTERS = 5, 600
ANY: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table."""

    operations: frozenset[str] = ANY
    """``create``, ``restore``, ``delete``, ``list``, ``connect``, ``authorize``, ``gc``, ``verify``; empty for every one."""
    code: int | None = None
    """Exit code, negative for a signal; None for any but 0."""
    given_up: bool = False
    """For commands that were ended because of what they had said, whatever their exit code then was; other rows do not fit these."""
    text: str = ""
    """Regular expression that its output (stderr, then stdout) must hold; empty for any."""
    since: Version = ()
    before: Version = ()
    """Versions for which it holds, the second one excluded; empty for all."""
    outcome: Outcome
    cause: str
    """The stable word by which failures are grouped; ``no-space`` makes a ``NoSpaceError``."""
    recognised: str
    """By what, in words for the docs."""

    def fits(self, operation: str, done: Completed, version: Version) -> bool:
        return (
            (not self.operations or operation in self.operations)
            and done.given_up == self.given_up
            and (done.given_up or (done.returncode == self.code if self.code is not None else done.returncode != 0))
            and self.since <= version
            and (not self.before or version < self.before)
            and (not self.text or re.search(self.text, f"{done.stderr}\n{done.stdout}") is not None)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeTable:
    """Rows in order: the first that fits decides."""

    rows: Sequence[Row]

    def row_for(self, operation: str, done: Completed, version: Version) -> Row | None:
        return next((row for row in self.rows if row.fits(operation, done, version)), None)

    def error_of(self, operation: str, done: Completed, version: Version, *, where: str) -> OperationError | None:
        """None where it is OK: exit code 0 or a row that says so. ``where`` names the program in the error."""
        if done.timed_out or done.cancelled:  # it may exit 0 with half of its work done
            cause = "timeout" if done.timed_out else "cancelled"
            return OperationError(f"{operation}: ended by us, {cause}{_said(done)}", cause=cause, outcome=Outcome.UNKNOWN, where=where)
        row = self.row_for(operation, done, version)
        if row is None:
            if done.returncode == 0:
                return None
            how, cause = exit_status(done.returncode), "killed" if done.returncode < 0 else f"exit-{done.returncode}"
            return OperationError(f"{operation}: {how}{_said(done)}", cause=cause, outcome=Outcome.UNKNOWN, where=where)
        if row.outcome is Outcome.OK:
            return None
        if row.cause == "no-space":
            return NoSpaceError(f"{operation}{_said(done)}", where=where, outcome=row.outcome)
        return OperationError(f"{operation}: {row.cause}{_said(done)}", cause=row.cause, outcome=row.outcome, where=where)


def _said(done: Completed) -> str:
    """The last lines of its errors, else of its output."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_SAID_LINES:]
    return (": " + "\n".join(lines)[-_SAID_CHARACTERS:]) if lines else ""
