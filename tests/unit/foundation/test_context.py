"""Contexts, clients, cancellation, clocks, errors."""

from __future__ import annotations

import re
import threading

import pytest

from seatrial.clock import VirtualClock, rfc3339, stamp
from seatrial.context import CancelToken, Context, new_client_context, new_client_contexts, unwrap_context
from seatrial.errors import CancelledError, ClientNotFoundError, OperationError, SeatrialError, UsageError
from seatrial.seeds import derive, new_root_seed, stream
from seatrial.verdicts import ExitCode, Outcome, Verdict, worst_exit_code


def test_a_client_is_two_pet_words_and_a_uuid() -> None:
    client = unwrap_context(new_client_context())
    assert re.fullmatch(r"[a-z]+-[a-z]+-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", client.id)


def test_new_clients_differ_and_share_the_parents_deadline_and_token() -> None:
    parent = Context(deadline_s=5.0)
    first, second = new_client_contexts(parent, 2)
    assert unwrap_context(first) != unwrap_context(second)
    assert first.cancel is parent.cancel
    assert first.deadline_s == 5.0
    assert first.progress is not second.progress


def test_a_context_without_a_client_is_key_not_found() -> None:
    with pytest.raises(ClientNotFoundError, match="key not found"):
        unwrap_context(Context())


def test_the_earlier_deadline_wins_and_passing_it_raises() -> None:
    clock = VirtualClock()
    ctx = Context(clock=clock).within(10).within(30)
    assert ctx.remaining_s(99) == 10
    ctx.check()
    clock.advance(10)
    with pytest.raises(CancelledError, match="deadline"):
        ctx.check()


def test_cancelling_wakes_callbacks_once_and_keeps_the_first_reason() -> None:
    token, calls = CancelToken(), []
    take_back = token.on_cancel(lambda: calls.append("taken back"))
    token.on_cancel(lambda: calls.append("kept"))
    take_back()
    token.cancel("first")
    token.cancel("second")
    token.on_cancel(lambda: calls.append("late"))
    assert calls == ["kept", "late"]
    with pytest.raises(CancelledError, match="first"):
        token.check()


def test_callbacks_added_while_cancelling_are_never_lost() -> None:
    for _ in range(50):
        token, called = CancelToken(), threading.Event()
        canceller = threading.Thread(target=token.cancel, args=("race",))
        canceller.start()
        token.on_cancel(called.set)
        canceller.join(10)
        assert called.wait(10)


def test_draws_are_stable_across_versions() -> None:
    """A recorded seed must mean the same plan in the next release: these are literals on purpose."""
    assert derive(1, "client", 0) == 1271854503290129323
    assert stream(1, "files").random() == 0.3367065702460966
    assert 0 <= new_root_seed() < 2**63


def test_errors_name_what_where_and_the_remedy() -> None:
    error = UsageError("unknown key 'clents'", where="config.toml:3", remedy="did you mean 'clients'?")
    assert str(error) == "config.toml:3: unknown key 'clents' (did you mean 'clients'?)"
    assert error.exit_code is ExitCode.USAGE


def test_an_operation_that_nobody_judged_is_unknown() -> None:
    assert OperationError("connection reset", cause="unreachable").outcome is Outcome.UNKNOWN


def test_every_error_class_owns_an_exit_code_that_is_not_a_pass() -> None:
    classes = [SeatrialError]
    while classes:
        cls = classes.pop()
        classes.extend(cls.__subclasses__())
        assert cls.exit_code is not ExitCode.PASS


def test_verdicts_compose_by_maximum_and_exit_codes_by_precedence() -> None:
    assert Verdict.worst([Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]) is Verdict.FAIL
    assert Verdict.worst([]) is Verdict.PASS
    order = [ExitCode.INTERRUPTED, ExitCode.BROKEN, ExitCode.ROBUSTNESS_FAILURE, ExitCode.INCONCLUSIVE, ExitCode.PASS]
    for position, code in enumerate(order):
        assert worst_exit_code(reversed(order[position:])) is code
    assert worst_exit_code([]) is ExitCode.PASS


def test_times_print_as_go_prints_them() -> None:
    assert rfc3339(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
    assert rfc3339(1_700_000_000_000_000_000) == "2023-11-14T22:13:20Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999999999Z"
    assert stamp(1_700_000_000_000_000_000) == "20231114_221320"
