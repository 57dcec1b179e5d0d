"""The restic target's client: one ``restic`` process for each operation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from seatrial.children import Completed
from seatrial.context import Context
from seatrial.errors import CancelledError, OperationError
from seatrial.history.frames import CacheFrame
from seatrial.targets.embedded.outcomes import translated
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.programs.caches import CacheGauge
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import OPERATION_TAG, Access, CreateStats, ListedSnapshot, Surroundings
from seatrial.targets.restic import output
from seatrial.targets.restic.certificate import keep_certificate
from seatrial.targets.restic.layout import raise_up
from seatrial.targets.restic.locked import locked
from seatrial.targets.restic.program import address_of, commands, retry_lock
from seatrial.targets.restic.stored import StoredPaths
from seatrial.verdicts import Outcome

LOCK_RETRY_S = 10.0
"""How long a command waits for a prune to end before it is FAILED(contended)."""


class _Session(NamedTuple):
    """What there is while connected. Owner: the client."""

    run: Commands
    access: Access
    stored: StoredPaths


class ResticClient:
    """``targets.protocols.TargetClient``.

    Owns its directory: cache, scratch, the server's certificate. There is no connection to keep: each operation is a process of its own.
    Threading: one thread at a time; ``cache_info`` may be called by any.
    """

    def __init__(self, around: Surroundings, found: Found, directory: Path) -> None:
        self.program = f"restic {found.version}"
        self._around, self._found = around, found
        self._directory, self._cache = directory, directory / "cache"
        self._gauge = CacheGauge(directory.name, self._cache, per_repository=True)
        self._session: _Session | None = None
        self._killed: set[int] | None = set() if around.preset.server else None
        """The numbers of our killed processes, where the repository is not ours alone."""

    def connect(self, ctx: Context, access: Access) -> None:
        """See that the server is there, is the right one and lets us in."""
        self.disconnect()
        home = self._directory / "restic"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate = home / "server-certificate.pem"
        keep_certificate(ctx, access, certificate)
        store = RestStore(access)
        try:
            with translated():
                store.size(ctx, Kind.CONFIG, "")
        finally:
            store.close()
        self._cache.mkdir(mode=0o700, exist_ok=True)
        self._gauge.belongs_to(access.user)
        run = commands(
            self._found,
            self._around.children,
            repository=address_of(access),
            password=access.repository_password,
            home=home,
            arguments=("--cacert", str(certificate), "--cache-dir", str(self._cache)),
            inherited=self._around.environment,
        )
        self._session = _Session(run, access, StoredPaths(access, self._cache))

    def disconnect(self) -> None:
        self._session = None

    def create(self, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
        """From within the directory, so that what is stored is its content, wherever it lies. An empty one goes by its path only."""
        run, access, _ = self._connected()
        ctx.progress.start("upload")
        what = "." if next(source_dir.iterdir(), None) is not None else str(source_dir.absolute())
        host = ctx.client.id if ctx.client is not None else access.user
        arguments = ("backup", "--tag", f"{OPERATION_TAG}={op}", "--host", host, *self._waiting, what)
        done = locked(
            ctx,
            access,
            lambda: run.attempt(ctx, "create", *arguments, cwd=source_dir),
            lambda done: run.error_of("create", done),
            killed=self._killed,
        )
        told, stats = output.created(done.stdout)
        return self._full_id(ctx, told, op), stats

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        run, access, stored = self._connected()
        ctx.progress.start("restore")
        arguments = ("restore", *self._waiting, snapshot_id, "--target", str(into))
        locked(ctx, access, lambda: run.attempt(ctx, "restore", *arguments), lambda done: restore_error(run, done), killed=self._killed)
        # What restic stores of "." has its content at the root; of a path, as seatrial's own client stores it, all directories on the way.
        raise_up(into, lambda: stored.of(ctx, snapshot_id))

    def delete(self, ctx: Context, snapshot_id: str) -> None:
        run, access, _ = self._connected()
        append_only = self._around.preset.restic.append_only
        locked(
            ctx,
            access,
            lambda: run.attempt(ctx, "delete", "forget", *self._waiting, snapshot_id),
            lambda done: delete_error(run, done, append_only=append_only),
            killed=self._killed,
        )

    def list(self, ctx: Context) -> list[ListedSnapshot]:
        """Without a lock: no prune touches snapshots."""
        run = self._connected().run
        return output.listed(run.run(ctx, "list", "snapshots", "--no-lock").stdout)

    def cache_info(self) -> CacheFrame:
        return self._gauge.frame()

    def drop_caches(self) -> None:
        for entry in list(self._cache.iterdir()) if self._cache.is_dir() else []:
            shutil.rmtree(entry, ignore_errors=True)

    def cleanup(self) -> None:
        self.disconnect()
        for name in ("cache", "restic"):
            shutil.rmtree(self._directory / name, ignore_errors=True)

    @property
    def _waiting(self) -> tuple[str, ...]:
        return retry_lock(self._found.numbers, LOCK_RETRY_S)

    def _connected(self) -> _Session:
        if self._session is None:
            raise OperationError("not connected", cause="disconnected", outcome=Outcome.FAILED, where=self._directory.name)
        return self._session

    def _full_id(self, ctx: Context, told: str, op: str) -> str:
        """All digits of an id of which 0.14 tells eight: the file name of the snapshot's copy in the cache, else out of a listing.

        ``OperationError``, UNKNOWN, where neither tells: the snapshot is there, and whoever lists next will know it by its operation.
        """
        if len(told) == output.ID_DIGITS:
            return told
        known = {path.name for path in self._cache.glob(f"*/snapshots/{told[:2]}/{told}*")}
        if len(known) == 1:
            return known.pop()
        try:
            return next(row.id for row in self.list(ctx) if row.op == op)
        except (OperationError, CancelledError, StopIteration) as error:
            what = f"the snapshot {told} was made, and its whole id cannot be told: {error!r}"
            raise OperationError(what, cause="protocol", where=self._directory.name) from error


def restore_error(run: Commands, done: Completed) -> OperationError | None:
    """By the table, with the file that it was about."""
    error = run.error_of("restore", done)
    if error is not None:
        error.path = output.failed_path(done.stderr)
    return error


def delete_error(run: Commands, done: Completed, *, append_only: bool) -> OperationError | None:
    """By the table, and ``part_of_the_trade``."""
    error = run.error_of("delete", done)
    return part_of_the_trade(error) if append_only and error is not None else error


def part_of_the_trade(error: OperationError) -> OperationError:
    """What an append-only server refuses, it has to refuse."""
    if error.cause != "denied":
        return error
    return OperationError(error.what, cause="append-only", outcome=error.outcome, where=error.where)
