"""A kopia repository server of our own: the repository, the server's process, its users, and what is done on the server's side."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from seatrial.children import Child
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName, GcOptions
from seatrial.context import Context
from seatrial.errors import CancelledError, HarnessError, OperationError, TargetError, UsageError
from seatrial.history.frames import CacheFrame, ServerFrame
from seatrial.observe.directories import measure
from seatrial.targets.kopia.client import list_snapshots
from seatrial.targets.kopia.location import Location, location_of
from seatrial.targets.kopia.metrics import Metrics
from seatrial.targets.kopia.output import cache_parts, server_address
from seatrial.targets.kopia.program import HOST, commands, environment, global_arguments, without_cache
from seatrial.targets.kopia.users import password_hash
from seatrial.targets.kopia.verification import verify_repository
from seatrial.targets.private import make_private_directory, write_private
from seatrial.targets.programs.caches import CacheGauge
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found
from seatrial.targets.programs.served import ServedProcess
from seatrial.targets.protocols import Access, GcStats, ListedSnapshot, Surroundings, Verification
from seatrial.targets.secret import new_token, repository_secrets
from seatrial.verdicts import Outcome

_NAME = "kopia server"
_OWNER = "server"
"""User name of the server's side: who created the repository may maintain it, and nobody else."""
_SET_UP = "kopia-set-up"
"""Beside the repository's password: what lies in the repository besides data (policy, access rules) is complete."""
_KEEP = str(2**31 - 1)
"""Practically all snapshots: nothing but a delete takes one away."""
_KEPT = ("latest", "hourly", "daily", "weekly", "monthly", "annual")
_MB = 1_000_000
"""What kopia's MB are in ``cache set``."""
_KNOWN = "user already exists"
_USERS_AT_ONCE = threading.BoundedSemaphore(4)
"""Each is a process that takes 0.3 s of a core and 100 MB."""
_RSA_BITS = 2048
"""kopia's own 4096 take seconds to find."""
_STOP_GRACE_S = 10.0
"""The server gives its clients 5 s."""
_LIMIT_S = 120.0
"""For commands whose caller gives no deadline."""


class KopiaServer:
    """``targets.protocols.Server`` for kopia.

    Threading: any thread. The lock guards the users' passwords and whose turn it is; no command runs under it. Starts and restarts are for
    one thread at a time. Two configurations lead to the repository: the server's own, whose cache its commands share, and one without any
    cache, for what has to be read out of the repository itself: verification, the listing, and the server once its caches are dropped.
    """

    absent: Mapping[ActionName, str] = MappingProxyType({})

    def __init__(self, around: Surroundings, found: Found, clock: Clock = SYSTEM_CLOCK) -> None:
        self._around, self._found, self._clock = around, found, clock
        self._home = around.base / "server"
        self._config, self._uncached_config = self._home / "server.config", self._home / "uncached.config"
        self._certificate, self._key = self._home / "certificate.pem", self._home / "key.pem"
        self._cache_directory = self._home / "cache"
        self._cache = CacheGauge("server", self._cache_directory, clock=clock)
        self._process = ServedProcess(around, _NAME, clock=clock)
        self._lock = threading.Lock()
        self._passwords: dict[str, str] = {}
        """Of those who are let in for certain: whom a failure has left half way may be let in, or turned out, again."""
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._control_password = new_token()
        self._location = Location(arguments=(), directory=around.repository)
        self._environment: dict[str, str] = {}
        self._address = self._fingerprint = ""
        self._metrics: Metrics | None = None

    # -- set-up and end

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """Repository, global policy, cache limits, access rules, then the server: the reference's order.

        Raises ``TargetError`` with what kopia said, ``UsageError`` for a repository that is not ours.
        """
        self._location = location_of(self._around.preset.kopia.repo, repo_path)
        secrets = repository_secrets(repo_path, marks=self._location.marks)
        make_private_directory(self._home)
        own = {"KOPIA_PASSWORD": secrets.repository_password, "KOPIA_SERVER_CONTROL_PASSWORD": self._control_password}
        self._environment = self._around.environment | environment(self._home, own)
        try:
            mark = repo_path.parent / "robustness-metadata" / _SET_UP
            self._open(mark)
            self._set_up(mark)
        except OperationError as error:
            raise TargetError(f"the repository cannot be set up: {error.what}", where=self._location.title) from error
        write_private(self._uncached_config, without_cache(self._config.read_bytes()))
        self._start("https://127.0.0.1:0", "--tls-generate-cert", f"--tls-generate-rsa-key-size={_RSA_BITS}")
        self._fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self._certificate.read_text())).hexdigest()
        self._metrics = Metrics(self._address, self._fingerprint)
        self._control(self._limited(), "status")

    def restart(self) -> None:
        """Start it again after a death: same port, certificate, users and repository. Raises ``TargetError``."""
        if not self._address:
            raise HarnessError("restart before the first start", where=_NAME)
        self._start(self._address)
        self._control(self._limited(), "status")

    def drop_caches(self, ctx: Context) -> None:
        """Stop, and start without a cache, for good: clearing one under a running server makes that hang, and to make a file for each
        content again takes longer than what is to be read."""
        ctx.cancel.check()
        if self._config == self._uncached_config:
            return
        self._process.pause(_STOP_GRACE_S)
        self._config = self._uncached_config
        self._start(self._address)
        self._around.discard(self._cache_directory)

    def cleanup(self) -> None:
        self._process.stop(_STOP_GRACE_S)
        if self._metrics is not None:
            self._metrics.close()

    # -- users

    def authorize_client(self, user: str) -> None:
        """Several may come at once: each user is a document of its own in the repository."""
        with self._turn_of(user):
            with self._lock:
                if user in self._passwords:
                    return
            password = new_token()
            with _USERS_AT_ONCE:
                self._add(user, f"--user-password-hash={password_hash(password)}")
                self._refresh_users()
            with self._lock:
                self._passwords[user] = password

    def remove_client(self, user: str) -> None:
        """Without the refresh the user could act for minutes."""
        with self._turn_of(user):
            with self._lock:
                if user not in self._passwords:
                    return
            with _USERS_AT_ONCE:
                self._users("delete", user)
                self._refresh_users()
            with self._lock:
                del self._passwords[user]

    def access(self, user: str) -> Access:
        with self._lock:
            password = self._passwords.get(user)
        if password is None:
            raise OperationError(f"{user} is not authorised", cause="denied", outcome=Outcome.FAILED, where=_NAME)
        return Access(url=self._address, fingerprint=self._fingerprint, user=user, password=password, repository_password="")

    # -- on the server's side

    def run(self, *args: str) -> tuple[str, str]:
        done = self._kopia().run(self._limited(), "run", *args)
        return done.stdout, done.stderr

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        """``maintenance run --full`` beside the running server, which is told afterwards. Who writes meanwhile blurs the bytes freed."""
        before = self._stored_bytes()
        self._kopia().run(ctx, "gc", "maintenance", "run", "--full", f"--safety={self._around.preset.kopia.safety}")
        self._control(ctx, "refresh")
        return GcStats(freed_bytes=max(0, before - self._stored_bytes()))

    def verify(self, ctx: Context) -> Verification:
        return verify_repository(ctx, self._kopia(self._uncached_config))

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return list_snapshots(ctx, self._kopia(self._uncached_config))

    # -- what there is

    def server_cmd(self) -> Child | None:
        return self._process.child

    def server_fingerprint(self) -> str:
        return self._fingerprint

    def caches(self) -> Sequence[CacheFrame]:
        return (self._cache.frame(),)

    def frame(self) -> ServerFrame | None:
        if self._metrics is None or self._process.closed or (found := self._metrics.frame()) is None:
            return None
        return msgspec.structs.replace(found, restarts=self._process.restarts)

    # -- how

    def _open(self, mark: Path) -> None:
        """Connect to the repository, or make it where there is none: then what ``mark`` says is of another, which is gone."""
        owner = (f"--override-username={_OWNER}", f"--override-hostname={HOST}", f"--cache-directory={self._cache_directory}")
        connect = ("repository", "connect", *self._location.arguments, *owner)
        if self._location.exists is not False:
            try:
                self._kopia().run(self._limited(), "connect", *connect)
                return
            except OperationError as error:
                if error.cause == "wrong-password":
                    remedy = "choose another place, or the --repo-path-prefix it was made with"
                    raise UsageError("this repository was not made by seatrial", where=self._location.title, remedy=remedy) from error
                if error.cause != "missing":
                    raise
        mark.unlink(missing_ok=True)
        self._kopia().run(self._limited(), "connect", "repository", "create", *self._location.arguments, *owner)

    def _set_up(self, mark: Path) -> None:
        limits = self._around.preset.cache
        sizes = (("content", limits.content_limit_bytes), ("metadata", limits.metadata_limit_bytes))
        done, here = mark.read_text() if mark.exists() else "", f"{self._location.title}\n"
        if done != here:
            self.run("policy", "set", "--global", *(f"--keep-{each}={_KEEP}" for each in _KEPT), "--compression=s2-default")
        self.run("cache", "set", *(f"--{name}-cache-size-mb={max(1, size_bytes // _MB)}" for name, size_bytes in sizes))
        self._cache = self._gauge()
        if done != here:
            self.run("server", "acl", "enable", "--reset")
            self.run("server", "acl", "add", "--user", "*@*", "--access", "FULL", "--target", "type=snapshot")
            write_private(mark, here.encode())

    def _gauge(self) -> CacheGauge:
        """Of the cache where kopia says it is, with the limit that kopia says it has."""
        parts = cache_parts(self.run("cache", "info")[0])
        contents = next((part for part in parts if part.name == "contents"), None)
        if contents is None:
            raise TargetError("`cache info` does not tell of a content cache", where=str(self._config))
        return CacheGauge("server", contents.path.parent, limit_bytes=contents.limit_bytes, clock=self._clock)

    def _start(self, address: str, *more: str) -> None:
        """At ``address``, whose port may be 0: what it says is kept for the next time."""
        log, seen = self._around.server_log, _size(self._around.server_log)
        argv = (
            str(self._found.path),
            *global_arguments(self._config),
            *("server", "start", f"--address={address}", "--no-ui"),
            *(f"--tls-cert-file={self._certificate}", f"--tls-key-file={self._key}", *more),
        )
        self._address = self._process.start(
            argv, is_ready=lambda: server_address(_text_from(log, seen)), where=address, env=self._environment, without=("KOPIA_",)
        )

    def _turn_of(self, user: str) -> threading.Lock:
        """One user is let in or turned out by one thread at a time."""
        with self._lock:
            return self._turns[user]

    def _add(self, user: str, password: str) -> None:
        try:
            self._users("add", user, password)
        except OperationError as error:
            if _KNOWN not in error.what:  # by an attempt that did not come to its end
                raise
            self._users("set", user, password)

    def _users(self, what: str, user: str, *arguments: str) -> None:
        """In the repository, for which no server is needed."""
        ctx = Context(clock=self._clock).within(_LIMIT_S)
        self._kopia().run(ctx, "authorize", "server", "users", what, f"{user}@{HOST}", *arguments)

    def _refresh_users(self) -> None:
        """Have the server read them now. One that is gone reads them when it starts again."""
        gone = self._process.gone
        try:
            self._control(self._limited(), "refresh")
        except (OperationError, CancelledError):
            if not gone.cancelled:
                raise

    def _control(self, ctx: Context, command: str) -> None:
        """``server status`` or ``server refresh``, which ask the server itself."""
        pin = f"--server-cert-fingerprint={self._fingerprint}"
        env = {"KOPIA_SERVER_PASSWORD": self._control_password}
        self._kopia().run(ctx, command, "server", command, f"--address={self._address}", pin, env=env)

    def _kopia(self, config: Path | None = None) -> Commands:
        return commands(
            self._found,
            self._around.children,
            config=config or self._config,
            env=self._environment,
            scratch=self._home / "tmp",
            without=("KOPIA_",),  # a bucket's keys are in the environment
        )

    def _limited(self) -> Context:
        return Context(clock=self._clock, cancel=self._process.gone).within(_LIMIT_S)

    def _stored_bytes(self) -> int:
        """Of a bucket nothing is known."""
        return measure(self._location.directory).size_bytes if self._location.directory is not None else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _text_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")
