"""The embedded target's client: speaks restic's REST protocol, reads and writes restic's repository format, in this very process."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from seatrial.clock import SYSTEM_CLOCK
from seatrial.context import CancelToken, Context
from seatrial.errors import OperationError
from seatrial.history.frames import CacheFrame
from seatrial.targets.embedded.cache import DiskCache
from seatrial.targets.embedded.outcomes import Stage, translated
from seatrial.targets.embedded.repository.backup import Backup
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.index import IndexView
from seatrial.targets.embedded.repository.locks import UNLOCK_S, HeldLock, Locker
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.restore import Restore
from seatrial.targets.embedded.repository.snapshots import Snapshot, confirm_vanished, encode_snapshot, load_snapshot
from seatrial.targets.embedded.repository.store import Kind, Store
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.embedded.shared import PROCESS, Shared, SharedRepositories
from seatrial.targets.protocols import OPERATION_TAG, Access, CreateStats, ListedSnapshot, Surroundings
from seatrial.verdicts import Outcome
from seatrial.version import seatrial_version

LOCK_RETRY_S = 10.0
"""How long a client waits for a prune to end before it is FAILED(contended)."""


class _Session:
    """What there is while connected. Owner: the client."""

    def __init__(self, store: Store, repository: Repository, shared: Shared, user: str, cancel: CancelToken) -> None:
        self.store, self.repository, self.shared, self.user, self.cancel = store, repository, shared, user, cancel
        repository.index = IndexView(shared.index)
        self.locker = Locker(repository, user, shared.locks)


class EmbeddedClient:
    """``targets.protocols.TargetClient``.

    Owns its connection, its cache directory and its view of the index. Threading: one thread at a time; ``cache_info`` may be called by
    any.
    """

    def __init__(self, around: Surroundings, directory: Path, shared: SharedRepositories = PROCESS) -> None:
        self.program = f"seatrial {seatrial_version()}"
        self._limits = around.preset.cache
        self._directory = directory / "cache"
        self._owner = directory.name
        self._everybody = shared
        self._session: _Session | None = None
        self._cache: DiskCache | None = None
        self._list_cold = self._index_cold = False
        """Whether the next listing, the next session's index must be read from the server, whatever this process knows."""

    def connect(self, ctx: Context, access: Access) -> None:
        """Open a connection that stays open, and the repository behind it."""
        self.disconnect()
        store = RestStore(access)
        try:
            with translated():
                repository = Repository.open(ctx, store, access.repository_password)
        except BaseException:
            store.close()
            raise
        if self._cache is None or self._cache.directory.name != repository.config.id:
            self._cache = DiskCache(self._directory, repository.config.id, self._limits)
        repository.cache = self._cache
        self._owner = access.user
        self._session = _Session(store, repository, self._everybody.of(repository.config.id), access.user, ctx.cancel)
        if self._index_cold:
            repository.index.clear()
            self._index_cold = False

    def disconnect(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._index_cold |= session.repository.index.cold  # dropped and not read again: the next session must
        session.repository.index.clear()
        with contextlib.suppress(Exception):  # the protocol says: never raises
            if not session.cancel.cancelled:  # a run that is dropped waits for no server: the next start takes dead locks away
                session.locker.close(Context(clock=SYSTEM_CLOCK).within(UNLOCK_S))
        session.store.close()

    def create(self, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
        session = self._the_session()
        with translated() as progression, self._locked(ctx, session) as lock:
            repository = session.repository
            repository.refresh_index(ctx)
            backup = Backup(ctx, repository, lock)
            snapshot = backup.run(source_dir, username=session.user, tags=[f"{OPERATION_TAG}={op}"], program=self.program)
            name, sealed = repository.seal_file(encode_snapshot(snapshot))
            lock.assert_held(ctx)
            progression.stage = Stage.COMMIT
            repository.store.put(ctx, Kind.SNAPSHOT, name, sealed)
        stats = CreateStats(
            files=backup.stats.files, bytes_read=backup.stats.bytes_read, bytes_added=backup.writer.bytes_added + len(sealed)
        )
        return name, stats

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        session = self._the_session()
        with translated(), self._locked(ctx, session) as lock:
            snapshot = load_snapshot(ctx, session.repository, snapshot_id)
            session.repository.refresh_index(ctx)
            Restore(ctx, session.repository, lock).run(snapshot, into, f"snapshots/{snapshot_id}")

    def delete(self, ctx: Context, snapshot_id: str) -> None:
        session = self._the_session()
        with translated() as progression, self._locked(ctx, session):
            store = session.repository.store
            if store.size(ctx, Kind.SNAPSHOT, snapshot_id) is None:
                raise RepositoryError("there is no such snapshot", cause=Cause.MISSING, where=f"snapshots/{snapshot_id}")
            progression.stage = Stage.COMMIT
            store.delete(ctx, Kind.SNAPSHOT, snapshot_id)
            if self._cache is not None:
                self._cache.discard(Kind.SNAPSHOT, snapshot_id)

    def list(self, ctx: Context) -> list[ListedSnapshot]:
        """Without a lock: no prune touches snapshots."""
        session = self._the_session()
        with translated(), contextlib.ExitStack() as stack:
            stack.callback(session.repository.rest)
            session.locker.sweep(ctx)
            found = list_snapshots(ctx, session.repository, None if self._list_cold else session.shared)
            self._list_cold = False
            return found

    def cache_info(self) -> CacheFrame:
        cache = self._cache
        if cache is None:
            return CacheFrame(owner=self._owner, path=str(self._directory))
        sizes, files = cache.usage()
        return CacheFrame(
            owner=self._owner,
            path=str(cache.directory),
            size_bytes=sum(sizes.values()),
            files=files,
            limit_bytes=cache.limit_bytes,
            subdirectories=sizes,
        )

    def drop_caches(self) -> None:
        if self._cache is not None:
            self._cache.clear()
        self._list_cold = True
        if self._session is not None:
            self._session.repository.index.clear()
        else:
            self._index_cold = True

    def cleanup(self) -> None:
        self.disconnect()
        self._cache = None
        shutil.rmtree(self._directory, ignore_errors=True)

    def _the_session(self) -> _Session:
        if self._session is None:
            raise OperationError("not connected", cause="disconnected", outcome=Outcome.FAILED, where=self._owner)
        return self._session

    @contextlib.contextmanager
    def _locked(self, ctx: Context, session: _Session) -> Iterator[HeldLock]:
        try:
            with session.locker.hold(ctx, exclusive=False, retry_s=LOCK_RETRY_S) as lock:
                yield lock
        finally:
            session.repository.rest()


def list_snapshots(ctx: Context, repository: Repository, shared: Shared | None) -> list[ListedSnapshot]:
    """Every snapshot that is listed, with the operation that made it; ``shared`` spares reading those that are known."""
    found: list[ListedSnapshot] = []
    vanished: dict[str, RepositoryError] = {}
    for entry in repository.entries(ctx, Kind.SNAPSHOT):
        ctx.check()
        op = shared.snapshots.get(entry.name) if shared is not None else None
        if op is None:
            try:
                op = operation_of(load_snapshot(ctx, repository, entry.name))
            except RepositoryError as error:
                if error.cause is not Cause.MISSING:
                    raise
                vanished[entry.name] = error
                continue
            if shared is not None:
                shared.snapshots.put(entry.name, op)
        found.append(ListedSnapshot(id=entry.name, op=op))
    confirm_vanished(ctx, repository, vanished)
    return found


def operation_of(snapshot: Snapshot) -> str:
    """``<run>/<op>`` out of the tags; empty where seatrial did not make it."""
    start = f"{OPERATION_TAG}="
    return next((tag[len(start) :] for tag in snapshot.tags or () if tag.startswith(start)), "")
