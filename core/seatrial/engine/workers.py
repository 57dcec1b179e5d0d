"""One thread per client, all held back until every one of them stands; further ones may join while any of them works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from seatrial.context import Context, unwrap_context
from seatrial.errors import HarnessError


class Crew:
    """Clients at work: ``fn`` once per context, each on a thread of its own.

    Threading: ``run`` by one thread, once; ``add`` by any. ``_lock`` guards the threads, the errors and ``_open``; it is not held while
    ``fn`` runs.
    """

    def __init__(self, fn: Callable[[Context], object]) -> None:
        self._fn = fn
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._errors: dict[int, BaseException] = {}
        self._open = False
        self._start, self._abandoned = threading.Event(), threading.Event()

    def run(self, contexts: Sequence[Context]) -> None:
        """Start all at the same time, and wait for them and for all that were added meanwhile.

        One exception is raised as it is, several as an ``ExceptionGroup``, in the order of the contexts. A ``HarnessError`` where the
        machine gives no more threads; those already made are sent home without a call.
        """
        try:
            for ctx in contexts:
                self._launch(ctx)
        except RuntimeError as error:
            self._abandoned.set()
            raise HarnessError(
                f"only {len(self._threads)} of {len(contexts)} client threads could be started: {error}",
                remedy="fewer clients, or a higher limit of processes (ulimit -u)",
            ) from error
        finally:
            self._open = not self._abandoned.is_set()
            self._start.set()
            self._wait()
        self._raise()

    def add(self, ctx: Context) -> bool:
        """One more; False where nobody works yet, or any more. Raises ``HarnessError`` where there is no thread to be had."""
        with self._lock:
            if not self._open:
                return False
            try:
                self._launch(ctx)
            except RuntimeError as error:
                raise HarnessError(
                    f"no thread for one more client: {error}", remedy="fewer clients, or a higher limit of processes (ulimit -u)"
                ) from error
            return True

    def _launch(self, ctx: Context) -> None:
        index = len(self._threads)
        thread = threading.Thread(target=self._work, args=(index, ctx), name=f"client-{unwrap_context(ctx).id}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self, index: int, ctx: Context) -> None:
        self._start.wait()
        if self._abandoned.is_set():
            return
        try:
            self._fn(ctx)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that runs the crew, never lost
            with self._lock:
                self._errors[index] = error

    def _wait(self) -> None:
        joined = 0
        while True:
            with self._lock:
                if joined == len(self._threads):
                    self._open = False  # nobody is left who could be joined by another
                    return
                thread = self._threads[joined]
            thread.join()
            joined += 1

    def _raise(self) -> None:
        ordered = [self._errors[index] for index in sorted(self._errors)]
        if len(ordered) == 1:
            raise ordered[0]
        if ordered:
            raise BaseExceptionGroup(f"{len(ordered)} clients failed", ordered)


def run_clients(contexts: Sequence[Context], fn: Callable[[Context], object]) -> None:
    """Call ``fn`` once per context, all at the same time, each on a thread of its own, and wait for all. Raises as ``Crew.run``."""
    Crew(fn).run(contexts)
