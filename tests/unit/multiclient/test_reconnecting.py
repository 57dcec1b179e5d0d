"""A client whose connection could not be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.context import Context, new_client_context
from seatrial.errors import OperationError
from seatrial.multiclient.snapshotter import MultiClientSnapshotter


class Server:
    """Refuses connections while ``refuses``."""

    refuses = False

    def __init__(self) -> None:
        self.users: set[str] = set()

    def authorize_client(self, user: str) -> None:
        self.users.add(user)

    def remove_client(self, user: str) -> None:
        self.users.discard(user)

    def server_fingerprint(self) -> str:
        return "fingerprint"

    def server_cmd(self) -> None: ...

    def cleanup(self) -> None: ...


class Connection:
    """One client's snapshotter: it lists only while it is connected."""

    def __init__(self, server: Server) -> None:
        self._server, self._connected = server, False

    def connect_client(self, fingerprint: str, user: str) -> None:
        if self._server.refuses:
            raise OperationError("the server does not answer", cause="unreachable")
        self._connected = user in self._server.users

    def disconnect_client(self, user: str) -> None:
        self._connected = False

    def list_snapshots(self, ctx: Context) -> list[object]:
        if not self._connected:
            raise OperationError("not connected", cause="disconnected")
        return []

    def cleanup(self) -> None: ...


def test_its_next_action_connects_it_anew(tmp_path: Path) -> None:
    server: Any = Server()
    clients: Any = lambda *_: Connection(server)  # noqa: E731  # typed by its name
    snapshotter, ctx = MultiClientSnapshotter(tmp_path, clients, server), new_client_context()
    assert snapshotter.list_snapshots(ctx) == []
    server.refuses = True
    with pytest.raises(OperationError, match="does not answer"):
        snapshotter.reconnect(ctx)
    assert (server.users, list(tmp_path.iterdir())) == (set(), []), "nothing of it is left"
    server.refuses = False
    assert snapshotter.list_snapshots(ctx) == []
    snapshotter.cleanup()
