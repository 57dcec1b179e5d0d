"""The real kopia's users: many let in at once, without a server, and after an attempt that failed half way; what a set-up leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.config.model import Preset
from seatrial.errors import OperationError
from seatrial.targets.kopia.client import KopiaClient
from seatrial.targets.kopia.program import PROGRAM
from seatrial.targets.kopia.server import KopiaServer
from seatrial.targets.kopia.target import KopiaTarget
from seatrial.testing.stage import Player, Stage
from tests.support.waiting import eventually

pytestmark = [pytest.mark.needs_program("kopia"), pytest.mark.timeout(400)]
_COMES_S = 60.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(KopiaTarget(), tmp_path_factory.mktemp("kopia") / "stage", Preset()).open()
    try:
        yield made
    finally:
        made.close()


def server_of(stage: Stage) -> KopiaServer:
    assert isinstance(stage.server, KopiaServer)
    return stage.server


def test_users_that_are_let_in_at_once_are_all_let_in(stage: Stage) -> None:
    players = [Player(stage) for _ in range(6)]
    with ThreadPoolExecutor(len(players)) as threads:
        list(threads.map(lambda player: stage.server.authorize_client(player.name), players * 2))
    for player in players:
        player.client.connect(player.within(), player.access)
        assert player.listed() == {}


def test_a_user_let_in_without_a_server_is_served_when_it_stands_again(stage: Stage) -> None:
    player, child = Player(stage), stage.server.server_cmd()
    assert child is not None
    child.kill()
    assert eventually(lambda: server_of(stage)._process.gone.cancelled, _COMES_S)
    stage.server.authorize_client(player.name)
    stage.server.restart()
    player.client.connect(player.within(), player.access)
    assert player.listed() == {}


@pytest.mark.parametrize("happened", [False, True])
def test_what_failed_with_a_user_can_be_done_again(stage: Stage, monkeypatch: pytest.MonkeyPatch, *, happened: bool) -> None:
    server, player = server_of(stage), Player(stage)
    whole, broken = server._users, ["add", "delete"]

    def users(what: str, user: str, *arguments: str) -> None:
        if what not in broken:
            return whole(what, user, *arguments)
        broken.remove(what)
        if happened:
            whole(what, user, *arguments)
        raise OperationError("the answer was lost", cause="timeout")

    monkeypatch.setattr(server, "_users", users)
    with pytest.raises(OperationError):
        server.authorize_client(player.name)
    server.authorize_client(player.name)
    player.client.connect(player.within(), player.access)
    with pytest.raises(OperationError):
        server.remove_client(player.name)
    server.remove_client(player.name)
    assert player.name not in server.run("server", "users", "list")[0]
    with pytest.raises(OperationError) as raised:
        player.client.list(player.within())
    assert raised.value.cause == "denied"


def test_a_repository_is_set_up_although_one_before_it_was(tmp_path: Path) -> None:
    """Somebody removed the repository and kept the metadata beside it."""
    stage = Stage(KopiaTarget(), tmp_path / "stage", Preset())
    metadata = stage.around.repository.parent / "robustness-metadata"
    metadata.mkdir(exist_ok=True)
    (metadata / "kopia-set-up").write_text(f"{stage.around.repository}\n")
    try:
        stage.open()
        assert "*@*" in stage.server.run("server", "acl", "list")[0]
    finally:
        stage.close()


def test_what_a_policy_of_somebody_elses_would_expire_stays(stage: Stage) -> None:
    player, server, source = stage.join(), server_of(stage), stage.new_source()
    source.mkdir()
    (source / "file").write_bytes(b"content")
    shorter = ("--keep-latest=1", *(f"--keep-{each}=0" for each in ("hourly", "daily", "weekly", "monthly", "annual")))
    server.run("policy", "set", "--global", *shorter)
    server._refresh_users()
    around = replace(stage.around, preset=Preset(server=player.access.url))
    directory = stage.place / "attached"
    directory.mkdir()
    client = KopiaClient(around, PROGRAM.find(), directory)
    try:
        client.connect(player.within(), player.access)
        made = [client.create(player.within(), source, f"run/0-{number}")[0] for number in range(3)]
        assert {row.id for row in client.list(player.within())} == set(made)
        for snapshot in made:
            client.delete(player.within(), snapshot)
        assert client.list(player.within()) == []
    finally:
        client.cleanup()
