"""One test per row of the outcome table: the trouble is made for real, and what comes out is the row's outcome."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from seatrial.clock import VirtualClock
from seatrial.context import Context
from seatrial.errors import NoSpaceError, OperationError
from seatrial.targets.embedded import outcomes
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.outcomes import TABLE, Stage, as_operation_error, outcome_of, translated
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.locks import KnownLocks, Locker
from seatrial.targets.embedded.repository.prune import Prune
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind, Store
from seatrial.targets.embedded.rest import RestStore
from seatrial.verdicts import Outcome
from tests.unit.embedded_repository.conftest import Harbour
from tests.unit.embedded_repository.stores import PASSWORD
from tests.unit.embedded_repository.work import plain_tree


@pytest.fixture
def client(harbour: Harbour) -> EmbeddedClient:
    return harbour.client()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return plain_tree(tmp_path / "source", files=2, salt=os.urandom(4).hex())


def _context() -> Context:
    return Context(clock=VirtualClock())


def _store(client: EmbeddedClient) -> Store:
    assert client._session is not None
    return client._session.store


def _trouble(monkeypatch: pytest.MonkeyPatch, client: EmbeddedClient, method: str, kind: Kind, error: Exception) -> None:
    """``method`` fails for files of this kind."""
    store = _store(client)
    real = getattr(store, method)

    def failing(ctx: Context, of: Kind, *args: object, **more: object) -> object:
        if of is kind:
            raise error
        return real(ctx, of, *args, **more)

    monkeypatch.setattr(store, method, failing)


def _fails(call: Callable[[], object]) -> OperationError:
    with pytest.raises(OperationError) as caught:
        call()
    return caught.value


@pytest.fixture
def exclusive(harbour: Harbour) -> Iterator[None]:
    store = RestStore(harbour.admin())
    repository = Repository.open(_context(), store, PASSWORD)
    with Locker(repository, "pruner", KnownLocks()).hold(_context(), exclusive=True, retry_s=0):
        yield
    store.close()


# --- before the commit: FAILED, whatever it was


@pytest.mark.usefixtures("exclusive")
def test_a_refused_lock_is_failed_contended(client: EmbeddedClient, source: Path, tmp_path: Path) -> None:
    for call in (
        lambda: client.create(_context(), source, "run/1"),
        lambda: client.delete(_context(), "0" * 64),
        lambda: client.restore(_context(), "0" * 64, tmp_path),
    ):
        error = _fails(call)
        assert (error.cause, error.outcome) == ("contended", Outcome.FAILED)


BEFORE = [
    ("put", Kind.PACK, Cause.UNREACHABLE, True),
    ("put", Kind.PACK, Cause.NO_SPACE, False),
    ("put", Kind.INDEX, Cause.DENIED, False),
    ("put", Kind.INDEX, Cause.SERVER_ERROR, True),
    ("put", Kind.LOCK, Cause.UNREACHABLE, True),
    ("entries", Kind.INDEX, Cause.PROTOCOL, True),
    ("entries", Kind.LOCK, Cause.UNREACHABLE, False),
]


@pytest.mark.parametrize(("method", "kind", "cause", "maybe"), BEFORE, ids=[f"{m}-{k.value}-{c.value}" for m, k, c, _ in BEFORE])
def test_a_create_that_fails_before_its_snapshot_is_sent_is_failed(
    harbour: Harbour,
    client: EmbeddedClient,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    kind: Kind,
    cause: Cause,
    maybe: bool,
) -> None:
    before = {row.id for row in client.list(_context())}
    _trouble(monkeypatch, client, method, kind, RepositoryError("planted", cause=cause, maybe_applied=maybe))
    error = _fails(lambda: client.create(_context(), source, "run/2"))
    assert (error.cause, error.outcome) == (cause.value, Outcome.FAILED)
    assert isinstance(error, NoSpaceError) == (cause is Cause.NO_SPACE)
    assert {row.id for row in harbour.client().list(_context())} == before


def test_a_lost_lock_is_failed(harbour: Harbour, client: EmbeddedClient, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _store(client)
    real = store.put

    def put(ctx: Context, kind: Kind, name: str, data: bytes) -> None:
        real(ctx, kind, name, data)
        if kind is Kind.INDEX:
            assert harbour.maintain("unlock", "--remove-all")[0] == 0

    monkeypatch.setattr(store, "put", put)
    before = {row.id for row in client.list(_context())}
    error = _fails(lambda: client.create(_context(), source, "run/3"))
    assert (error.cause, error.outcome) == ("lock-lost", Outcome.FAILED)
    assert {row.id for row in client.list(_context())} == before


def test_an_unreadable_source_and_an_unknown_snapshot_are_failed(client: EmbeddedClient, tmp_path: Path) -> None:
    error = _fails(lambda: client.create(_context(), tmp_path / "nowhere", "run/4"))
    assert (error.cause, error.outcome) == ("source-unreadable", Outcome.FAILED)
    for call in (lambda: client.delete(_context(), "0" * 64), lambda: client.restore(_context(), "0" * 64, tmp_path)):
        error = _fails(call)
        assert (error.cause, error.outcome) == ("missing", Outcome.FAILED)


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, NoSpaceError), (errno.EIO, OperationError)])
def test_our_own_disk_in_trouble_is_failed(
    client: EmbeddedClient, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[OperationError]
) -> None:
    snapshot, _ = client.create(_context(), source, "run/5")
    into = tmp_path / "into"
    into.mkdir()

    def fail(*args: object) -> int:
        raise OSError(code, "planted", "some/file")

    monkeypatch.setattr(os, "pwrite", fail)
    error = _fails(lambda: client.restore(_context(), snapshot, into))
    assert type(error) is kind
    assert error.outcome is Outcome.FAILED
    assert error.where == "some/file"


def test_wrong_credentials_and_a_wrong_repository_password_are_failed(harbour: Harbour) -> None:
    for change, cause in (({"password": "wrong"}, "denied"), ({"repository_password": "wrong"}, "wrong-password")):
        client = harbour.client(connect=False)
        error = _fails(lambda client=client, change=change: client.connect(_context(), msgspec.structs.replace(harbour.access(), **change)))  # type: ignore[misc]  # a lambda with defaults
        assert (error.cause, error.outcome) == (cause, Outcome.FAILED)


# --- the commit itself

COMMIT = [
    (Cause.DENIED, False, Outcome.FAILED),
    (Cause.NO_SPACE, False, Outcome.FAILED),
    (Cause.REJECTED, False, Outcome.FAILED),
    (Cause.MISSING, False, Outcome.FAILED),
    (Cause.UNREACHABLE, False, Outcome.FAILED),
    (Cause.SERVER_ERROR, False, Outcome.FAILED),
    (Cause.UNREACHABLE, True, Outcome.UNKNOWN),
    (Cause.SERVER_ERROR, True, Outcome.UNKNOWN),
    (Cause.DENIED, True, Outcome.UNKNOWN),
    (Cause.PROTOCOL, True, Outcome.UNKNOWN),
    (Cause.PROTOCOL, False, Outcome.UNKNOWN),
    (Cause.CORRUPT, False, Outcome.UNKNOWN),
]


@pytest.mark.parametrize(("cause", "maybe", "outcome"), COMMIT, ids=[f"{c.value}-{m}" for c, m, _ in COMMIT])
def test_the_commit_of_a_create_and_of_a_delete(
    client: EmbeddedClient, source: Path, monkeypatch: pytest.MonkeyPatch, cause: Cause, maybe: bool, outcome: Outcome
) -> None:
    snapshot, _ = client.create(_context(), source, "run/6")
    for method, call in (
        ("put", lambda: client.create(_context(), source, "run/7")),
        ("delete", lambda: client.delete(_context(), snapshot)),
    ):
        with monkeypatch.context() as patch:
            _trouble(patch, client, method, Kind.SNAPSHOT, RepositoryError("planted", cause=cause, maybe_applied=maybe))
            error = _fails(call)
        assert (error.cause, error.outcome) == (cause.value, outcome)


def test_trouble_after_the_commit_does_not_undo_it(client: EmbeddedClient, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _trouble(patch, client, "delete", Kind.LOCK, RepositoryError("planted", cause=Cause.UNREACHABLE))
        snapshot, _ = client.create(_context(), source, "run/8")
    assert snapshot in {row.id for row in client.list(_context())}


# --- a prune


def test_a_prune_cut_off_half_way_is_unknown_and_one_that_has_not_begun_failed(
    harbour: Harbour, client: EmbeddedClient, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, _ = client.create(_context(), source, "run/9")
    client.delete(_context(), snapshot)
    real = RestStore.delete

    def failing(self: RestStore, ctx: Context, kind: Kind, name: str) -> None:
        if kind is Kind.PACK:
            raise RepositoryError("planted", cause=Cause.SERVER_ERROR)
        real(self, ctx, kind, name)

    def doubtful(self: Prune) -> None:
        raise RepositoryError("planted", cause=Cause.CORRUPT)

    with monkeypatch.context() as patch:
        patch.setattr(RestStore, "delete", failing)
        code, said = harbour.maintain("prune")
    assert (code, said["error"]["cause"], said["error"]["outcome"]) == (1, "server-error", "unknown")
    with monkeypatch.context() as patch:
        patch.setattr(Prune, "_mark", doubtful)
        code, said = harbour.maintain("prune")
    assert (code, said["error"]["cause"], said["error"]["outcome"]) == (1, "corrupt", "failed")


# --- the table itself


def test_every_row_is_reached_and_what_no_row_knows_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = set()
    for stage in Stage:
        for cause in Cause:
            for settled in (True, False):
                fitting = [row for row in TABLE if row.stage is stage and row.cause in (None, cause) and row.settled in (None, settled)]
                assert outcome_of(stage, cause, settled=settled) is (fitting[0].outcome if fitting else Outcome.UNKNOWN)
                reached.update(fitting[:1])
    assert reached == set(TABLE)
    monkeypatch.setattr(outcomes, "TABLE", ())
    assert outcome_of(Stage.BEFORE, Cause.DENIED, settled=True) is Outcome.UNKNOWN


def test_other_errors_pass_untouched() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError
    assert as_operation_error(OSError(errno.EIO, "planted"), Stage.COMMIT).outcome is Outcome.UNKNOWN
