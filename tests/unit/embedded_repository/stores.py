"""Stores for the tests: in memory, in a directory laid out as restic's, and one that breaks on command."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.clock import VirtualClock
from seatrial.context import Context
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError, corrupt
from seatrial.targets.embedded.repository.index import IndexPool, IndexView
from seatrial.targets.embedded.repository.locks import KnownLocks, Locker
from seatrial.targets.embedded.repository.repository import Repository, initialise
from seatrial.targets.embedded.repository.store import Bytes, Entry, Kind, Store, is_name, label

PASSWORD = "correct horse"


def virtual() -> Context:
    """A context whose waits take no time."""
    return Context(clock=VirtualClock())


def _missing(kind: Kind, name: str) -> RepositoryError:
    return RepositoryError("is not there", cause=Cause.MISSING, where=label(kind, name))


class MemoryStore:
    """``Store`` in memory. Threading: any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.files: dict[Kind, dict[str, bytes]] = {}

    def create(self, ctx: Context) -> None:
        with self._lock:
            for kind in Kind:
                self.files.setdefault(kind, {})

    def get(self, ctx: Context, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with self._lock:
            data = self.files.get(kind, {}).get(name)
        if data is None:
            raise _missing(kind, name)
        part = data[offset:] if length is None else data[offset : offset + length]
        if length is not None and len(part) != length:
            raise corrupt("too short", label(kind, name))
        return part

    def put(self, ctx: Context, kind: Kind, name: str, data: Bytes) -> None:
        with self._lock:
            if kind not in self.files:
                raise _missing(kind, name)
            if name in self.files[kind]:
                raise RepositoryError("exists", cause=Cause.DENIED, where=label(kind, name))
            self.files[kind][name] = bytes(data)

    def entries(self, ctx: Context, kind: Kind) -> Sequence[Entry]:
        with self._lock:
            if kind not in self.files:
                raise _missing(kind, "")
            return [Entry(name, len(data)) for name, data in self.files[kind].items() if is_name(name)]

    def size(self, ctx: Context, kind: Kind, name: str) -> int | None:
        with self._lock:
            data = self.files.get(kind, {}).get(name)
        return None if data is None else len(data)

    def delete(self, ctx: Context, kind: Kind, name: str) -> None:
        with self._lock:
            self.files.get(kind, {}).pop(name, None)

    def close(self) -> None:
        pass

    def copy(self) -> MemoryStore:
        """The same files, to go two ways from here."""
        twin = MemoryStore()
        twin.files = {kind: dict(files) for kind, files in self.files.items()}
        return twin


class DirectoryStore:
    """``Store`` in a directory that the ``restic`` program opens with ``-r``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, kind: Kind, name: str) -> Path:
        if kind is Kind.CONFIG:
            return self.root / "config"
        if kind is Kind.PACK:
            return self.root / "data" / name[:2] / name
        folder: str = kind.value
        return self.root / folder / name

    def create(self, ctx: Context) -> None:
        for kind in Kind:
            if kind is not Kind.CONFIG:
                (self.root / kind.value).mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (self.root / "data" / f"{number:02x}").mkdir(exist_ok=True)

    def get(self, ctx: Context, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        try:
            with self.path(kind, name).open("rb") as file:
                file.seek(offset)
                data = file.read() if length is None else file.read(length)
        except FileNotFoundError:
            raise _missing(kind, name) from None
        if length is not None and len(data) != length:
            raise corrupt("too short", label(kind, name))
        return data

    def put(self, ctx: Context, kind: Kind, name: str, data: Bytes) -> None:
        path = self.path(kind, name)
        if path.exists():
            raise RepositoryError("exists", cause=Cause.DENIED, where=label(kind, name))
        if not path.parent.is_dir():
            raise _missing(kind, name)
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)

    def entries(self, ctx: Context, kind: Kind) -> Sequence[Entry]:
        folder = self.root / kind.value
        if not folder.is_dir():
            raise _missing(kind, "")
        paths = folder.glob("??/*" if kind is Kind.PACK else "*")
        return [Entry(path.name, path.stat().st_size) for path in paths if is_name(path.name)]

    def size(self, ctx: Context, kind: Kind, name: str) -> int | None:
        path = self.path(kind, name)
        return path.stat().st_size if path.is_file() else None

    def delete(self, ctx: Context, kind: Kind, name: str) -> None:
        self.path(kind, name).unlink(missing_ok=True)

    def close(self) -> None:
        pass


Call = tuple[str, Kind | None, str]
"""(method, kind, name)."""


@dataclass
class WatchedStore:
    """A store that notes every call and asks ``before`` first, which may raise, or change things behind the caller's back."""

    inner: MemoryStore | DirectoryStore
    before: Callable[[Call], None] = field(default=lambda _: None)
    calls: list[Call] = field(default_factory=list)

    def _note(self, method: str, kind: Kind | None = None, name: str = "") -> None:
        self.calls.append((method, kind, name))
        self.before((method, kind, name))

    def create(self, ctx: Context) -> None:
        self._note("create")
        self.inner.create(ctx)

    def get(self, ctx: Context, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._note("get", kind, name)
        return self.inner.get(ctx, kind, name, offset=offset, length=length)

    def put(self, ctx: Context, kind: Kind, name: str, data: Bytes) -> None:
        self._note("put", kind, name)
        self.inner.put(ctx, kind, name, data)

    def entries(self, ctx: Context, kind: Kind) -> Sequence[Entry]:
        self._note("entries", kind)
        return self.inner.entries(ctx, kind)

    def size(self, ctx: Context, kind: Kind, name: str) -> int | None:
        self._note("size", kind, name)
        return self.inner.size(ctx, kind, name)

    def delete(self, ctx: Context, kind: Kind, name: str) -> None:
        self._note("delete", kind, name)
        self.inner.delete(ctx, kind, name)

    def close(self) -> None:
        self._note("close")


def make(store: Store, *, version: int = 2) -> Repository:
    """A new repository in ``store``, open."""
    initialise(virtual(), store, PASSWORD, version=version)
    return reopen(store)


def reopen(store: Store, pool: IndexPool | None = None) -> Repository:
    """Another client's view of the repository in ``store``."""
    repository = Repository.open(virtual(), store, PASSWORD)
    repository.index = IndexView(pool or IndexPool())
    return repository


def locker(repository: Repository, user: str = "tester") -> Locker:
    return Locker(repository, user, KnownLocks())
