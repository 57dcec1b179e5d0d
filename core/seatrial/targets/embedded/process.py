"""The embedded server seen from the engine: a child process, its users, and its maintenance commands, which are children too."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from seatrial.children import Child, Completed
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName, EmbeddedSettings, GcOptions
from seatrial.context import Context
from seatrial.errors import HarnessError, NoSpaceError, OperationError, SeatrialError, UsageError
from seatrial.history.frames import CacheFrame, ServerFrame
from seatrial.targets.embedded.control import Control
from seatrial.targets.embedded.nodefaults import planned_faults
from seatrial.targets.embedded.outages import ClusterNews, Outages
from seatrial.targets.embedded.server.config import Admin, ClusterConfig, Limits, ServerConfig
from seatrial.targets.embedded.server.main import Ready
from seatrial.targets.embedded.server.store import BlobType
from seatrial.targets.embedded.server.users import digest_of
from seatrial.targets.private import make_private_directory
from seatrial.targets.programs.commands import decoded
from seatrial.targets.programs.served import ServedProcess
from seatrial.targets.protocols import Access, GcStats, ListedSnapshot, Surroundings, Verification
from seatrial.targets.secret import new_token, repository_secrets
from seatrial.verdicts import Outcome

_ADMIN = "admin"
_NAME = "embedded server"
_PROGRAM = (sys.executable, "-m", "seatrial.targets.embedded")
_PACKAGE_ROOT = Path(__file__).parents[3]
"""The children's working directory, which ``-m`` searches first: in a checkout they find the very code that runs here."""
_STOP_GRACE_S = 2.0
"""For the server's own end, on top of what it gives to running requests."""
_REBIND_S = 5.0
_MAINTENANCE_S = 60.0
"""For commands whose caller gives no deadline: init, unlock, run."""
_SAID_LINES = 20
_VOLATILE = "volatile"
"""A file that says that there is no repository on disk."""
T = TypeVar("T")


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    cause: str
    outcome: Outcome = Outcome.UNKNOWN
    message: str = ""


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What a maintenance command prints when it fails."""

    error: _Error


class EmbeddedServer:
    """``targets.protocols.Server`` for the embedded target.

    Threading: any thread. The lock guards the users' passwords; it is never held across a call to the server.
    """

    absent: Mapping[ActionName, str] = MappingProxyType({})

    def __init__(
        self,
        around: Surroundings,
        *,
        limits: Limits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        program: Sequence[str] = (*_PROGRAM, "serve"),
        append_only: bool = False,
    ) -> None:
        """``program`` is what serves; another one is for proving that its defects are caught. ``append_only``: clients delete nothing but
        locks."""
        self._append_only = append_only
        self._program = program
        self._around, self._limits, self._clock = around, limits or Limits(), clock
        self._home = around.base / "server"
        self._process = ServedProcess(around, _NAME, clock=clock)
        self._lock = threading.Lock()
        self._ready: Ready | None = None
        self._control: Control | None = None
        self._passwords: dict[str, str] = {}
        self._admin_password = new_token()
        self._repository: Path = around.repository
        self._repository_password = ""
        self._news = ClusterNews(around.emit)
        self._outages: Outages | None = None

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """Start the server on ``repo_path`` and make the repository where there is none; locks that were left are removed.

        Raises ``TargetError`` with the last lines of its log when it does not come up, ``UsageError`` for a repository that is not ours.
        """
        self._repository_password = repository_secrets(repo_path).repository_password
        self._repository = repo_path
        if self._around.preset.embedded.store == "cluster":
            _claim_for_one_run(repo_path)
        existing = (repo_path / BlobType.CONFIG.value).exists()
        self._start(self._around.preset.embedded.port, 0.0)
        # All of them: one server has a repository and this one knows no client yet, so no lock can have a holder. Which process held it
        # does not tell: its number may be another's now, and in a container of its own its machine is gone too.
        self._maintain(self._limited(), ["unlock", "--remove-all"] if existing else ["init"], msgspec.Raw)

    def restart(self) -> None:
        """Start it again after a death: same port, certificate, users and repository. Raises ``TargetError``."""
        if self._ready is None:
            raise HarnessError("restart before the first start", where=_NAME)
        self._start(int(self._ready.url.rsplit(":", 1)[1].split("/", 1)[0]), _REBIND_S)

    def authorize_client(self, user: str) -> None:
        with self._lock:
            password = self._passwords.setdefault(user, new_token())
        self._the_control().put_user(user, password)

    def remove_client(self, user: str) -> None:
        with self._lock:
            self._passwords.pop(user, None)
        self._the_control().delete_user(user)

    def access(self, user: str) -> Access:
        with self._lock:
            password = self._passwords.get(user)
        if password is None:
            raise OperationError(f"{user} is not authorised", cause="denied", outcome=Outcome.FAILED, where=_NAME)
        return self._access(user, password)

    def administrator(self) -> Access:
        """Of the one user who may do all."""
        return self._access(_ADMIN, self._admin_password)

    def run(self, *args: str) -> tuple[str, str]:
        """A maintenance command and its output; ``OperationError`` when it fails."""
        done = self._command(self._limited(), args)
        self._raise_failure(done, args)
        return done.stdout, done.stderr

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        args = ["prune", "--max-unused-percent", str(options.max_unused_percent), "--retry-lock-s", str(options.retry_lock_s)]
        return self._maintain(ctx, args, GcStats)

    def verify(self, ctx: Context) -> Verification:
        return self._maintain(ctx, ["check", "--read-data"], Verification)

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return self._maintain(ctx, ["snapshots"], list[ListedSnapshot])

    def drop_caches(self, ctx: Context) -> None:
        """It has none."""

    def server_cmd(self) -> Child | None:
        return self._process.child

    def server_fingerprint(self) -> str:
        return self._the_ready().fingerprint

    def caches(self) -> Sequence[CacheFrame]:
        return ()

    def frame(self) -> ServerFrame | None:
        control = self._control
        if control is None or self._process.closed:
            return None
        try:
            frame = control.status()
        except OperationError:
            return None
        if frame.cluster is not None:
            self._news.tell(frame.cluster)
        return msgspec.structs.replace(frame, restarts=self._process.restarts)

    def begin_disturbing(self) -> None:
        settings = self._around.preset.embedded
        faults = planned_faults(settings, self._around.seed)
        if faults:
            self._outages = Outages(faults, settings.outage_s, self._the_control(), self._news, self._around.emit, self._clock)
            self._outages.begin()

    def heal(self, ctx: Context) -> None:
        outages, self._outages = self._outages, None
        if outages is not None:
            outages.heal(ctx)

    def cleanup(self) -> None:
        if self._process.closed:
            return
        if self._outages is not None:
            self._outages.abandon()
        self._process.stop(self._limits.drain_s + _STOP_GRACE_S)
        if self._control is not None:
            self._control.close()

    def _start(self, port: int, bind_retry_s: float) -> None:
        make_private_directory(self._home)
        ready_file = self._home / "ready.json"
        ready_file.unlink(missing_ok=True)
        settings = self._around.preset.embedded
        config = ServerConfig(
            repository=str(self._repository),
            state_directory=str(self._home),
            access_log=str(self._around.server_log.with_name("access.log")),
            ready_file=str(ready_file),
            port=port,
            bind_retry_s=bind_retry_s,
            fsync=settings.fsync,
            quota_bytes=settings.quota_bytes,
            append_only=self._append_only,
            cluster=_cluster(settings),
            admin=Admin(user=_ADMIN, password_sha256=digest_of(self._admin_password)),
            limits=self._limits,
        )
        self._process.start(
            self._program,
            is_ready=lambda: self._answer(ready_file),
            where=f"port {port}" if port else _NAME,
            cwd=_PACKAGE_ROOT,
            stdin=msgspec.json.encode(config),
        )

    def _answer(self, ready_file: Path) -> str:
        """Its address once it serves: the file is written whole."""
        if not ready_file.exists():
            return ""
        self._ready = ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
        if self._control is not None:
            self._control.close()
        self._control = Control(self._access(_ADMIN, self._admin_password))
        return ready.url

    def _maintain(self, ctx: Context, args: Sequence[str], kind: type[T]) -> T:
        done = self._command(ctx, args)
        self._raise_failure(done, args)
        return decoded(done, kind, operation=args[0], where="embedded maintenance")

    def _command(self, ctx: Context, args: Sequence[str]) -> Completed:
        done = self._launch(ctx, args)
        if done.returncode != 0 and (done.timed_out or done.cancelled) and not self._process.gone.cancelled:
            # It may have died with its lock held, and a stale lock blocks everybody: restic's rules leave that to "unlock".
            with contextlib.suppress(SeatrialError):  # the run may be closing; the next start unlocks too
                self._launch(self._limited(), ["unlock"])
        return done

    def _launch(self, ctx: Context, args: Sequence[str]) -> Completed:
        return self._around.children.run(
            [*_PROGRAM, *args],
            scratch=self._home,
            env=self._around.environment,
            cwd=_PACKAGE_ROOT,
            stdin=msgspec.json.encode(self._access(_ADMIN, self._admin_password)) + b"\n",
            ctx=ctx,
        )

    @staticmethod
    def _raise_failure(done: Completed, args: Sequence[str]) -> None:
        """Raise what a command that failed said; UNKNOWN where it could not say anything."""
        if done.returncode == 0:  # even if it was told to end: it was quicker
            return
        where = "embedded maintenance"
        try:
            said = msgspec.json.decode(done.stdout, type=_Failure).error
        except msgspec.MsgspecError:
            last = "\n".join(done.stderr.strip().splitlines()[-_SAID_LINES:])
            said = _Error(cause="crashed", message=f"exit code {done.returncode}\n{last}".rstrip())
        message = f"{' '.join(args[:1])}: {said.message}"
        if done.cancelled or done.timed_out:
            cause = "cancelled" if done.cancelled else "timeout"
            raise OperationError(f"{message} (ended by us)", cause=cause, outcome=said.outcome, where=where)
        if said.cause == "no-space":
            raise NoSpaceError(message, where=where, outcome=said.outcome)
        raise OperationError(message, cause=said.cause, outcome=said.outcome, where=where)

    def _limited(self) -> Context:
        return Context(clock=self._clock, cancel=self._process.gone).within(_MAINTENANCE_S)

    def _access(self, user: str, password: str) -> Access:
        ready = self._the_ready()
        return Access(
            url=ready.url, fingerprint=ready.fingerprint, user=user, password=password, repository_password=self._repository_password
        )

    def _the_ready(self) -> Ready:
        if self._ready is None:
            raise HarnessError("the server has not been started", where=_NAME)
        return self._ready

    def _the_control(self) -> Control:
        if self._control is None:
            raise HarnessError("the server has not been started", where=_NAME)
        return self._control


def _cluster(settings: EmbeddedSettings) -> ClusterConfig | None:
    if settings.store == "files":
        return None
    return ClusterConfig(
        nodes=settings.nodes,
        replication=settings.replication,
        write_consistency=settings.write_consistency,
        read_consistency=settings.read_consistency,
        node_memory_bytes=settings.node_memory_bytes,
    )


def _claim_for_one_run(repository: Path) -> None:
    """A second run under the prefix would look for the snapshots of the first, which ended with its server."""
    repository.mkdir(parents=True, exist_ok=True)
    if any(repository.iterdir()):
        raise UsageError(
            "a cluster store is volatile, and this prefix has been used before",
            where=str(repository),
            remedy="choose another --repo-path-prefix, or none: each run then has one of its own",
        )
    (repository / _VOLATILE).write_text("The blobs of this run lay in the memory of its server.\n", encoding="utf-8")
