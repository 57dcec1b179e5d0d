"""Worker threads: all at once, all waited for, nothing lost."""

from __future__ import annotations

import threading

import pytest

from seatrial.context import Context, new_client_contexts, unwrap_context
from seatrial.engine.workers import Crew, run_clients
from seatrial.errors import HarnessError


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


# -- those that join later


def test_one_that_joins_later_is_waited_for_and_its_error_is_raised() -> None:
    first, second = new_client_contexts(None, 2)
    joined = threading.Event()

    def work(ctx: Context) -> None:
        if ctx is first:
            assert crew.add(second)
            assert joined.wait(10)
        else:
            joined.set()
            raise LookupError("of the second")

    crew = Crew(work)
    with pytest.raises(LookupError, match="of the second"):
        crew.run([first])


def test_nobody_joins_before_the_others_work_or_after_they_have_ended() -> None:
    first, second = new_client_contexts(None, 2)
    worked: list[Context] = []
    crew = Crew(worked.append)
    assert not crew.add(second)
    crew.run([first])
    assert not crew.add(second)
    assert worked == [first]


def test_one_for_whom_there_is_no_thread_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = new_client_contexts(None, 2)
    refused: list[str] = []

    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def work(ctx: Context) -> None:
        monkeypatch.setattr(threading.Thread, "start", refuses)
        with pytest.raises(HarnessError, match="no thread for one more client"):
            crew.add(second)
        refused.append(unwrap_context(ctx).id)

    crew = Crew(work)
    crew.run([first])
    assert refused == [unwrap_context(first).id]
