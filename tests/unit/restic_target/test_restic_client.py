"""The real restic as a client: as few commands as can be, and what it leaves behind when it is killed."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import GcOptions, Preset
from seatrial.context import CancelToken, Context
from seatrial.errors import CancelledError, OperationError
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.locks import LockInfo
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import Access, CreateStats, ListedSnapshot
from seatrial.targets.restic import output
from seatrial.targets.restic.client import ResticClient
from seatrial.targets.restic.own import OwnClient
from seatrial.targets.restic.program import RESTIC
from seatrial.verdicts import Outcome
from tests.support.restic import NOISE, Bench, open_stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs_program("restic")


def started(bench: Bench, since: int) -> list[str]:
    """The restic commands since then, by their names."""
    words = ("backup", "restore", "forget", "snapshots", "prune", "check")
    return [word for command in bench.stage.children.commands[since:] for word in command if word in words]


def leave_lock(access: Access, *, exclusive: bool) -> None:
    """As a client leaves it that was killed: of this host, by a process that is dead."""
    dead = max(psutil.pids()) + 1
    while psutil.pid_exists(dead):
        dead += 1
    ctx, store = Context(clock=SYSTEM_CLOCK).within(20), RestStore(access)
    try:
        repository = Repository.open(ctx, store, access.repository_password)
        now = gojson.format_time(SYSTEM_CLOCK.now_ns())
        info = LockInfo(time=now, exclusive=exclusive, hostname=socket.gethostname(), username="root", pid=dead)
        name, sealed = repository.seal_file(gojson.encode(info))
        store.put(ctx, Kind.LOCK, name, sealed)
    finally:
        store.close()


def test_each_action_is_one_command(bench: Bench) -> None:
    player, server = bench.player, bench.stage.server
    snapshot = bench.snapshot()
    assert len(snapshot) == 64, "0.14 tells eight digits"
    since = len(bench.stage.children.commands)
    kept = bench.snapshot()
    player.restore(kept)
    player.listed()
    player.delete(snapshot)
    player.client.connect(player.within(), player.access)
    server.run_gc(player.within(), GcOptions())
    assert server.verify(player.within()).clean
    assert [row.id for row in server.snapshot_ids(player.within())] == [kept]
    assert started(bench, since) == ["backup", "restore", "snapshots", "forget", "prune", "check", "snapshots"]


def test_an_empty_directory_is_stored_and_comes_back(bench: Bench) -> None:
    snapshot = bench.player.create(bench.empty, "run/1-9")
    assert list(bench.player.restore(snapshot).iterdir()) == []


@pytest.mark.parametrize(
    "why", [None, OperationError("nobody there", cause="unreachable", outcome=Outcome.FAILED), CancelledError("enough")]
)
def test_a_snapshot_whose_whole_id_nobody_tells_is_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch, why: Exception | None) -> None:
    """0.14 tells eight digits: here neither its cache nor a listing tells the others."""
    client = bench.player.client

    def listing(_ctx: Context) -> list[ListedSnapshot]:
        if why is not None:
            raise why
        return []

    monkeypatch.setattr(output, "created", lambda _stdout: ("00000000", CreateStats()))
    monkeypatch.setattr(client, "list", listing)
    with pytest.raises(OperationError) as caught:
        client.create(bench.player.within(), bench.source, "run/1-8")
    assert caught.value.outcome is Outcome.UNKNOWN


def test_what_ours_stored_below_its_path_comes_back_as_what_it_is(bench: Bench) -> None:
    directory = bench.stage.place / "ours"
    directory.mkdir()
    ours = OwnClient(bench.stage.around, directory)
    ours.connect(bench.player.within(), bench.player.access)
    try:
        snapshot, _ = ours.create(bench.player.within(), bench.source, "run/2-1")
        restored = bench.player.restore(snapshot)
        assert [path.name for path in restored.iterdir()] == ["file"]
        back = bench.stage.place / "back"
        back.mkdir()
        ours.restore(bench.player.within(), bench.snapshot(), back)
        assert (back / "file").read_bytes() == (restored / "file").read_bytes() == (bench.source / "file").read_bytes()
    finally:
        ours.cleanup()


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_lock_of_a_dead_client_is_in_nobodys_way(bench: Bench, *, exclusive: bool) -> None:
    leave_lock(bench.player.access, exclusive=exclusive)
    snapshot = bench.snapshot()
    leave_lock(bench.player.access, exclusive=exclusive)
    bench.player.delete(snapshot)
    leave_lock(bench.player.access, exclusive=exclusive)
    bench.stage.server.run_gc(bench.player.within(), GcOptions())
    assert list((bench.repository / "locks").iterdir()) == []


def test_on_a_server_of_others_only_our_own_dead_ones_lock_is_removed(bench: Bench) -> None:
    directory = bench.stage.place / "beside"
    directory.mkdir()
    beside = ResticClient(
        replace(bench.stage.around, preset=Preset(server=bench.player.access.url)), RESTIC.find(bench.stage.around.preset.exe), directory
    )
    source, snapshot = bench.stage.place / "large", bench.snapshot()
    source.mkdir()
    (source / "file").write_bytes(NOISE)
    locks = bench.repository / "locks"
    beside.connect(bench.player.within(), bench.player.access)
    leave_lock(bench.player.access, exclusive=False)
    theirs = set(locks.iterdir())
    try:
        cancel = CancelToken()
        with ThreadPoolExecutor(1) as threads:
            made = threads.submit(beside.create, Context(client=bench.player.ctx.client, cancel=cancel).within(60), source, "run/1-7")
            assert eventually(lambda: set(locks.iterdir()) - theirs or made.done(), 60)
            for process in psutil.Process().children(recursive=True):
                if "backup" in process.cmdline():
                    process.kill()
            with contextlib.suppress(OperationError):
                made.result()
        assert set(locks.iterdir()) == theirs
        with pytest.raises(OperationError) as caught:
            beside.delete(bench.player.within(), snapshot)
        assert caught.value.cause == "contended"
        assert set(locks.iterdir()) == theirs
    finally:
        beside.cleanup()
        for lock in theirs:
            lock.unlink(missing_ok=True)


def test_the_lock_of_the_living_is_respected(bench: Bench) -> None:
    with bench.locked():
        with pytest.raises(OperationError) as caught:
            bench.stage.server.run_gc(bench.player.within(), GcOptions(retry_lock_s=0))
        assert len(list((bench.repository / "locks").iterdir())) == 1
    assert (caught.value.cause, caught.value.outcome) == ("contended", Outcome.FAILED)


def test_another_certificate_than_the_pinned_one_is_refused(bench: Bench) -> None:
    access = bench.player.access
    wrong = Access(
        url=access.url, fingerprint="0" * 64, user=access.user, password=access.password, repository_password=access.repository_password
    )
    player = bench.stage.join()
    with pytest.raises(OperationError, match="another certificate") as caught:
        player.client.connect(player.within(), wrong)
    assert (caught.value.cause, caught.value.outcome) == ("denied", Outcome.FAILED)


def test_nothing_of_the_users_reaches_restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTIC_REPOSITORY_FILE", "/nowhere")  # restic refuses to run with two repositories
    monkeypatch.setenv("RESTIC_CACHE_DIR", "/nowhere")
    stage = open_stage(tmp_path / "stage")
    try:
        bench = Bench(stage)
        assert bench.snapshot() in bench.player.listed()
    finally:
        stage.close()


def test_a_password_in_an_address_that_restic_cannot_read_is_not_passed_on(bench: Bench) -> None:
    access = bench.player.access
    for password, hidden in (("100%/hidden", "100%25%2Fhidden"), ("e", ":e@")):
        of_a_zone = msgspec.structs.replace(access, url="https://[fe80::1%zone]:1/", password=password)
        done = bench.run("list", "snapshots", on=bench.commands(of_a_zone))
        assert done.returncode == 1
        assert "***[fe80" in done.stderr
        assert hidden not in done.stderr + done.stdout


def test_an_append_only_server_refuses_deletes_and_its_own_side_collects(tmp_path: Path) -> None:
    stage = open_stage(tmp_path / "stage", append_only=True)
    try:
        bench = Bench(stage)
        snapshot = bench.snapshot()
        began_s = SYSTEM_CLOCK.monotonic_s()
        with pytest.raises(OperationError) as caught:
            bench.player.delete(snapshot)
        assert (caught.value.cause, caught.value.outcome) == ("append-only", Outcome.FAILED)
        assert SYSTEM_CLOCK.monotonic_s() - began_s < 30, "0.14 by itself asks again for 43 s"
        assert list((bench.repository / "locks").iterdir()) == [], "the exclusive lock of the one that was given up"
        stage.server.run_gc(bench.player.within(), GcOptions())
        assert snapshot in bench.player.listed()
    finally:
        stage.close()
