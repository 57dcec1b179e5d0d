"""A borg repository that is there already, reached as its user reaches it: nothing is started, nobody is let in or turned out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.errors import OperationError, TargetError
from seatrial.targets.attached import Attached
from seatrial.targets.borg.command import users_commands
from seatrial.targets.borg.maintenance import Maintenance
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import Access, ListedSnapshot, Surroundings

_RUN_S = 60.0


class AttachedBorgServer(Attached):
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
        # Without a fingerprint: the user's known_hosts vouches for the server.
        super().__init__(Access(url=around.preset.server, fingerprint="", user="", password="", repository_password=""), around.emit)
        self._clock = clock
        self._maintenance = Maintenance(users_commands(borg, around.children, around.base / "server", self._access.url))

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """See that the repository is there and opens. Raises ``TargetError``."""
        try:
            self._maintenance.list(self._limited())
        except OperationError as error:
            raise TargetError(
                f"the repository cannot be opened: {error.what}",
                where=self._access.url,
                remedy="it must exist, BORG_PASSPHRASE must be set where it is encrypted, and ssh must let you in without asking",
            ) from error
        self._tell_ready()

    def access(self, user: str) -> Access:
        return msgspec.structs.replace(self._access, user=user)

    def run(self, *args: str) -> tuple[str, str]:
        """``borg *args`` on the repository, which is ``::`` to it."""
        return self._maintenance.run(self._limited(), *args)

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return self._maintenance.list(ctx)

    def _limited(self) -> Context:
        return Context(clock=self._clock).within(_RUN_S)
