"""What restic meets while others write: locks that come, go and are only begun, and an index that is not whole."""

from __future__ import annotations

import pytest

from seatrial.children import Completed
from seatrial.context import CancelToken, Context
from seatrial.errors import OperationError
from seatrial.targets.protocols import Access
from seatrial.targets.restic.locked import ATTEMPTS, locked, remove_dead_locks
from seatrial.targets.restic.outcomes import LOCK_VANISHED, TABLE
from seatrial.verdicts import Outcome
from tests.support.restic import Bench

pytestmark = pytest.mark.needs_program("restic")
NOBODYS = Access(url="https://127.0.0.1:1/", fingerprint="", user="", password="", repository_password="")
REFUSED = Completed(1, "", "")
GONE = "Load(<lock/abababab>, 0, 0) returned error, retrying after 552.330144ms: open /locks/abab: no such file or directory\n"


def vanished(_done: Completed) -> OperationError:
    return OperationError("a lock vanished", cause=LOCK_VANISHED, outcome=Outcome.FAILED)


def test_a_lock_that_is_only_begun_is_left_to_its_owner(bench: Bench) -> None:
    begun = {bench.repository / "locks" / (digit * 64): content for digit, content in {"0": b"", "1": b"half of it"}.items()}
    for file, content in begun.items():
        file.write_bytes(content)
    try:
        assert remove_dead_locks(bench.player.within(), bench.player.access) == 0
        assert {file: file.read_bytes() for file in begun} == begun
        assert remove_dead_locks(bench.player.within(), bench.player.access, all_of_them=True) == len(begun)
    finally:
        for file in begun:
            file.unlink(missing_ok=True)


def test_locks_that_go_on_vanishing_are_a_refused_lock() -> None:
    attempts = []
    with pytest.raises(OperationError) as raised:
        locked(Context(), NOBODYS, lambda: attempts.append(1) or REFUSED, vanished)
    assert (raised.value.cause, raised.value.outcome, len(attempts)) == ("contended", Outcome.FAILED, ATTEMPTS)


def test_what_has_failed_has_failed_also_where_the_time_is_up_then() -> None:
    cancel = CancelToken()

    def attempt() -> Completed:
        cancel.cancel("enough")
        return REFUSED

    with pytest.raises(OperationError) as raised:
        locked(Context(cancel=cancel), NOBODYS, attempt, vanished)
    assert (raised.value.cause, raised.value.outcome) == ("contended", Outcome.FAILED)


@pytest.mark.parametrize("said", ["", "using temporary cache in /a/b\ncreate exclusive lock for repository\n"])
def test_a_check_for_which_a_lock_vanished_had_not_begun(said: str) -> None:
    error = TABLE.error_of("verify", Completed(-15, said, GONE, given_up=True), (0, 14), where="restic")
    assert error is not None
    assert error.cause == LOCK_VANISHED


def test_what_had_begun_when_a_lock_vanished_is_unknown() -> None:
    error = TABLE.error_of("create", Completed(-15, '{"message_type":"status"}\n', GONE, given_up=True), (0, 14), where="restic")
    assert error is not None
    assert error.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("what", "cause"), [("lock", "exit-1"), ("snapshot", "corrupt")])
def test_a_lock_that_is_not_whole_says_nothing_of_what_is_stored(what: str, cause: str) -> None:
    said = (
        f"Load(<{what}/abababab>, 0, 0) returned error, retrying after 552ms: load <{what}/abababab>: invalid data returned\nFatal: other\n"
    )
    error = TABLE.error_of("restore", Completed(1, "", said), (0, 14), where="restic")
    assert error is not None
    assert error.cause == cause


def test_an_index_that_is_not_whole_is_damage(bench: Bench) -> None:
    bench.snapshot()
    index = next((bench.repository / "index").iterdir())
    whole = index.read_bytes()
    index.chmod(0o600)
    try:
        index.write_bytes(whole[: len(whole) // 2])
        verified = bench.stage.server.verify(bench.player.within())
        assert not verified.clean
        assert any(index.name[:10] in problem for problem in verified.problems)
    finally:
        index.write_bytes(whole)
    assert bench.stage.server.verify(bench.player.within()).clean
