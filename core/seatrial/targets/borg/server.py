"""borg's server: ``borg serve`` behind a private ``sshd``, and the maintenance commands beside it, directly on the repository."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from seatrial.children import Child
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName, GcOptions
from seatrial.context import Context
from seatrial.errors import HarnessError, OperationError
from seatrial.history.frames import CacheFrame, ServerFrame
from seatrial.targets.borg.command import commands, surroundings
from seatrial.targets.borg.keys import new_key
from seatrial.targets.borg.maintenance import Maintenance
from seatrial.targets.borg.sshd import HOST, Sshd, user_name
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import Access, GcStats, ListedSnapshot, Surroundings, Verification
from seatrial.targets.secret import repository_secrets
from seatrial.verdicts import Outcome

_MAINTENANCE_S = 60.0
"""For commands whose caller gives no deadline: init, break-lock, run."""
_LOCKS = ("lock.exclusive", "lock.roster")


class BorgServer:
    """``targets.protocols.Server`` for the borg target.

    Threading: any thread; ``_lock`` guards the clients' keys, and is held while sshd's file of them is written.
    """

    absent: Mapping[ActionName, str] = MappingProxyType({})

    def __init__(self, around: Surroundings, borg: Found, sshd: Found, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._around, self._borg, self._clock = around, borg, clock
        self._home = around.base / "server"
        self._user = user_name()
        self._append_only = around.preset.borg.append_only
        # What a session writes stays below the base too.
        sessions = surroundings(self._home / "sessions", "", {"TZ": "UTC", "LC_ALL": "C.UTF-8"})
        del sessions["BORG_REPO"]
        self._sshd = Sshd(around, sshd, self._home / "sshd", sessions, clock=clock)
        self._lock = threading.Lock()
        self._keys: dict[str, str] = {}
        """The clients' private keys."""
        self._repository = around.repository
        self._passphrase = ""
        self._maintenance: Maintenance | None = None

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """Make the repository where there is none, start the ssh server; locks that were left are removed.

        Raises ``TargetError`` with the last lines of its log when it does not come up, ``UsageError`` for a repository that is not ours.
        """
        self._passphrase = repository_secrets(repo_path).repository_password
        self._repository = repo_path.absolute()
        environment = surroundings(self._home / "borg", str(self._repository), {"BORG_PASSPHRASE": self._passphrase})
        del environment["BORG_SELFTEST"]
        self._maintenance = maintenance = Maintenance(commands(self._borg, self._around.children, self._home / "borg", environment))
        if not (repo_path / "config").exists():
            maintenance.init(self._limited())
        elif any((repo_path / name).exists() for name in _LOCKS):
            # One server has a repository and this one knows no client yet, so no lock can have a holder. borg sees that itself only
            # where the process that held it ran under this machine's name.
            maintenance.break_locks(self._limited())
        self._sshd.start()

    def restart(self) -> None:
        """Start the ssh server again after its death: same port, host key and users. Raises ``TargetError``."""
        if self._sshd.process.child is None:
            raise HarnessError("restart before the first start", where="borg server")
        self._sshd.start()

    def authorize_client(self, user: str) -> None:
        command = [str(self._borg.path), "serve", "--restrict-to-repository", str(self._repository)]
        with self._lock:
            if user not in self._keys:
                key = new_key()
                self._sshd.authorize(user, key.public, [*command, "--append-only"] if self._append_only else command)
                self._keys[user] = key.private

    def remove_client(self, user: str) -> None:
        with self._lock:
            self._sshd.remove(user)
            self._keys.pop(user, None)

    def access(self, user: str) -> Access:
        with self._lock:
            key = self._keys.get(user)
        if key is None:
            raise OperationError(f"{user} is not authorised", cause="denied", outcome=Outcome.FAILED, where="borg server")
        return Access(
            url=f"ssh://{self._user}@{HOST}:{self._sshd.port}{self._repository}",
            fingerprint=self._sshd.fingerprint,
            user=user,
            password=key,
            repository_password=self._passphrase,
            server_key=self._sshd.known_host,
        )

    def run(self, *args: str) -> tuple[str, str]:
        """``borg *args`` on the repository, which is ``::`` to it; ``OperationError`` when it fails."""
        return self._opened().run(self._limited(), *args)

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        """``borg compact``. Not append-only: what clients have deleted until then is gone for good after it."""
        return self._opened().compact(ctx, options)

    def verify(self, ctx: Context) -> Verification:
        return self._opened().check(ctx)

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return self._opened().list(ctx)

    def server_cmd(self) -> Child | None:
        return self._sshd.process.child

    def server_fingerprint(self) -> str:
        return self._sshd.fingerprint

    def caches(self) -> Sequence[CacheFrame]:
        return ()

    def drop_caches(self, ctx: Context) -> None:
        """There are none: ``borg serve`` ends with its connection."""

    def frame(self) -> ServerFrame | None:
        process = self._sshd.process
        if process.child is None or process.closed:
            return None
        return ServerFrame(connections=self._sshd.connections(), restarts=process.restarts)

    def cleanup(self) -> None:
        self._sshd.stop()

    def _opened(self) -> Maintenance:
        if self._maintenance is None:
            raise HarnessError("the server has not been started", where="borg server")
        return self._maintenance

    def _limited(self) -> Context:
        return Context(clock=self._clock).within(_MAINTENANCE_S)
