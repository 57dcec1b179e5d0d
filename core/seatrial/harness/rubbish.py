"""What is needed no more is removed while others work: a tree of many small files is mostly waiting for a disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from seatrial.guard import remove_tree

_THREADS = 4
"""Each of them waits for the disk nearly all of the time."""


class Rubbish:
    """Threads that remove, each one thing after another.

    Threading: ``discard`` and ``do`` from any thread; ``close`` by one, when nobody calls them any more.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="rubbish")
        self._asked: list[Future[object]] = []

    def discard(self, directory: Path) -> None:
        """Remove a directory that nobody uses, soon. One that has gone by then is fine."""
        self.do(partial(remove_tree, directory))

    def do(self, remove: Callable[[], object]) -> None:
        """Call what removes something, soon."""
        self._asked.append(self._pool.submit(remove))

    def close(self) -> None:
        """Wait until all is gone; raises what the first that failed raised. Idempotent."""
        self._pool.shutdown()
        for asked in self._asked:
            asked.result()
