"""Maintenance on the server's side, as commands of a process of their own: ``python -m seatrial.targets.embedded COMMAND``.

    init | prune [--max-unused-percent N] [--retry-lock-s S] | check [--read-data] | snapshots | unlock [--remove-all]

One JSON line on stdin says where (an ``Access`` of the administrator); one JSON document on stdout says what came of it; exit code 0,
or 1 with ``{"error":{"cause","outcome","message"}}``. SIGTERM and SIGINT end a command cleanly, its lock removed.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from seatrial.context import Context
from seatrial.errors import CancelledError, OperationError, SeatrialError
from seatrial.targets.embedded.client import list_snapshots
from seatrial.targets.embedded.outcomes import Progression, Stage, translated
from seatrial.targets.embedded.repository import repository as repositories
from seatrial.targets.embedded.repository.check import Check
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.locks import KnownLocks, Locker, unlock
from seatrial.targets.embedded.repository.prune import Prune
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind, Store
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import Access
from seatrial.verdicts import Outcome

CHECK_RETRY_LOCK_S = 10.0
_ACCESS_BYTES_MAX = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What a command works with."""

    ctx: Context
    store: Store
    access: Access
    options: Any
    progression: Progression

    def open(self) -> tuple[Repository, Locker]:
        repository = Repository.open(self.ctx, self.store, self.access.repository_password)
        return repository, Locker(repository, self.access.user, KnownLocks())


def _init(work: _Work) -> object:
    """Idempotent: a repository that is there and opens with the password is taken as it is."""
    if work.store.size(work.ctx, Kind.CONFIG, "") is not None:
        return {"id": work.open()[0].config.id, "created": False}
    return {"id": repositories.initialise(work.ctx, work.store, work.access.repository_password).id, "created": True}


def _prune(work: _Work) -> object:
    repository, locker = work.open()
    with locker.hold(work.ctx, exclusive=True, retry_s=work.options.retry_lock_s) as lock:
        prune = Prune(work.ctx, repository, lock, max_unused_percent=work.options.max_unused_percent)
        try:
            return prune.run()
        finally:
            work.progression.stage = Stage.HALFWAY if prune.changed else Stage.BEFORE


def _check(work: _Work) -> object:
    # Shared, so that it runs beside backups: only a prune could take away what it is reading.
    repository, locker = work.open()
    with locker.hold(work.ctx, exclusive=False, retry_s=CHECK_RETRY_LOCK_S) as lock:
        return Check(work.ctx, repository, lock).run(read_data=work.options.read_data)


def _snapshots(work: _Work) -> object:
    return list_snapshots(work.ctx, work.open()[0], None)


def _unlock(work: _Work) -> object:
    return {"removed": unlock(work.ctx, work.open()[0], KnownLocks(), remove_all=work.options.remove_all)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m seatrial.targets.embedded", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("init", help="make the repository unless it is there").set_defaults(run=_init)
    prune = commands.add_parser("prune", help="collect garbage")
    prune.add_argument("--max-unused-percent", type=int, choices=range(101), default=0, metavar="N", help="unused bytes left in packs")
    prune.add_argument("--retry-lock-s", type=float, default=0.0, metavar="S", help="how long to wait for the exclusive lock")
    prune.set_defaults(run=_prune)
    check = commands.add_parser("check", help="verify the repository")
    check.add_argument("--read-data", action="store_true", help="read every pack")
    check.set_defaults(run=_check)
    commands.add_parser("snapshots", help="list every snapshot").set_defaults(run=_snapshots)
    remove = commands.add_parser("unlock", help="remove stale locks")
    remove.add_argument("--remove-all", action="store_true", help="remove all locks, also of the living")
    remove.set_defaults(run=_unlock)
    return parser


def main(argv: Sequence[str], *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None, ctx: Context | None = None) -> int:
    """Run one command; returns the exit code. From the main thread, so that signals end it cleanly."""
    options = _parser().parse_args(argv)
    source, sink = stdin or sys.stdin.buffer, stdout or sys.stdout.buffer
    code, document = _run(options, source, ctx or Context())
    sink.write(msgspec.json.encode(document) + b"\n")
    sink.flush()
    return code


def _run(options: argparse.Namespace, source: IO[bytes], ctx: Context) -> tuple[int, object]:
    try:
        with _cancelled_by_signals(ctx), _store(source) as (store, access), translated() as progression:
            run: Callable[[_Work], object] = options.run
            return 0, run(_Work(ctx=ctx, store=store, access=access, options=options, progression=progression))
    except OperationError as error:
        return 1, _failure(error.cause, error.outcome, str(error))
    except CancelledError as error:
        return 1, _failure("cancelled", Outcome.UNKNOWN, str(error))
    except SeatrialError as error:
        return 1, _failure("usage", Outcome.FAILED, str(error))


def _failure(cause: str, outcome: Outcome, message: str) -> object:
    return {"error": {"cause": cause, "outcome": outcome.value, "message": message}}


@contextlib.contextmanager
def _store(source: IO[bytes]) -> Iterator[tuple[RestStore, Access]]:
    try:
        access = msgspec.json.decode(source.readline(_ACCESS_BYTES_MAX), type=Access)
    except msgspec.DecodeError as error:
        # Without the line itself: there are passwords in it.
        raise RepositoryError(f"stdin holds no access record: {error}", cause=Cause.PROTOCOL, where="stdin") from None
    store = RestStore(access)
    try:
        yield store, access
    finally:
        store.close()


@contextlib.contextmanager
def _cancelled_by_signals(ctx: Context) -> Iterator[None]:
    def cancel(number: int, _: object) -> None:
        # In a thread: the handler runs in the middle of whatever holds the locks that a cancellation takes.
        threading.Thread(target=ctx.cancel.cancel, args=(signal.Signals(number).name,), name="cancel", daemon=True).start()

    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, cancel)
    except ValueError:  # not the main thread: somebody else looks after signals
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
