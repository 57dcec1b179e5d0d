"""A borg repository that is there already, reached as its user reaches it: nothing is started, nobody is let in or turned out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from seatrial.children import Child
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName, GcOptions
from seatrial.context import Context
from seatrial.errors import HarnessError, OperationError, TargetError
from seatrial.history.events import ServerEvent
from seatrial.history.frames import CacheFrame, ServerFrame
from seatrial.targets.borg.command import PREFIX, own_places
from seatrial.targets.borg.maintenance import Maintenance
from seatrial.targets.borg.outcomes import TABLE
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import Access, GcStats, ListedSnapshot, Surroundings, Verification

_WHERE = "attached borg server"
_RUN_S = 60.0


class AttachedBorgServer:
    """``targets.protocols.Server`` for ``--server ssh://user@host:port/path``.

    ``BORG_PASSPHRASE``, ``BORG_RSH``, keys and ``~/.ssh`` are the user's and never pass through here. Threading: any thread; immutable.
    """

    absent: Mapping[ActionName, str] = MappingProxyType(
        {
            ActionName.GC: "compact would make for good whatever others have deleted",
            ActionName.VERIFY_REPOSITORY: "check would lock others out for as long as it reads",
            ActionName.REMOVE_CLIENT: "its keys are not seatrial's to take away",
        }
    )

    def __init__(self, around: Surroundings, borg: Found, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._url, self._clock, self._emit = around.preset.server, clock, around.emit
        home = around.base / "server"
        environment = own_places(home, self._url)
        self._maintenance = Maintenance(
            Commands(borg, TABLE, around.children, scratch=home / "tmp", env=environment, prefix=PREFIX),
        )

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """See that the repository is there and opens. Raises ``TargetError``."""
        try:
            self._maintenance.list(self._limited())
        except OperationError as error:
            raise TargetError(
                f"the repository cannot be opened: {error.what}",
                where=self._url,
                remedy="it must exist, BORG_PASSPHRASE must be set where it is encrypted, and ssh must let you in without asking",
            ) from error
        self._emit(ServerEvent(state="ready", address=self._url, detail="attached: it was there before us and stays"))

    def restart(self) -> None:
        raise HarnessError("it is not ours to start", where=_WHERE)

    def authorize_client(self, user: str) -> None:
        """All of them come as the user."""

    def remove_client(self, user: str) -> None:
        """As ``authorize_client``."""

    def access(self, user: str) -> Access:
        return Access(url=self._url, fingerprint="", user=user, password="", repository_password="")

    def run(self, *args: str) -> tuple[str, str]:
        """``borg *args`` on the repository, which is ``::`` to it."""
        return self._maintenance.run(self._limited(), *args)

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        raise HarnessError(self.absent[ActionName.GC], where=_WHERE)

    def verify(self, ctx: Context) -> Verification:
        raise HarnessError(self.absent[ActionName.VERIFY_REPOSITORY], where=_WHERE)

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return self._maintenance.list(ctx)

    def server_cmd(self) -> Child | None:
        return None

    def server_fingerprint(self) -> str:
        """Empty: the user's ``known_hosts`` vouches for the server."""
        return ""

    def caches(self) -> Sequence[CacheFrame]:
        return ()

    def drop_caches(self, ctx: Context) -> None:
        """Ours are none; the server's, if any, are not ours to drop."""

    def frame(self) -> ServerFrame | None:
        return None

    def cleanup(self) -> None:
        """There is nothing to stop."""

    def _limited(self) -> Context:
        return Context(clock=self._clock).within(_RUN_S)
