"""Locks: shared for whoever adds or reads, exclusive for whoever removes data.

The protocol: look for conflicting locks; write one's own; look again, and withdraw on a conflict. Between two that write at the same
time at least one sees the other, because each looks after it has written. A lock never changes; it is renewed by a new file.

restic waits 200 ms before it looks again, for stores that list a file a moment after they acknowledged it. Our server lists it from that
moment on, so we do not; a real restic among our clients keeps its wait, and whoever of two writes last still sees the other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator

import msgspec
import psutil

from seatrial.clock import Clock
from seatrial.context import Context
from seatrial.errors import CancelledError
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind

REFRESH_S = 5 * 60.0
GIVE_UP_S = 22.5 * 60.0
"""Without a refresh for so long, others may soon call us stale: we stop."""
STALE_S = 30 * 60.0
UNLOCK_S = 5.0
"""How long we try to take our lock away: one left behind blocks everybody for half an hour."""
UNLOCK_CANCELLED_S = 1.0
"""The same after a cancellation: a server that is there answers at once, and one that is gone must not hold up the end of the run."""
_RETRY_FIRST_S, _RETRY_MAX_S = 0.1, 1.0
_KNOWN_MAX = 4096


class LockInfo(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """A lock file; the order of the fields is the order on disk."""

    time: str
    exclusive: bool
    hostname: str
    username: str
    pid: int
    uid: int = 0
    gid: int = 0


_read = gojson.reader(LockInfo)


class KnownLocks:
    """Lock files read before; a lock never changes. Shared by the clients of one process. Threading: any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._infos: OrderedDict[str, LockInfo] = OrderedDict()

    def get(self, name: str) -> LockInfo | None:
        with self._lock:
            return self._infos.get(name)

    def put(self, name: str, info: LockInfo) -> None:
        with self._lock:
            self._infos[name] = info
            if len(self._infos) > _KNOWN_MAX:
                self._infos.popitem(last=False)


class HeldLock:
    """A lock that we hold. Owner: one operation."""

    def __init__(self, locker: Locker, name: str, exclusive: bool, clock: Clock) -> None:
        self._locker, self.name, self.exclusive = locker, name, exclusive
        self._touch(clock)

    def _touch(self, clock: Clock) -> None:
        self._wall_ns, self._monotonic_s = clock.now_ns(), clock.monotonic_s()

    def _age_s(self, clock: Clock) -> float:
        """By the clock that says more: the monotonic one may stand still while the machine sleeps."""
        return max((clock.now_ns() - self._wall_ns) / 1e9, clock.monotonic_s() - self._monotonic_s)

    def keep(self, ctx: Context) -> None:
        """Refresh the lock when it is time; LOCK_LOST when it is too late. Cheap: call it often."""
        age_s = self._age_s(ctx.clock)
        if age_s >= GIVE_UP_S:
            raise RepositoryError(
                f"our lock was not refreshed for {age_s:.0f} s: others may have taken it for dead",
                cause=Cause.LOCK_LOST,
                where=f"locks/{self.name}",
            )
        if age_s >= REFRESH_S:
            old, self.name = self.name, self._locker.write(ctx, self.exclusive)
            self._touch(ctx.clock)
            self._locker.remove(ctx, old)

    def assert_held(self, ctx: Context) -> None:
        """LOCK_LOST unless the lock is still there. The last thing before a step that relies on it."""
        self.keep(ctx)
        if self._locker.repository.store.size(ctx, Kind.LOCK, self.name) is None:
            raise RepositoryError("somebody removed our lock while we worked", cause=Cause.LOCK_LOST, where=f"locks/{self.name}")


class Locker:
    """Takes and gives back the locks of one client.

    Remembers locks that it could not remove and removes them later. Threading: one thread at a time.
    """

    def __init__(self, repository: Repository, username: str, known: KnownLocks) -> None:
        self.repository, self._username, self._known = repository, username, known
        self._left_behind: set[str] = set()

    @contextlib.contextmanager
    def hold(self, ctx: Context, *, exclusive: bool, retry_s: float) -> Iterator[HeldLock]:
        """Hold a lock for the body; CONTENDED when refused for ``retry_s`` seconds."""
        lock = self.acquire(ctx, exclusive=exclusive, retry_s=retry_s)
        try:
            yield lock
        finally:
            self.give_back(ctx, lock.name)

    def acquire(self, ctx: Context, *, exclusive: bool, retry_s: float) -> HeldLock:
        """Take a lock; the caller gives it back."""
        until_s, pause_s = ctx.clock.monotonic_s() + retry_s, _RETRY_FIRST_S
        while True:
            ctx.check()
            conflict = self._attempt(ctx, exclusive)
            if isinstance(conflict, HeldLock):
                return conflict
            left_s = until_s - ctx.clock.monotonic_s()
            if left_s <= 0:
                raise conflict
            ctx.clock.wait(ctx.cancel.event, min(pause_s, left_s))
            pause_s = min(pause_s * 2, _RETRY_MAX_S)

    def _attempt(self, ctx: Context, exclusive: bool) -> HeldLock | RepositoryError:
        self.sweep(ctx)
        conflict = self._conflict(ctx, exclusive, own="")
        if conflict is not None:
            return conflict
        name = self.write(ctx, exclusive)
        try:
            ctx.check()
            conflict = self._conflict(ctx, exclusive, own=name)
        except BaseException:
            self.give_back(ctx, name)
            raise
        if conflict is not None:
            self.give_back(ctx, name)
            return conflict
        return HeldLock(self, name, exclusive, ctx.clock)

    def _conflict(self, ctx: Context, exclusive: bool, *, own: str) -> RepositoryError | None:
        for name, info in self.others(ctx, own):
            if exclusive or info.exclusive:
                kind = "exclusive" if info.exclusive else "shared"
                return RepositoryError(
                    f"{kind} lock of {info.username}@{info.hostname} pid {info.pid} since {info.time}",
                    cause=Cause.CONTENDED,
                    where=f"locks/{name}",
                    remedy="if its holder is dead: unlock",
                )
        return None

    def others(self, ctx: Context, own: str = "") -> Iterator[tuple[str, LockInfo]]:
        """(name, lock) of everybody else's locks. Empty files are ignored, as are locks that vanish while we look."""
        for entry in self.repository.entries(ctx, Kind.LOCK):
            if entry.size == 0 or entry.name == own or entry.name in self._left_behind:
                continue
            info = self._known.get(entry.name)
            if info is None:
                try:
                    info = _read(self.repository.load(ctx, Kind.LOCK, entry.name), f"locks/{entry.name}")
                except RepositoryError as error:
                    if error.cause is Cause.MISSING:
                        continue
                    raise
                self._known.put(entry.name, info)
            yield entry.name, info

    def write(self, ctx: Context, exclusive: bool) -> str:
        """Write a lock file of ours; returns its name."""
        info = LockInfo(
            time=gojson.format_time(ctx.clock.now_ns()),
            exclusive=exclusive,
            hostname=socket.gethostname(),
            username=self._username,
            pid=os.getpid(),
            uid=os.getuid(),
            gid=os.getgid(),
        )
        name, sealed = self.repository.seal_file(gojson.encode(info))
        try:
            self.repository.store.put(ctx, Kind.LOCK, name, sealed)
        except BaseException:
            self._left_behind.add(name)  # it may have arrived all the same
            raise
        return name

    def remove(self, ctx: Context, name: str) -> None:
        """Remove a lock of ours, or remember to."""
        self._left_behind.add(name)
        self.repository.store.delete(ctx, Kind.LOCK, name)
        self._left_behind.discard(name)

    def give_back(self, ctx: Context, name: str) -> None:
        """Remove a lock of ours whatever happened, for at most ``UNLOCK_S``; never raises for a store that does not answer."""
        # The operation's own context may be cancelled already, and yet the lock must go.
        limit_s = UNLOCK_CANCELLED_S if ctx.cancel.cancelled else UNLOCK_S
        with contextlib.suppress(RepositoryError, CancelledError):
            self.remove(Context(clock=ctx.clock).within(limit_s), name)

    def sweep(self, ctx: Context) -> None:
        """Remove what we left behind, before anything else is done with the store."""
        for name in sorted(self._left_behind):
            self.remove(ctx, name)

    def close(self, ctx: Context) -> None:
        """The last sweep, if the store answers; within ``ctx`` for all locks together. Never raises."""
        with contextlib.suppress(RepositoryError, CancelledError):
            self.sweep(ctx)


def unlock(
    ctx: Context,
    repository: Repository,
    known: KnownLocks,
    *,
    remove_all: bool,
    unreadable: bool = True,
    pids: Collection[int] | None = None,
) -> list[str]:
    """Remove stale locks (older than half an hour, of a dead process of this host, empty or unreadable), or all. Returns their names.

    ``unreadable``: False leaves the empty and unreadable ones alone. Where the store shows a file while it is written, they may belong to
    somebody who lives and would go on without a lock. ``pids``: of the stale ones only what these processes of this host have left, for a
    repository that is not ours alone: who is dead here may live in another container of the same name.
    """
    removed = []
    for entry in repository.entries(ctx, Kind.LOCK):
        if remove_all or _is_stale(ctx, repository, known, entry.name, entry.size, unreadable=unreadable, pids=pids):
            repository.store.delete(ctx, Kind.LOCK, entry.name)
            removed.append(entry.name)
    return removed


def _is_stale(
    ctx: Context, repository: Repository, known: KnownLocks, name: str, size: int, *, unreadable: bool, pids: Collection[int] | None
) -> bool:
    info = known.get(name)
    if info is None:
        if size == 0:
            return unreadable
        try:
            info = _read(repository.load(ctx, Kind.LOCK, name), f"locks/{name}")
        except RepositoryError as error:
            if error.cause in (Cause.CORRUPT, Cause.MISSING):
                return unreadable
            raise
    if pids is None and (ctx.clock.now_ns() - gojson.parse_time(info.time)) / 1e9 > STALE_S:
        return True
    return info.hostname == socket.gethostname() and (pids is None or info.pid in pids) and not psutil.pid_exists(info.pid)
