"""The closed sets every layer speaks: outcomes of operations, verdicts of checks, exit codes of runs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from signal import Signals


class Outcome(str, Enum):
    """What is known of an operation once its call has returned."""

    OK = "ok"
    """It happened."""
    FAILED = "failed"
    """It certainly did not happen."""
    UNKNOWN = "unknown"
    """It may have happened; it stays concurrent with all that follows until it is observed."""


class Verdict(IntEnum):
    """What a check says. Composing checks is taking the maximum."""

    PASS = 0
    INCONCLUSIVE = 1
    FAIL = 2

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The maximum, PASS for none."""
        return max(verdicts, default=cls.PASS)


class ExitCode(IntEnum):
    """How the command ends. Precedence where several apply: 130 > 4 > 1 > 3 > 0; 2 ends before a run begins."""

    PASS = 0
    ROBUSTNESS_FAILURE = 1
    USAGE = 2
    INCONCLUSIVE = 3
    BROKEN = 4
    INTERRUPTED = 130


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.BROKEN,
    ExitCode.USAGE,
    ExitCode.ROBUSTNESS_FAILURE,
    ExitCode.INCONCLUSIVE,
    ExitCode.PASS,
)
"""Gravest first."""


def exit_status(returncode: int) -> str:
    """How a process ended, numbered as ``subprocess`` does it: ``exit code 3``, ``signal 9 (SIGKILL)``."""
    if returncode >= 0:
        return f"exit code {returncode}"
    return f"signal {-returncode}" + (f" ({Signals(-returncode).name})" if -returncode in set(Signals) else "")


def worst_exit_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that wins by precedence, PASS for none."""
    seen = set(codes)
    return next((code for code in PRECEDENCE if code in seen), ExitCode.PASS)
