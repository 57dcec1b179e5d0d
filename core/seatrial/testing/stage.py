"""What the conformance suite plays on: one target with a server of its own, and clients that join it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from seatrial.checker.compare import Difference, compare
from seatrial.checker.fingerprint import Fingerprint, fingerprint
from seatrial.children import Child, Children, Completed
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import Preset
from seatrial.context import Context, new_client_context, unwrap_context
from seatrial.history.events import Event, ServerEvent
from seatrial.resources import marked_directory
from seatrial.targets.protocols import Access, ListedSnapshot, Server, Surroundings, Target, TargetClient

OPERATION_S = 60.0
"""For one operation of a client, on a machine with something else to do."""
_LOOK_AGAIN_S = 0.01


class NotConforming(AssertionError):
    """The target does not hold what every target must."""


def must(held: object, otherwise: str) -> None:
    """Raise ``NotConforming`` with ``otherwise`` unless ``held``."""
    if not held:
        raise NotConforming(otherwise)


def eventually(condition: Callable[[], object], timeout_s: float) -> bool:
    """Whether ``condition`` becomes true within ``timeout_s``."""
    until_s = SYSTEM_CLOCK.monotonic_s() + timeout_s
    while not condition():
        if SYSTEM_CLOCK.monotonic_s() > until_s:
            return False
        SYSTEM_CLOCK.wait(threading.Event(), _LOOK_AGAIN_S)
    return True


class WatchedChildren(Children):
    """Remembers every command line. Threading: any thread; a list's ``append`` needs no lock."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[tuple[str, ...]] = []

    def spawn(self, argv: Sequence[str], **how: Any) -> Child:
        self.commands.append(tuple(argv))
        return super().spawn(argv, **how)

    def run(self, argv: Sequence[str], **how: Any) -> Completed:
        self.commands.append(tuple(argv))
        return super().run(argv, **how)


class Player:
    """One client, connected. Threading: one thread at a time."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.ctx = stage, new_client_context(Context())
        self.name = unwrap_context(self.ctx).id
        self.directory = stage.around.base / f"client-{self.name}"
        self.directory.mkdir()
        self.client: TargetClient = stage.target.make_client(stage.around, self.directory)
        self._restores = 0

    @property
    def access(self) -> Access:
        return self.stage.server.access(self.name)

    def join(self) -> Player:
        """Be let in, and connect."""
        self.stage.server.authorize_client(self.name)
        self.connect()
        return self

    def connect(self) -> None:
        self.client.connect(self.within(), self.access)

    def create(self, source: Path, op: str) -> str:
        return self.client.create(self.within(), source, op)[0]

    def restore(self, snapshot: str) -> Path:
        """Into a new directory, which is returned."""
        into = self.new_directory()
        self.client.restore(self.within(), snapshot, into)
        return into

    def restore_cold(self, snapshot: str) -> Path:
        """The same with nothing cached."""
        self.client.drop_caches()
        return self.restore(snapshot)

    def new_directory(self) -> Path:
        self._restores += 1
        into = self.stage.place / f"restored-{self.name}-{self._restores}"
        into.mkdir()
        return into

    def delete(self, snapshot: str) -> None:
        self.client.delete(self.within(), snapshot)

    def listed(self) -> dict[str, str]:
        """Operations by snapshot id. An id that is listed twice does not conform."""
        return by_id(self.client.list(self.within()))

    def within(self, timeout_s: float = OPERATION_S) -> Context:
        return self.ctx.within(timeout_s)


def by_id(rows: Sequence[ListedSnapshot]) -> dict[str, str]:
    """Operations by snapshot id."""
    listed = {row.id: row.op for row in rows}
    must(len(listed) == len(rows), f"one id is listed more than once: {[row.id for row in rows]}")
    return listed


class Stage:
    """A server and its clients. Owns all it starts; ``close`` ends it. Threading: made and closed by one thread, used by any."""

    def __init__(self, target: Target, place: Path, preset: Preset, *, prefix: Path | None = None) -> None:
        """``place``: a new directory. ``prefix``: where a repository may be already; None for one in ``place``."""
        self.target, self.place = target, place
        place.mkdir()
        self._others = set(psutil.Process().children(recursive=True))
        self.events: list[Event] = []
        self.prefix = prefix or place / "prefix"
        for directory in (self.prefix / "robustness-data", self.prefix / "robustness-metadata"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.children = WatchedChildren()
        self.around = Surroundings(
            preset=preset,
            repository=self.prefix / "robustness-data",
            base=marked_directory(place / "base"),
            server_log=place / "server.log",
            children=self.children,
            emit=self.events.append,
        )
        self.server: Server = target.make_server(self.around)
        self.players: list[Player] = []
        self._ops = 0
        self._sources = 0

    def open(self) -> Stage:
        """Start the server."""
        try:
            self.server.connect_or_create_repo(self.around.repository)
        except BaseException:
            self.close()
            raise
        return self

    def join(self) -> Player:
        """One more client, connected."""
        player = Player(self)
        self.players.append(player)
        return player.join()

    def close(self) -> None:
        """Clients first, then the server, then whatever runs. Idempotent."""
        with ExitStack() as undo:
            undo.callback(self.children.close)
            undo.callback(self.server.cleanup)
            for player in self.players:
                undo.callback(player.client.cleanup)

    def new_op(self) -> str:
        self._ops += 1
        return f"conformance/0-{self._ops}"

    def new_source(self) -> Path:
        """Where a tree may be made."""
        self._sources += 1
        return self.place / f"source-{self._sources}"

    def seen(self, state: str) -> list[ServerEvent]:
        """What the server's process was said to do."""
        return [event for event in self.events if isinstance(event, ServerEvent) and event.state == state]

    def processes(self) -> list[psutil.Process]:
        """All that began since and descend from this process, but for the guard, which ends with ``close``."""
        ours = [process for process in psutil.Process().children(recursive=True) if process not in self._others]
        return [process for process in ours if process.pid != self.children.guard_pid]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server's processes stand still, so that nothing that is sent is answered; they go on afterwards."""
        child = self.server.server_cmd()
        must(child is not None, "server_cmd() is None: only an attached server has no process")
        process = psutil.Process(child.pid)  # type: ignore[union-attr]  # must() has seen to it
        group = [process, *process.children(recursive=True)]
        try:
            for each in group:
                with suppress(psutil.NoSuchProcess):
                    each.suspend()
            yield
        finally:
            for each in group:
                with suppress(psutil.NoSuchProcess):
                    each.resume()

    def print_of(self, tree: Path) -> Fingerprint:
        """The fingerprint with all that the target promises to keep."""
        return fingerprint(tree, keeps=self.target.traits.keeps)

    def differences(self, source: Fingerprint, restored: Path) -> list[Difference]:
        return compare(source.root, self.print_of(restored), source.nodes.get)
