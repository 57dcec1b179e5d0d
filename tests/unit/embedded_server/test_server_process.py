"""The server as the engine has it: a child, its events, its users, its maintenance commands."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from seatrial.children import Children
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import EmbeddedSettings, GcOptions, Preset
from seatrial.context import Context, new_client_context
from seatrial.errors import CancelledError, OperationError, TargetError, UsageError
from seatrial.history.events import Event, ServerEvent
from seatrial.targets.embedded.control import Control
from seatrial.targets.embedded.process import EmbeddedServer
from seatrial.targets.protocols import GcStats, Surroundings
from seatrial.targets.registry import target_named, target_names
from seatrial.verdicts import Outcome
from tests.support.processes import alive
from tests.support.waiting import eventually


class Stage:
    """A prefix, the children and the events of one test."""

    def __init__(self, prefix: Path) -> None:
        self.prefix, self.children = prefix, Children()
        self.events: list[Event] = []
        self.repository = prefix / "robustness-data"
        self.around = Surroundings(
            preset=Preset(embedded=EmbeddedSettings(fsync=False)),
            repository=self.repository,
            base=prefix / "base",
            server_log=prefix / "server.log",
            children=self.children,
            emit=self.events.append,
        )

    def server(self, **embedded: object) -> EmbeddedServer:
        return EmbeddedServer(replace(self.around, preset=Preset(embedded=EmbeddedSettings(fsync=False, **embedded))))  # type: ignore[arg-type]  # a double, or fields by name

    def states(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, ServerEvent)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.children.close()


@pytest.fixture
def own(stage: Stage) -> Iterator[EmbeddedServer]:
    """A server that a test may kill."""
    made = stage.server()
    made.connect_or_create_repo(stage.repository)
    yield made
    made.cleanup()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One for tests that leave it as it is."""
    stage = Stage(tmp_path_factory.mktemp("embedded-process"))
    made = stage.server()
    made.connect_or_create_repo(stage.repository)
    yield made
    made.cleanup()
    stage.children.close()


def pid_of(server: EmbeddedServer) -> int:
    child = server.server_cmd()
    assert child is not None
    return child.pid


def test_it_starts_makes_the_repository_and_ends(stage: Stage, own: EmbeddedServer) -> None:
    assert (stage.repository / "config").is_file()
    assert stage.states() == ["starting", "ready"]
    ready = stage.events[1]
    assert isinstance(ready, ServerEvent)
    assert (ready.pid, ready.address.startswith("https://127.0.0.1:")) == (pid_of(own), True)
    assert len(own.server_fingerprint()) == 64
    pid = pid_of(own)
    own.cleanup()
    own.cleanup()
    assert stage.states() == ["starting", "ready", "stopping", "stopped"]
    stopped = stage.events[-1]
    assert isinstance(stopped, ServerEvent) and stopped.exit_code == 0
    assert not alive(pid)
    assert own.frame() is None


def test_an_existing_repository_is_taken_up_again(stage: Stage, own: EmbeddedServer) -> None:
    before = (stage.repository / "config").read_bytes()
    own.cleanup()
    again = stage.server()
    again.connect_or_create_repo(stage.repository)
    assert (stage.repository / "config").read_bytes() == before
    assert again.snapshot_ids(Context().within(30)) == []
    again.cleanup()


def test_a_repository_that_is_not_ours_is_refused_untouched(stage: Stage) -> None:
    stage.repository.mkdir()
    (stage.repository / "config").write_bytes(b"somebody's")
    with pytest.raises(UsageError, match="not made by seatrial") as caught:
        stage.server().connect_or_create_repo(stage.repository)
    assert "--repo-path-prefix" in caught.value.remedy
    assert stage.states() == []
    assert [path.name for path in stage.repository.iterdir()] == ["config"]


def test_the_secrets_are_private_and_on_no_command_line(stage: Stage, own: EmbeddedServer) -> None:
    file = stage.prefix / "robustness-metadata" / "server-secrets.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    own.authorize_client("quiet-fox-1")
    access = own.access("quiet-fox-1")
    secrets = [access.password, access.repository_password, own._admin_password]
    child = own.server_cmd()
    assert child is not None
    text = " ".join(child.argv) + stage.around.server_log.read_text() + str(stage.events) + repr(access)
    assert [secret for secret in secrets if secret in text] == []


def test_a_client_gets_in_until_it_is_removed(server: EmbeddedServer) -> None:
    with pytest.raises(OperationError, match="not authorised"):
        server.access("quiet-fox-1")
    server.authorize_client("quiet-fox-1")
    access = server.access("quiet-fox-1")
    server.authorize_client("quiet-fox-1")
    assert server.access("quiet-fox-1") == access
    control = Control(access)
    with pytest.raises(OperationError, match="403"):  # let in, but not there
        control.status()
    server.remove_client("quiet-fox-1")
    server.remove_client("quiet-fox-1")
    with pytest.raises(OperationError, match="401"):
        control.status()
    control.close()
    with pytest.raises(OperationError, match="not authorised"):
        server.access("quiet-fox-1")


def test_another_certificate_is_not_trusted(server: EmbeddedServer) -> None:
    server.authorize_client("quiet-fox-1")
    control = Control(msgspec.structs.replace(server.access("quiet-fox-1"), fingerprint="0" * 64))
    with pytest.raises(OperationError, match=r"(?i)fingerprint"):
        control.status()
    control.close()


def test_the_frame_tells_what_the_server_does(server: EmbeddedServer) -> None:
    frame = server.frame()
    assert frame is not None
    assert frame.stored_bytes > 0
    assert frame.requests["put-config"] == 1


def test_a_death_is_told_at_once_with_its_last_words(stage: Stage, own: EmbeddedServer) -> None:
    began = SYSTEM_CLOCK.monotonic_s()
    os.kill(pid_of(own), signal.SIGKILL)
    assert eventually(lambda: stage.states()[-1] == "died")
    assert SYSTEM_CLOCK.monotonic_s() - began < 2
    died = stage.events[-1]
    assert isinstance(died, ServerEvent)
    assert (died.exit_code, "INFO  ready" in died.detail) == (-9, True)
    assert own.frame() is None
    with pytest.raises(OperationError) as caught:
        own.authorize_client("quiet-fox-1")
    assert caught.value.cause == "unreachable"


def test_a_restart_after_a_death_keeps_port_certificate_and_users(stage: Stage, own: EmbeddedServer) -> None:
    own.authorize_client("quiet-fox-1")
    access = own.access("quiet-fox-1")
    os.kill(pid_of(own), signal.SIGKILL)
    assert eventually(lambda: stage.states()[-1] == "died")
    own.restart()
    assert own.access("quiet-fox-1") == access
    control = Control(access)
    with pytest.raises(OperationError, match="403"):
        control.status()
    control.close()
    frame = own.frame()
    assert frame is not None and frame.restarts == 1
    assert stage.states()[-2:] == ["starting", "ready"]


def test_a_port_in_use_is_named_with_the_servers_last_words(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = stage.server(port=port)
        with pytest.raises(TargetError, match="port in use") as caught:
            server.connect_or_create_repo(stage.repository)
        assert caught.value.where == f"port {port}"
        assert "exit code 4" in str(caught.value)
        server.cleanup()
    assert eventually(lambda: stage.states() == ["starting", "died"])


def test_gc_verify_and_listing_answer_with_records(server: EmbeddedServer) -> None:
    ctx = new_client_context().within(60)
    assert server.run_gc(ctx, GcOptions()) == GcStats()
    assert server.verify(ctx).clean
    assert server.snapshot_ids(ctx) == []
    assert server.run("snapshots")[0].strip() == "[]"


def test_a_maintenance_command_past_its_deadline_is_unknown(server: EmbeddedServer) -> None:
    with pytest.raises((OperationError, CancelledError)) as caught:
        server.verify(Context().within(0.05))
    assert not isinstance(caught.value, OperationError) or (caught.value.outcome, caught.value.cause) == (Outcome.UNKNOWN, "timeout")
    assert server.verify(Context().within(60)).clean  # and no lock is left that would block


def test_the_registry_knows_the_target_and_the_nearest_name() -> None:
    assert "embedded" in target_names()
    target = target_named("embedded")
    assert (target.name, target.availability(Preset()).usable) == ("embedded", True)
    with pytest.raises(UsageError) as caught:
        target_named("embeded")
    assert caught.value.remedy == "did you mean embedded?"
    with pytest.raises(UsageError, match="unknown target 'zzz'"):
        target_named("zzz")


def test_the_target_makes_server_and_client_and_verify_sees_a_flipped_bit(stage: Stage, tmp_path: Path) -> None:
    target = target_named("embedded")
    server = target.make_server(stage.around)
    server.connect_or_create_repo(stage.repository)
    server.authorize_client("quiet-fox-1")
    ctx = new_client_context().within(60)
    client = target.make_client(stage.around, tmp_path / "client")
    client.connect(ctx, server.access("quiet-fox-1"))
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    (source / "file").write_bytes(b"what went in")
    snapshot, _ = client.create(ctx, source, "run/1")
    assert [row.id for row in server.snapshot_ids(ctx)] == [snapshot]
    client.restore(ctx, snapshot, into)
    assert (into / "file").read_bytes() == b"what went in"
    pack = max(stage.repository.glob("data/*/*"), key=lambda path: path.stat().st_size)
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    pack.write_bytes(damaged)
    verification = server.verify(ctx)
    assert not verification.clean
    assert any(pack.name[:8] in problem for problem in verification.problems)
    client.cleanup()
    server.cleanup()
