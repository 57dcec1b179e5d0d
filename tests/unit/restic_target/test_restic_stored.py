"""A restore is one command whatever lies at its root: what the snapshot was made of, we read ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import psutil
import pytest

from seatrial.children import Completed
from seatrial.context import CancelToken, Context
from seatrial.errors import CancelledError, DeadlineExceededError, OperationError
from seatrial.targets.embedded.repository.crypto import SealKey
from seatrial.targets.restic.own import OwnClient
from seatrial.targets.restic.stored import StoredPaths
from seatrial.testing.stage import Player
from seatrial.verdicts import Outcome
from tests.support.restic import NOBODY, Bench, flip

pytestmark = pytest.mark.needs_program("restic")


@pytest.fixture
def player(bench: Bench) -> Player:
    """One who has derived no keys and cached nothing."""
    return bench.stage.join()


@pytest.fixture(scope="module")
def below_one(bench: Bench) -> str:
    """A snapshot whose root holds one directory, and that is content."""
    source = bench.stage.place / "below-one"
    (source / "only").mkdir(parents=True)
    (source / "only" / "file").write_bytes(b"below")
    return bench.player.create(source, "run/3-1")


@pytest.fixture(scope="module")
def by_ours(bench: Bench) -> str:
    """A snapshot of seatrial's own client, which stores all directories on the way."""
    directory = bench.stage.place / "ours"
    directory.mkdir()
    ours = OwnClient(bench.stage.around, directory)
    ours.connect(bench.player.within(), bench.player.access)
    try:
        return ours.create(bench.player.within(), bench.source, "run/3-2")[0]
    finally:
        ours.cleanup()


def commands_of(bench: Bench, since: int) -> int:
    return len(bench.stage.children.commands) - since


def connections_to(player: Player) -> set[int]:
    """Our own ports of those that this process has to the server."""
    port = urlsplit(player.access.url).port
    return {each.laddr.port for each in psutil.Process().net_connections() if each.raddr and each.raddr.port == port}


def once_restored(bench: Bench, then: Any) -> Any:
    """Within it ``then`` is called between the end of restic's command and our own reading."""
    run = bench.stage.children.run

    def run_and(*args: Any, **kwargs: Any) -> Completed:
        done = run(*args, **kwargs)
        then()
        return done

    return patch.object(bench.stage.children, "run", run_and)


def test_one_directory_at_the_root_costs_no_second_command(bench: Bench, player: Player, below_one: str, by_ours: str) -> None:
    since = len(bench.stage.children.commands)
    content = player.restore(below_one)
    assert [path.relative_to(content).as_posix() for path in sorted(content.rglob("*"))] == ["only", "only/file"]
    raised = player.restore(by_ours)
    assert [path.name for path in raised.iterdir()] == ["file"]
    assert commands_of(bench, since) == 2


def test_keys_are_derived_once_for_a_connection_and_only_when_needed(bench: Bench, player: Player, below_one: str) -> None:
    flat = bench.snapshot()
    with patch.object(SealKey, "from_password", wraps=SealKey.from_password) as derived:
        player.restore(flat)
        assert derived.call_count == 0, "what lies at the root is the content"
        player.restore(below_one)
        player.restore(below_one)
        assert derived.call_count == 1
        player.connect()
        player.restore(below_one)
        assert derived.call_count == 2, "another connection may be another repository"


def test_what_another_client_deletes_meanwhile_is_read_as_restic_read_it(bench: Bench, player: Player) -> None:
    source = bench.stage.place / "fleeting"
    (source / "only").mkdir(parents=True)
    snapshot = bench.player.create(source, "run/3-3")
    with once_restored(bench, (bench.repository / "snapshots" / snapshot).unlink):
        assert [path.name for path in player.restore(snapshot).iterdir()] == ["only"]


@pytest.mark.parametrize(("cause", "damage"), [("missing", Path.unlink), ("corrupt", flip)])
def test_a_snapshot_that_cannot_be_read_fails_the_restore_and_is_named(bench: Bench, player: Player, cause: str, damage: Any) -> None:
    source = bench.stage.place / f"damaged-{cause}"
    (source / "only").mkdir(parents=True)
    snapshot = bench.player.create(source, "run/3-4")

    def damage_all() -> None:
        player.client.drop_caches()
        damage(bench.repository / "snapshots" / snapshot)

    with once_restored(bench, damage_all), pytest.raises(OperationError) as caught:
        player.restore(snapshot)
    assert (caught.value.cause, caught.value.outcome, caught.value.where) == (cause, Outcome.FAILED, f"snapshots/{snapshot}")
    (bench.repository / "snapshots" / snapshot).unlink(missing_ok=True)  # no listing of the others is to meet it


def test_a_damaged_copy_in_the_cache_is_passed_over(bench: Bench, player: Player, below_one: str) -> None:
    player.restore(below_one)
    (copy,) = (player.directory / "cache").glob(f"*/snapshots/*/{below_one}")
    flip(copy)
    stored = StoredPaths(player.access, player.directory / "cache")
    assert stored.of(player.within(), below_one) == [str(bench.stage.place / "below-one")]


def test_a_snapshot_that_was_never_there_is_missing(player: Player) -> None:
    with pytest.raises(OperationError, match="not there") as caught:
        StoredPaths(player.access, player.directory / "cache").of(player.within(), NOBODY)
    assert (caught.value.cause, caught.value.outcome) == ("missing", Outcome.FAILED)


def test_it_ends_when_told_and_keeps_no_connection(player: Player, below_one: str, tmp_path: Path) -> None:
    stored, cancel = StoredPaths(player.access, tmp_path), CancelToken()
    before = connections_to(player)
    assert stored.of(player.within(), below_one)
    assert connections_to(player) <= before, "the server's own side may have some"
    cancel.cancel("enough")
    with pytest.raises(CancelledError, match="enough"):
        stored.of(Context(cancel=cancel), below_one)
    with pytest.raises(DeadlineExceededError):
        stored.of(Context().within(0.0), below_one)
