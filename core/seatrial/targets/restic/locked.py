"""Commands that take a lock, and what becomes of the lock when one is killed.

``restic unlock`` would do, at the price of a process; our own reading of the format costs a few requests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

from seatrial.children import Completed
from seatrial.context import Context
from seatrial.errors import OperationError, SeatrialError
from seatrial.targets.embedded.repository.locks import KnownLocks, unlock
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import Access
from seatrial.targets.restic.outcomes import LOCK_VANISHED

ATTEMPTS = 5
_UNLOCK_S = 3.0
"""A server that hangs must not hold up who was told to end."""


def remove_dead_locks(ctx: Context, access: Access, *, all_of_them: bool = False, pids: Collection[int] | None = None) -> int:
    """Remove the locks of dead processes of this host (of these ``pids`` only), or all locks; returns how many.

    Raises ``RepositoryError``, ``CancelledError``.

    One that cannot be read is in nobody's way, and may be a living client's: rclone shows a file that it has only begun to write.

    A killed restic leaves its lock behind; an exclusive one keeps everybody out, and a shared one every ``forget``, ``prune`` and
    ``check``, until somebody does this.
    """
    store = RestStore(access)
    try:
        repository = Repository.open(ctx, store, access.repository_password)
        return len(unlock(ctx, repository, KnownLocks(), remove_all=all_of_them, unreadable=False, pids=pids))
    finally:
        store.close()


def locked(
    ctx: Context,
    access: Access,
    attempt: Callable[[], Completed],
    error_of: Callable[[Completed], OperationError | None],
    *,
    killed: set[int] | None = None,
) -> Completed:
    """``attempt``, judged by ``error_of``, whose error is raised at the end.

    The lock of one that was killed (before 0.17 TERM kills) is removed. Where a dead one's lock was in the way, and where it waited for
    a lock that is gone, it is attempted again; the last time that is a refused lock like any other.
    ``killed``, where others work on the repository too: the processes of the caller that were killed, to which this adds; nobody else's
    locks are touched then.
    """
    for left in reversed(range(ATTEMPTS)):
        done = attempt()
        error = error_of(done)
        cause = error.cause if error is not None else ""
        was_killed = done.returncode < 0 or done.timed_out or done.cancelled or done.given_up
        if was_killed and killed is not None:
            killed.add(done.pid)
        removed = _tidy(ctx, access, killed) if was_killed or cause == "contended" else 0
        if error is None:
            return done
        if not (cause == LOCK_VANISHED or (cause == "contended" and removed)):
            raise error
        if not left or ctx.cancel.cancelled or ctx.expired:  # known to have FAILED, whatever became of the context since
            raise OperationError(error.what, cause="contended", outcome=error.outcome, where=error.where) from error
    raise AssertionError("the last attempt returns or raises")


def _tidy(ctx: Context, access: Access, pids: Collection[int] | None) -> int:
    if ctx.cancel.cancelled:
        return 0  # a run that is dropped waits for no server: the next start takes dead locks away
    with contextlib.suppress(SeatrialError):  # the server may be gone; what the command said counts
        return remove_dead_locks(Context(clock=ctx.clock, cancel=ctx.cancel).within(_UNLOCK_S), access, pids=pids)
    return 0
