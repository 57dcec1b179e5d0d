"""Commands of a program: run to their end under the caller's deadline, judged by the outcome table, counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from seatrial.children import Children, Completed
from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.targets.programs.outcomes import OutcomeTable
from seatrial.targets.programs.program import Found

T = TypeVar("T")
_HIDDEN = "***"


def decoded(done: Completed, kind: type[T], *, operation: str, where: str) -> T:
    """The JSON document that it printed. ``OperationError(protocol)``, UNKNOWN, where it printed no such thing, or more than is kept."""
    try:
        if done.truncated:
            raise msgspec.DecodeError("there is more of it than is kept")
        return msgspec.json.decode(done.stdout, type=kind)
    except msgspec.MsgspecError as error:
        raise OperationError(f"{operation}: unreadable output: {error}", cause="protocol", where=where) from error


class Tally:
    """How many commands were started, by operation. Threading: any thread; the lock guards the counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: Counter[str] = Counter()

    def count(self, operation: str) -> None:
        with self._lock:
            self._started[operation] += 1

    def started(self) -> Counter[str]:
        with self._lock:
            return self._started.copy()


STARTED = Tally()
"""Of this process; ``make bench`` lists it."""


class Commands:
    """One program with one environment: a client's, or the server side's.

    Threading: any thread; immutable. Output goes to nameless files in ``scratch``.
    """

    def __init__(
        self,
        found: Found,
        table: OutcomeTable,
        children: Children,
        *,
        scratch: Path,
        env: Mapping[str, str],
        without: Sequence[str] = (),
        prefix: Sequence[str] = (),
        hopeless: Callable[[str, str], bool] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        """``env`` is added to what it inherits, less the variables that begin with one of ``without`` (``RESTIC_``: the user's own settings
        are none of a trial's business). ``prefix`` are arguments in front of every command's. ``hopeless`` gets an operation and what its
        command has said on stderr: once it says True, the command is ended (``Children.run``). ``secrets`` are taken out of
        what it says on stderr, which comes to stand in journals and logs."""
        self.found, self._table, self._children = found, table, children
        self._scratch, self._env, self._without, self._prefix = scratch, dict(env), tuple(without), tuple(prefix)
        self._hopeless, self._secrets = hopeless, tuple(filter(None, secrets))

    def run(
        self, ctx: Context, operation: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Completed:
        """``prefix`` and ``arguments``; returns when it has ended well. Raises ``OperationError`` by the table otherwise,
        ``CancelledError`` where the context was over before it began (and so nothing happened)."""
        done = self.attempt(ctx, operation, *arguments, cwd=cwd, env=env)
        if (error := self.error_of(operation, done)) is not None:
            raise error
        return done

    def error_of(self, operation: str, done: Completed) -> OperationError | None:
        """What the table makes of an end; None where it is OK."""
        return self._table.error_of(operation, done, self.found.numbers, where=self.found.path.name)

    def attempt(
        self, ctx: Context, operation: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Completed:
        """The same, unjudged: for commands whose exit code is part of their answer."""
        ctx.check()
        STARTED.count(operation)
        hopeless = self._hopeless
        done = self._children.run(
            [str(self.found.path), *self._prefix, *arguments],
            scratch=self._scratch,
            env=self._env | dict(env or {}),
            cwd=cwd,
            ctx=ctx,
            without=self._without,
            hopeless=(lambda said: hopeless(operation, said)) if hopeless is not None else None,
        )
        return self._without_secrets(done)

    def _without_secrets(self, done: Completed) -> Completed:
        stderr = done.stderr
        for secret in self._secrets:
            stderr = stderr.replace(secret, _HIDDEN)
        return done if stderr == done.stderr else replace(done, stderr=stderr)
