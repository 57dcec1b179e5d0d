"""The embedded server with a repository in it, and clients of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from seatrial.config.model import CacheSettings, Preset
from seatrial.context import Context
from seatrial.targets.embedded import maintenance
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.shared import SharedRepositories
from seatrial.targets.protocols import Access, Surroundings
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD, LiveServer
from tests.unit.embedded_repository.stores import PASSWORD


class Harbour:
    """A live server with an initialised repository."""

    def __init__(self, home: Path, **config: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.server = LiveServer(home, **config).start(create=False)
        self.server.add_client()
        self.home, self.shared = home, SharedRepositories()
        self.clients: list[EmbeddedClient] = []
        assert self.maintain("init")[0] == 0

    def access(self, user: str = CLIENT, password: str = CLIENT_PASSWORD) -> Access:
        return Access(
            url=f"https://127.0.0.1:{self.server.port}/repository/",
            fingerprint=self.server.fingerprint,
            user=user,
            password=password,
            repository_password=PASSWORD,
        )

    def admin(self) -> Access:
        return self.access(ADMIN, ADMIN_PASSWORD)

    def maintain(self, *argv: str, ctx: Context | None = None) -> tuple[int, Any]:
        stdin, stdout = io.BytesIO(msgspec.json.encode(self.admin()) + b"\n"), io.BytesIO()
        code = maintenance.main(argv, stdin=stdin, stdout=stdout, ctx=ctx)
        return code, msgspec.json.decode(stdout.getvalue())

    def client(
        self, *, cache: CacheSettings | None = None, connect: bool = True, shared: SharedRepositories | None = None
    ) -> EmbeddedClient:
        around = cast(Surroundings, SimpleNamespace(preset=Preset(cache=cache or CacheSettings())))
        directory = self.home / f"client-{len(self.clients)}"
        made = EmbeddedClient(around, directory, shared or self.shared)
        self.clients.append(made)
        if connect:
            made.connect(Context(), self.access())
        return made

    def close(self) -> None:
        for client in self.clients:
            client.cleanup()
        if self.server.alive():
            assert self.server.stop() == 0, self.server.log()


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """One for a module whose tests do not mind each other's snapshots."""
    made = Harbour(tmp_path_factory.mktemp("harbour"))
    yield made
    made.close()


@pytest.fixture
def make_harbour(tmp_path: Path) -> Iterator[Callable[..., Harbour]]:
    """For tests that need a server of their own."""
    made: list[Harbour] = []

    def make(**config: Any) -> Harbour:
        made.append(Harbour(tmp_path / f"harbour-{len(made)}", **config))
        return made[-1]

    yield make
    for harbour in made:
        harbour.close()
