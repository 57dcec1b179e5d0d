"""The restic target's server: something that serves a repository, and ``restic`` itself on the server's side of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from seatrial.children import Child, Completed
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import ActionName, GcOptions
from seatrial.context import Context
from seatrial.history.frames import CacheFrame, ServerFrame
from seatrial.targets.private import make_private_directory
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import Access, Disturbs, GcStats, ListedSnapshot, Surroundings, Verification
from seatrial.targets.restic import output
from seatrial.targets.restic.certificate import keep_certificate
from seatrial.targets.restic.front import Front
from seatrial.targets.restic.locked import locked
from seatrial.targets.restic.program import address_of, commands, retry_lock

VERIFY_RETRY_S = 10.0
_DAMAGED = frozenset({"corrupt", "missing-data"})
"""Causes by which a ``check`` that ends before it has looked at everything speaks of the repository: an index that cannot be read."""
_COMMAND_S = 60.0
"""For commands whose caller gives no deadline."""


class ResticServer:
    """``targets.protocols.Server``.

    Maintenance is restic's own, without a cache, and does not ask the clients' server where it can do without: on the repository's
    directory beside a program that serves it, so that an append-only server can be pruned too; as the administrator of the embedded
    server, which keeps count of what it stores. Threading: any thread; immutable but for what the front guards.
    """

    absent: Mapping[ActionName, str] = MappingProxyType({})

    def __init__(self, around: Surroundings, found: Found, front: Front, *, on_directory: bool, clock: Clock = SYSTEM_CLOCK) -> None:
        self._around, self._found, self._front, self._clock = around, found, front, clock
        self._on_directory = on_directory
        self._repository = around.repository
        self._home = around.base / "maintenance"

    def connect_or_create_repo(self, repo_path: Path) -> None:
        self._repository = repo_path
        self._front.connect_or_create_repo(repo_path)

    def restart(self) -> None:
        self._front.restart()

    def authorize_client(self, user: str) -> None:
        self._front.authorize_client(user)

    def remove_client(self, user: str) -> None:
        self._front.remove_client(user)

    def access(self, user: str) -> Access:
        return self._front.access(user)

    def run(self, *args: str) -> tuple[str, str]:
        """One command of restic on the repository."""
        ctx = Context(clock=self._clock).within(_COMMAND_S)
        done = self._commands(ctx).run(ctx, "run", *args)
        return done.stdout, done.stderr

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        waiting = retry_lock(self._found.numbers, options.retry_lock_s)
        run = self._commands(ctx)
        done = locked(
            ctx,
            self._front.administrator(),
            lambda: run.attempt(ctx, "gc", "prune", "--max-unused", f"{options.max_unused_percent}%", *waiting),
            lambda done: run.error_of("gc", done),
        )
        return output.pruned(done.stdout)

    def verify(self, ctx: Context) -> Verification:
        """``check --read-data``. One that had to be ended counts by what it had said: 0.14 asks for a lost pack for 43 s."""
        waiting = retry_lock(self._found.numbers, VERIFY_RETRY_S)
        run = self._commands(ctx)
        done = locked(
            ctx,
            self._front.administrator(),
            lambda: run.attempt(ctx, "verify", "check", "--read-data", *waiting),
            lambda done: None if _is_damaged(run, done) else run.error_of("verify", done),
        )
        damaged = _is_damaged(run, done)
        return Verification(clean=not damaged, problems=output.problems(done) if damaged else [], output=done.stdout)

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return output.listed(self._commands(ctx).run(ctx, "list", "snapshots", "--no-lock").stdout)

    def drop_caches(self, ctx: Context) -> None:
        """There are none: maintenance keeps nothing, and what serves reads files."""

    def server_cmd(self) -> Child | None:
        return self._front.server_cmd()

    def server_fingerprint(self) -> str:
        return self._front.server_fingerprint()

    def caches(self) -> Sequence[CacheFrame]:
        return ()

    def frame(self) -> ServerFrame | None:
        return self._front.frame()

    def begin_disturbing(self) -> None:
        if isinstance(self._front, Disturbs):
            self._front.begin_disturbing()

    def heal(self, ctx: Context) -> None:
        if isinstance(self._front, Disturbs):
            self._front.heal(ctx)

    def cleanup(self) -> None:
        self._front.cleanup()
        shutil.rmtree(self._home, ignore_errors=True)

    def _commands(self, ctx: Context) -> Commands:
        """On the repository, where it can best be reached."""
        make_private_directory(self._home)
        admin = self._front.administrator()
        arguments: tuple[str, ...] = ("--no-cache",)
        if not self._on_directory:
            certificate = self._home / "server-certificate.pem"
            if not certificate.exists():
                keep_certificate(ctx, admin, certificate)
            arguments += ("--cacert", str(certificate))
        return commands(
            self._found,
            self._around.children,
            repository=str(self._repository) if self._on_directory else address_of(admin),
            password=admin.repository_password,
            home=self._home,
            arguments=arguments,
            inherited=self._around.environment,
        )


def _is_damaged(run: Commands, done: Completed) -> bool:
    error = run.error_of("verify", done)
    return output.is_damage(done) or (error is not None and error.cause in _DAMAGED)
