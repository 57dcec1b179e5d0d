"""Clients of the borg target with the real program, over the real ssh."""

from __future__ import annotations

import errno
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from seatrial.children import Children
from seatrial.config.model import ActionName, BorgSettings, GcOptions, Preset
from seatrial.context import Context
from seatrial.errors import HarnessError, OperationError, TargetError, UsageError
from seatrial.targets.borg import sshd
from seatrial.targets.borg.command import OverSsh, archive_name, location, operation_of
from seatrial.targets.borg.keys import fingerprint_of
from seatrial.targets.borg.outcomes import TABLE
from seatrial.targets.borg.target import BorgTarget
from seatrial.targets.programs.commands import STARTED
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import ListedSnapshot
from seatrial.testing.stage import Player, Stage
from seatrial.verdicts import Outcome
from tests.support.borg import a_tree, raised_by, segments
from tests.support.waiting import eventually

needs_borg = pytest.mark.needs_program("borg", "sshd")
Opened = Callable[..., Stage]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens stages, in directories whose names need care; all are closed in the end, the last one first."""
    stages: list[Stage] = []

    def open_stage(preset: Preset = Preset(), *, prefix: Path | None = None) -> Stage:  # noqa: B008 (frozen)
        stages.append(Stage(BorgTarget(), tmp_path / f"stage {len(stages)} {{now}} %h ü", preset, prefix=prefix))
        return stages[-1].open()

    try:
        yield open_stage
    finally:
        for stage in reversed(stages):
            stage.close()


def stored_bytes(stage: Stage) -> int:
    return sum(path.stat().st_size for path in segments(stage))


@pytest.mark.parametrize("op", ["20261122-084823-smoke-a16b/0-12", "a.b_c-d/0-0"])
def test_the_name_of_an_archive_tells_who_made_it(op: str) -> None:
    name = archive_name(op)
    assert "/" not in name
    assert operation_of(name) == op


@pytest.mark.parametrize("name", ["", "backup-2026", "seatrial-op=", "seatrial-op=x", "seatrial-op=:1"])
def test_an_archive_that_is_not_ours_has_no_operation(name: str) -> None:
    assert operation_of(name) == ""


def test_braces_in_a_path_are_no_placeholders() -> None:
    assert location("ssh://u@h:1/a{now}b") == "ssh://u@h:1/a{{now}}b"


@needs_borg
def test_each_action_is_one_command_and_leaves_no_lock(opened: Opened) -> None:
    stage = opened()
    player = stage.join()
    source, op = a_tree(stage), stage.new_op()
    before = STARTED.started()
    made, stats = player.client.create(player.within(), source, op)
    assert player.listed() == {made: op}
    restored = player.restore(made)
    assert (restored / "file").read_bytes() == (source / "file").read_bytes()
    player.delete(made)
    assert STARTED.started() - before == {"create": 1, "list": 1, "restore": 1, "delete": 1}
    assert stats.files == 1
    assert min(stats.bytes_read, stats.bytes_added) >= 50_000
    assert not list(stage.around.repository.glob("lock.*"))
    # Nothing of the user's was read or written, and what it keeps is below its own directory.
    cache = player.client.cache_info()
    assert (cache.owner, cache.files > 0) == (player.name, True)
    assert Path(cache.path).is_relative_to(player.directory)
    player.client.drop_caches()
    assert player.client.cache_info().files == 0
    player.client.cleanup()
    assert list(player.directory.iterdir()) == []
    assert raised_by(lambda _: player.listed(), stage).cause == "disconnected"


@pytest.mark.slow
@needs_borg
def test_a_client_that_is_killed_in_mid_create_leaves_nothing_and_stops_nobody(opened: Opened) -> None:
    stage = opened()
    victim, other = stage.join(), stage.join()
    source, before, op = a_tree(stage, 60_000_000), stored_bytes(stage), stage.new_op()
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(victim.create, source, op)
        assert eventually(lambda: stored_bytes(stage) > before + 1_000_000, 30)
        clients = [process for process in stage.processes() if "create" in process.cmdline()]
        assert clients
        for process in clients:
            process.send_signal(signal.SIGKILL)
        error = future.exception()
    assert isinstance(error, OperationError)
    assert (error.cause, error.outcome) == ("killed", Outcome.UNKNOWN)
    made = other.create(a_tree(stage), stage.new_op())
    assert set(other.listed()) == {made}
    again = victim.create(source, op)  # it never came to be, so its name is free
    assert set(other.listed()) == {made, again}


@pytest.mark.slow
@needs_borg
def test_a_repository_is_found_again_with_the_locks_of_the_dead_removed(opened: Opened, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    first = opened(prefix=prefix)
    player = first.join()
    made = player.create(a_tree(first), first.new_op())
    first.close()
    lock = prefix / "robustness-data" / "lock.exclusive"
    lock.mkdir()
    (lock / f"another-machine@1.{os.getpid()}-0").touch()
    second = opened(prefix=prefix)
    again = second.join()
    assert list(again.listed()) == [made]
    again.restore(made)


def test_what_ssh_said_counts_where_borg_has_not_passed_it_on(tmp_path: Path) -> None:
    log, program = tmp_path / "ssh.log", tmp_path / "borg"
    log.write_text("Host key verification failed.\n")  # by an earlier command
    program.write_text(
        f"#!/bin/sh\necho 'u@h: Permission denied (publickey).' >> {log}\n"
        'echo \'{"levelname": "ERROR", "message": "Connection closed", "msgid": "ConnectionClosedWithHint"}\' >&2\nexit $1\n'
    )
    program.chmod(0o755)
    with Children() as children:
        borg = OverSsh(Found(path=program, version="1.2.4"), TABLE, children, scratch=tmp_path, env={}, ssh_log=log)
        with pytest.raises(OperationError) as caught:
            borg.run(Context(), "list", "2")
        assert (caught.value.cause, caught.value.outcome) == ("denied", Outcome.FAILED)
        assert borg.run(Context(), "list", "0").returncode == 0


@pytest.mark.slow
@needs_borg
def test_append_only_clients_delete_without_freeing_and_the_servers_side_frees(opened: Opened) -> None:
    stage = opened(Preset(borg=BorgSettings(append_only=True)))
    player = stage.join()
    doomed = player.create(a_tree(stage, 5_000_000), stage.new_op())
    kept = player.create(a_tree(stage), stage.new_op())
    full = stored_bytes(stage)
    player.delete(doomed)
    assert list(player.listed()) == [kept], "a deleted archive is listed by nobody"
    # Its own compact has no effect through an append-only server: the bytes are still there, and could be brought back.
    borg = player.client._connected()  # type: ignore[attr-defined]  # what no action does
    borg.run(player.within(), "compact", "compact", "--threshold", "0")
    assert stored_bytes(stage) >= full
    assert (stage.around.repository / "transactions").read_text().count("transaction") >= 3
    freed = stage.server.run_gc(player.within(), GcOptions()).freed_bytes
    assert freed > 4_900_000
    assert stored_bytes(stage) < full - 4_900_000
    assert stage.server.verify(player.within(60)).clean
    player.restore(kept)


@pytest.fixture
def somebodys(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> tuple[Stage, Player]:
    """A server that is somebody else's, and its user, whose settings are in the environment."""
    stage = opened()
    user = stage.join()
    monkeypatch.setenv("BORG_PASSPHRASE", user.access.repository_password)
    monkeypatch.setenv("BORG_RSH", shlex.join(["ssh", "-F", str(user.directory / "borg" / "ssh_config")]))
    return stage, user


@pytest.mark.slow
@needs_borg
def test_an_attached_server_is_only_spoken_to(somebodys: tuple[Stage, Player], opened: Opened) -> None:
    owners, user = somebodys
    foreign = user.create(a_tree(owners), "not/ours")
    attached = opened(Preset(server=user.access.url))
    server = attached.server
    assert (server.server_cmd(), server.frame(), list(server.caches())) == (None, None, [])
    assert set(server.absent) == {ActionName.GC, ActionName.VERIFY_REPOSITORY, ActionName.REMOVE_CLIENT}
    player = attached.join()
    op = attached.new_op()
    made = player.create(a_tree(attached), op)
    assert player.listed()[made] == op
    player.restore(made)
    player.delete(made)
    server.remove_client(player.name)
    assert server.snapshot_ids(player.within()) == [ListedSnapshot(id=foreign, op="not/ours")]
    for refused in (server.restart, lambda: server.run_gc(player.within(), GcOptions()), lambda: server.verify(player.within())):
        with pytest.raises(HarnessError):
            refused()
    attached.close()
    child = owners.server.server_cmd()
    assert child is not None
    assert child.returncode is None


@needs_borg
def test_an_attached_server_that_does_not_let_us_in_is_told_with_a_remedy(
    somebodys: tuple[Stage, Player], opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BORG_PASSPHRASE", "another")
    with pytest.raises(TargetError, match="passphrase") as caught:
        opened(Preset(server=somebodys[1].access.url))
    assert "BORG_PASSPHRASE" in caught.value.remedy


@needs_borg
@pytest.mark.parametrize("server", ["/a/path", "https://host/repo", "ssh://host"])
def test_an_address_that_is_none_of_borgs_is_a_usage_error(server: str, opened: Opened) -> None:
    with pytest.raises(UsageError, match="not a borg server"):
        opened(Preset(server=server))


@needs_borg
def test_the_server_says_who_it_is_and_how_many_are_connected(opened: Opened) -> None:
    stage = opened()
    server = stage.server
    player = stage.join()
    assert server.server_fingerprint() == fingerprint_of(player.access.server_key.partition(" ")[2])

    def shown() -> tuple[int, int]:
        frame = server.frame()
        assert frame is not None
        return frame.connections, frame.restarts

    assert eventually(lambda: shown() == (0, 0)), shown()  # what it connected for has to end first
    child = server.server_cmd()
    assert child is not None
    assert psutil.Process(child.pid).name() == "sshd"
    server.cleanup()
    assert server.frame() is None
    assert not stage.processes()


def test_a_missing_program_is_told_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = BorgTarget().availability(Preset(exe=str(tmp_path / "borg")))
    assert not found.usable
    assert "BorgBackup" in found.how_to_get
    borg = tmp_path / "borg"
    borg.write_text("#!/bin/sh\necho borg 1.2.4\n")
    borg.chmod(0o755)
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho OpenSSH_9.2p1 >&2\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("SSHD_EXE", str(tmp_path / "no-sshd"))
    monkeypatch.setenv("SSH_EXE", str(ssh))
    without_sshd = BorgTarget().availability(Preset(exe=str(borg)))
    assert (without_sshd.usable, "openssh-server" in without_sshd.how_to_get) == (False, True)
    attached = BorgTarget().availability(Preset(exe=str(borg), server="ssh://host/path"))
    assert (attached.usable, attached.version) == (True, "1.2.4")


@needs_borg
def test_a_user_whose_key_could_not_be_written_is_let_in_or_turned_out_the_next_time(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = opened()
    player = Player(stage)

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fails_once(change: Callable[[str], object]) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(sshd, "write_private", full)
            with pytest.raises(OSError, match="No space left"):
                change(player.name)
        change(player.name)

    fails_once(stage.server.authorize_client)
    access = player.access
    player.client.connect(player.within(), access)
    fails_once(stage.server.remove_client)
    with pytest.raises(OperationError) as raised:
        player.client.connect(player.within(), access)
    assert raised.value.cause == "denied"
