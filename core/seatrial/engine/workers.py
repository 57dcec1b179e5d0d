"""One thread per client, all held back until every one of them stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from seatrial.context import Context, unwrap_context
from seatrial.errors import HarnessError


def run_clients(contexts: Sequence[Context], fn: Callable[[Context], object]) -> None:
    """Call ``fn`` once per context, all at the same time, each on a thread of its own, and wait for all.

    One exception is raised as it is, several as an ``ExceptionGroup``, in the order of the contexts. A ``HarnessError`` where the
    machine gives no more threads; those already made are sent home without a call.
    """
    start, abandoned = threading.Event(), threading.Event()
    errors: dict[int, BaseException] = {}

    def work(index: int, ctx: Context) -> None:
        start.wait()
        if abandoned.is_set():
            return
        try:
            fn(ctx)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread, never lost
            errors[index] = error

    threads = [
        threading.Thread(target=work, args=(index, ctx), name=f"client-{unwrap_context(ctx).id}", daemon=True)
        for index, ctx in enumerate(contexts)
    ]
    started: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        abandoned.set()
        raise HarnessError(
            f"only {len(started)} of {len(threads)} client threads could be started: {error}",
            remedy="fewer clients, or a higher limit of processes (ulimit -u)",
        ) from error
    finally:
        start.set()
        for thread in started:
            thread.join()
    _raise(errors)


def _raise(errors: dict[int, BaseException]) -> None:
    ordered = [errors[index] for index in sorted(errors)]
    if len(ordered) == 1:
        raise ordered[0]
    if ordered:
        raise BaseExceptionGroup(f"{len(ordered)} clients failed", ordered)
