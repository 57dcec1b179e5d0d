"""A server that somebody started by hand, and what a stranger keeps on it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import structs

from seatrial.config.model import Preset
from seatrial.context import Context, new_client_context
from seatrial.targets.embedded import attached
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.repository.repository import initialise
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import Access, Surroundings
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD, LiveServer

REPOSITORY_PASSWORD = "repository-password-of-a-stranger"


class Standing:
    """Our own embedded server, started by hand: nothing that a run does starts or stops it."""

    def __init__(self, home: Path, *, initialised: bool = True) -> None:
        self.home = home
        home.mkdir()
        self.live = LiveServer(home).start()
        self.live.add_client()
        self.bare = f"https://127.0.0.1:{self.live.port}/repository/"
        self.url = f"https://{CLIENT}@127.0.0.1:{self.live.port}/repository/?fingerprint={self.live.fingerprint}"
        self.access = Access(
            url=self.bare,
            fingerprint=self.live.fingerprint,
            user=CLIENT,
            password=CLIENT_PASSWORD,
            repository_password=REPOSITORY_PASSWORD,
        )
        if initialised:
            self._initialise()

    def _initialise(self) -> None:
        """As whoever runs the server does it; clients may not."""
        with closing(RestStore(structs.replace(self.access, user=ADMIN, password=ADMIN_PASSWORD))) as store:
            initialise(Context().within(20), store, REPOSITORY_PASSWORD)

    def environment(self, monkeypatch: Any) -> None:
        """The passwords, where seatrial looks for them."""
        monkeypatch.setenv(attached.PASSWORD, CLIENT_PASSWORD)
        monkeypatch.setenv(attached.REPOSITORY_PASSWORD, REPOSITORY_PASSWORD)

    def strangers_snapshot(self) -> tuple[str, Path]:
        """Made by a client that is none of seatrial's: (id, what is in it)."""
        source = self.home / "strangers-data"
        source.mkdir()
        (source / "diary").write_text("do not touch\n" * 1000)
        client = self.client("stranger")
        # restic's own tags may be anything; without ours it is nobody's of ours.
        made, _ = client.create(new_client_context(Context().within(20)), source, "")
        client.cleanup()
        return made, source

    def client(self, name: str) -> EmbeddedClient:
        """Connected."""
        directory = self.home / name
        directory.mkdir()
        around = Surroundings(
            preset=Preset(),
            repository=self.live.repository,
            base=self.home,
            server_log=self.home / "unused.log",
            children=None,  # type: ignore[arg-type]  # it starts none
            emit=lambda _: None,
        )
        client = EmbeddedClient(around, directory)
        client.connect(Context().within(20), self.access)
        return client

    def restored(self, snapshot: str) -> Path:
        """What is in it, as a client of its own reads it now."""
        client = self.client(f"reader-{snapshot[:8]}")
        into = self.home / f"restored-{snapshot[:8]}"
        into.mkdir()
        client.restore(Context().within(20), snapshot, into)
        client.cleanup()
        return into
