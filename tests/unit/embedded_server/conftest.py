"""One server for tests that only speak to it, and a maker for those that need one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedded import CLIENT, CLIENT_PASSWORD, LiveServer, Speaker

Maker = Callable[..., LiveServer]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("embedded-server")).start()
    server.add_client()
    yield server
    assert server.alive(), server.log()
    assert server.stop() == 0, server.log()
    assert " defect " not in server.log()


@pytest.fixture
def admin(shared_server: LiveServer) -> Iterator[Speaker]:
    with shared_server.speaker() as speaker:
        yield speaker


@pytest.fixture
def client(shared_server: LiveServer) -> Iterator[Speaker]:
    with shared_server.speaker(CLIENT, CLIENT_PASSWORD) as speaker:
        yield speaker


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Maker]:
    made: list[LiveServer] = []

    def make(name: str = "own", **config: Any) -> LiveServer:
        home = tmp_path / name
        home.mkdir()
        made.append(LiveServer(home, **config))
        return made[-1]

    yield make
    for server in made:
        if server.alive():
            server.kill()
