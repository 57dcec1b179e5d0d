"""Children: see the helper's work; this is the agreed surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that has ended."""

    returncode: int
    """Negative for a signal, as in ``subprocess``."""
    stdout: str
    stderr: str
    timed_out: bool = False


class Child:
    """One process in a session of its own."""

    argv: Sequence[str]
    pid: int
    stdout: Path
    stderr: Path

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        raise NotImplementedError

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Block until it has ended."""
        raise NotImplementedError

    def terminate(self, grace_s: float = 5.0) -> int:
        """TERM to the group, KILL after the grace; returns the exit code."""
        raise NotImplementedError

    def kill(self) -> int:
        """KILL the group now."""
        raise NotImplementedError


class Children:
    """All processes of a run."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        stdout: Path,
        stderr: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        deadline_s: float | None = None,
        on_exit: Callable[[Child], None] | None = None,
    ) -> Child:
        raise NotImplementedError

    def run(
        self,
        argv: Sequence[str],
        *,
        scratch: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        deadline_s: float | None = None,
    ) -> Completed:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
