"""What the server's side does with a repository: make it, compact it, check it, list it."""

from __future__ import annotations

import re

import msgspec

from seatrial.children import Completed
from seatrial.config.model import GcOptions
from seatrial.context import Context
from seatrial.targets.borg.command import list_archives, waiting
from seatrial.targets.borg.outcomes import TABLE
from seatrial.targets.programs.commands import Commands
from seatrial.targets.protocols import GcStats, ListedSnapshot, Verification

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_FREED = re.compile(r"compaction freed about (-?[\d.]+) ([kMGTPE]?)B repository space")
_PROBLEMS = 20
_OUTPUT_CHARACTERS = 16_000
_DAMAGED = frozenset({"corrupt", "missing-data", "exit-1", "exit-2"})
"""Causes by which ``check`` speaks of the repository: inconsistent (1), or too damaged to be looked at (2, with a traceback)."""


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``--log-json``."""

    message: str = ""
    levelname: str = ""


class Maintenance:
    """Commands on one repository, in it or over ssh. Threading: any thread; immutable."""

    def __init__(self, borg: Commands) -> None:
        self._borg = borg

    def init(self, ctx: Context) -> None:
        """Make the repository: encrypted, its key within it."""
        self._borg.run(ctx, "init", "init", "--encryption", "repokey-blake2")

    def break_locks(self, ctx: Context) -> None:
        """Take away every lock, whoever holds it."""
        self._borg.run(ctx, "unlock", "break-lock")

    def run(self, ctx: Context, *arguments: str) -> tuple[str, str]:
        done = self._borg.run(ctx, arguments[0] if arguments else "run", *arguments)
        return done.stdout, done.stderr

    def compact(self, ctx: Context, options: GcOptions) -> GcStats:
        lock_wait = waiting(options.retry_lock_s)
        done = self._borg.run(ctx, "gc", *lock_wait, "--info", "compact", "--threshold", str(options.max_unused_percent))
        freed = _FREED.search(done.stderr)
        return GcStats(freed_bytes=round(float(freed[1]) * _UNITS[freed[2]]) if freed else 0)

    def check(self, ctx: Context) -> Verification:
        """Repository, archives, and every chunk read and decrypted."""
        done = self._borg.attempt(ctx, "verify", *waiting(), "check", "--verify-data")
        error = TABLE.error_of("verify", done, self._borg.found.numbers, where=self._borg.found.path.name)
        if error is None:
            return Verification(clean=True)
        if error.cause not in _DAMAGED:
            raise error
        return Verification(clean=False, problems=_problems(done), output=done.stderr[-_OUTPUT_CHARACTERS:])

    def list(self, ctx: Context) -> list[ListedSnapshot]:
        return list_archives(ctx, self._borg)


def _problems(done: Completed) -> list[str]:
    """What it says is wrong, one line each; of a traceback its last line."""
    found = []
    for text in done.stderr.splitlines():
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.MsgspecError:
            continue
        if line.levelname in ("ERROR", "CRITICAL", "WARNING") and line.message:
            found.append(line.message.strip().splitlines()[-1])
    return found[:_PROBLEMS]
