"""Worker threads: all at once, all waited for, nothing lost."""

from __future__ import annotations

import threading

import pytest

from seatrial.context import Context, new_client_contexts, unwrap_context
from seatrial.engine.workers import run_clients


def test_every_client_runs_once_and_all_at_the_same_time() -> None:
    contexts = new_client_contexts(None, 8)
    together, seen, lock = threading.Barrier(8), [], threading.Lock()

    def work(ctx: Context) -> None:
        together.wait(10)  # breaks unless all eight are here together
        with lock:
            seen.append(unwrap_context(ctx).id)

    run_clients(contexts, work)
    assert sorted(seen) == sorted(unwrap_context(ctx).id for ctx in contexts)


def test_one_error_is_raised_as_it_is_after_all_have_ended() -> None:
    contexts, ended = new_client_contexts(None, 3), []

    def work(ctx: Context) -> None:
        if ctx is contexts[1]:
            raise LookupError("mine")
        ended.append(ctx)

    with pytest.raises(LookupError, match="mine"):
        run_clients(contexts, work)
    assert len(ended) == 2


def test_several_errors_come_together() -> None:
    def work(ctx: Context) -> None:
        raise LookupError(unwrap_context(ctx).id)

    contexts = new_client_contexts(None, 3)
    with pytest.raises(BaseExceptionGroup) as caught:
        run_clients(contexts, work)
    assert [str(error) for error in caught.value.exceptions] == [unwrap_context(ctx).id for ctx in contexts]
