"""The real kopia server and its clients, and what happens to them: both caches, kills, maintenance, secrets."""

from __future__ import annotations

import fcntl
import filecmp
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.children import Completed
from seatrial.config.model import CacheSettings, GcOptions, KopiaSettings, Preset
from seatrial.context import CancelToken, Context
from seatrial.errors import HarnessError, OperationError, UsageError
from seatrial.history.events import ServerEvent
from seatrial.targets.kopia.output import all_snapshots, snapshot_manifests
from seatrial.targets.kopia.server import KopiaServer
from seatrial.targets.kopia.target import KopiaTarget
from seatrial.testing.stage import Player, Stage
from seatrial.verdicts import Outcome
from tests.support.kopia import packs, running
from tests.support.waiting import eventually

pytestmark = [pytest.mark.needs_program("kopia"), pytest.mark.timeout(400)]
PRESET = Preset(kopia=KopiaSettings(safety="none"), cache=CacheSettings(content_limit_bytes=300_000_000, metadata_limit_bytes=200_000_000))
LARGE_BYTES = 100_000_000
COMES_S = 60.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(KopiaTarget(), tmp_path_factory.mktemp("kopia") / "stage", PRESET).open()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def alice(stage: Stage) -> Player:
    return stage.join()


@pytest.fixture(scope="module")
def bob(stage: Stage) -> Player:
    return stage.join()


def a_tree(stage: Stage, size_bytes: int = 100_000) -> Path:
    """A source that is like no other."""
    source = stage.new_source()
    source.mkdir()
    (source / "file").write_bytes(os.urandom(size_bytes))
    return source


def comes_back(restored: Path, source: Path) -> bool:
    return filecmp.cmp(restored / "file", source / "file", shallow=False)


def server_of(stage: Stage) -> KopiaServer:
    assert isinstance(stage.server, KopiaServer)
    return stage.server


def listed_on_the_server(stage: Stage, *command: str) -> Completed:
    out, err = stage.server.run(*command, "--json")
    return Completed(returncode=0, stdout=out, stderr=err)


def test_caches_and_metrics_are_told(stage: Stage, alice: Player, bob: Player) -> None:
    snapshot = alice.create(a_tree(stage), "run/0-11")
    bob.restore(snapshot)
    (server,) = stage.server.caches()
    assert server.limit_bytes == 300_000_000
    assert Path(server.path).is_relative_to(stage.around.base)
    assert eventually(lambda: stage.server.caches()[0].subdirectories.get("contents", 0) > 100_000, COMES_S)
    assert eventually(lambda: bob.client.cache_info().subdirectories.get("server-contents", 0) > 100_000, COMES_S)
    frame = stage.server.frame()
    assert frame is not None
    assert sum(frame.requests.values()) > 0


def test_what_the_repository_has_lost_comes_out_of_caches_until_both_are_dropped(stage: Stage, alice: Player, bob: Player) -> None:
    source = a_tree(stage)
    known = set(packs(stage.around.repository))
    snapshot = alice.create(source, "run/0-0")
    lost = {pack: pack.read_bytes() for pack in set(packs(stage.around.repository)) - known}
    assert len(lost) == 1
    assert comes_back(bob.restore(snapshot), source)
    for pack in lost:
        pack.unlink()
    try:
        assert comes_back(bob.restore(snapshot), source), "the client's own cache has it"
        assert comes_back(bob.restore_cold(snapshot), source), "the server's cache has it"
        began = len(stage.events)
        for _ in range(2):
            stage.server.drop_caches(alice.within())
        states = [event.state for event in stage.events[began:] if isinstance(event, ServerEvent)]
        assert states == ["stopping", "stopped", "starting", "ready"], "its end is no news, and there is nothing to drop twice"
        with pytest.raises(OperationError) as raised:
            bob.restore_cold(snapshot)
        assert (raised.value.cause, raised.value.path) == ("missing-data", "file")
        verified = stage.server.verify(alice.within())
        assert not verified.clean
        assert "missing blob" in verified.problems[0]
    finally:
        for pack, content in lost.items():
            pack.write_bytes(content)
    assert stage.server.verify(alice.within()).clean
    assert comes_back(bob.restore_cold(snapshot), source)


def test_a_server_that_was_killed_is_started_again_where_it_was(stage: Stage, alice: Player, bob: Player) -> None:
    source = a_tree(stage)
    snapshot, access, began = alice.create(source, "run/0-2"), alice.access, len(stage.events)
    with pytest.raises(HarnessError, match="still runs"):
        stage.server.restart()
    child = stage.server.server_cmd()
    assert child is not None
    child.kill()
    with pytest.raises(OperationError) as raised:
        bob.restore(snapshot)
    assert raised.value.cause == "unreachable"
    with pytest.raises(OperationError) as raised:
        alice.create(a_tree(stage), "run/0-3")
    assert (raised.value.cause, raised.value.outcome) == ("unreachable", Outcome.FAILED)
    stage.server.restart()
    assert alice.access == access
    assert comes_back(bob.restore(snapshot), source)
    states = [event.state for event in stage.events[began:] if isinstance(event, ServerEvent)]
    assert states == ["died", "starting", "ready"]
    assert "run/0-3" not in alice.listed().values()


def in_the_middle(stage: Stage, alice: Player, op: str, do: Callable[[Context], object]) -> OperationError | str:
    """``do`` when the first data of a large snapshot has come to the repository; what became of the snapshot."""
    source, known = a_tree(stage, LARGE_BYTES), set(packs(stage.around.repository))
    ctx = Context(client=alice.ctx.client, cancel=CancelToken()).within(COMES_S)
    with ThreadPoolExecutor(1) as thread:
        made: Future[tuple[str, object]] = thread.submit(alice.client.create, ctx, source, op)
        assert eventually(lambda: set(packs(stage.around.repository)) - known or made.done(), COMES_S)
        do(ctx)
        error = made.exception()
    if error is None:
        return made.result()[0]
    assert isinstance(error, OperationError), error
    return error


def must_be_settled(stage: Stage, alice: Player, op: str, became: OperationError | str, cause: str) -> None:
    """UNKNOWN, and both sides' listings agree on what is really there."""
    ops = set(alice.listed().values())
    assert ops == {row.op for row in stage.server.snapshot_ids(alice.within())}
    if isinstance(became, str):
        assert op in ops
        return  # it was quicker than we were
    assert (became.cause, became.outcome) == (cause, Outcome.UNKNOWN)
    if op in ops:
        snapshot = next(name for name, made_by in alice.listed().items() if made_by == op)
        assert (alice.restore(snapshot) / "file").stat().st_size == LARGE_BYTES, "it was saved before the end, and so must be whole"


@pytest.mark.slow
def test_a_client_killed_in_mid_snapshot_is_unknown_and_then_settled(stage: Stage, alice: Player) -> None:
    def kill(_ctx: Context) -> None:
        for process in running("snapshot", "create"):
            process.send_signal(signal.SIGKILL)

    must_be_settled(stage, alice, "run/0-4", in_the_middle(stage, alice, "run/0-4", kill), "killed")


@pytest.mark.slow
def test_a_snapshot_that_was_told_to_end_exits_well_and_is_unknown_and_listed_to_nobody(stage: Stage, alice: Player) -> None:
    became = in_the_middle(stage, alice, "run/0-5", lambda ctx: ctx.cancel.cancel("enough"))
    must_be_settled(stage, alice, "run/0-5", became, "cancelled")
    rows = all_snapshots(listed_on_the_server(stage, "snapshot", "list", "--all"))
    incomplete = {row.id for row in rows if row.incomplete}
    assert incomplete <= set(snapshot_manifests(listed_on_the_server(stage, "manifest", "list")))
    assert incomplete.isdisjoint(alice.listed())
    assert incomplete.isdisjoint(row.id for row in stage.server.snapshot_ids(alice.within()))
    if isinstance(became, OperationError) and "run/0-5" not in alice.listed().values():
        assert {row.op for row in rows if row.incomplete} >= {"run/0-5"}, "it was told to end, and says it did"


@pytest.mark.slow
def test_a_server_killed_in_mid_snapshot_leaves_it_unknown_and_then_settled(stage: Stage, alice: Player) -> None:
    def kill(_ctx: Context) -> None:
        child = stage.server.server_cmd()
        assert child is not None
        child.kill()

    became = in_the_middle(stage, alice, "run/0-6", kill)
    stage.server.restart()
    must_be_settled(stage, alice, "run/0-6", became, "unreachable")


def test_a_deadline_ends_a_command_and_leaves_it_unknown(stage: Stage, alice: Player) -> None:
    with pytest.raises(OperationError) as raised:
        alice.client.create(alice.ctx.within(0.05), a_tree(stage), "run/0-7")
    assert (raised.value.cause, raised.value.outcome) == ("timeout", Outcome.UNKNOWN)


@pytest.mark.slow
def test_maintenance_without_margins_really_deletes_beside_the_running_server_and_nothing_that_lives(
    stage: Stage, alice: Player, bob: Player
) -> None:
    kept_source = a_tree(stage)
    kept, gone = alice.create(kept_source, "run/0-8"), alice.create(a_tree(stage, 30_000_000), "run/0-9")
    alice.delete(gone)
    freed = stage.server.run_gc(alice.within(), GcOptions()).freed_bytes
    assert freed > 25_000_000
    assert comes_back(bob.restore_cold(kept), kept_source), "the server knows at once what is where"
    assert alice.create(a_tree(stage), "run/0-10") in bob.listed()
    assert stage.server.verify(alice.within()).clean


def test_a_second_maintenance_does_nothing_and_says_so(stage: Stage, alice: Player) -> None:
    lock = Path(f"{server_of(stage)._config}.mlock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OperationError) as raised:
            stage.server.run_gc(alice.within(), GcOptions())
    assert (raised.value.cause, raised.value.outcome) == ("contended", Outcome.FAILED)


def test_no_secret_stands_on_a_command_line(stage: Stage, alice: Player) -> None:
    line = " ".join(" ".join(command) for command in stage.children.commands)
    secrets = (alice.access.password, server_of(stage)._control_password, server_of(stage)._environment["KOPIA_PASSWORD"])
    assert all(secret and secret not in line for secret in secrets)


def test_a_repository_of_somebody_else_is_refused(tmp_path: Path) -> None:
    stage = Stage(KopiaTarget(), tmp_path / "stage", Preset())
    (stage.around.repository / "kopia.repository.f").write_bytes(b"somebody's")
    try:
        with pytest.raises(UsageError, match="not made by seatrial"):
            stage.server.connect_or_create_repo(stage.around.repository)
    finally:
        stage.close()
