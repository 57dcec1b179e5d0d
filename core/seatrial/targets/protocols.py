"""What a system under test has to offer: a ``Target`` makes a ``Server`` and, for each client, a ``TargetClient``.

A target knows nothing of fingerprints, ledgers or verdicts. It creates, restores, deletes and lists, and it tells the truth about
outcomes: it raises ``OperationError`` with FAILED only for causes in its outcome table, UNKNOWN otherwise. All calls honour the
context's deadline and cancellation and may block; each client is called by one thread at a time, the server by any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from seatrial.children import Child, Children
from seatrial.config.model import ActionName, GcOptions, Preset
from seatrial.context import Context
from seatrial.guard import remove_tree
from seatrial.history.events import Event
from seatrial.history.frames import CacheFrame, ServerFrame

EventSink = Callable[[Event], object]
"""Returns once the fact is written."""

OPERATION_TAG = "seatrial-op"
"""Every create carries ``seatrial-op=<run>/<op>`` inside the target."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """All that a client needs to reach the server; a record, so that it can travel to another machine."""

    url: str
    fingerprint: str
    """SHA-256 of the server certificate's DER form, lower-case hex."""
    user: str
    password: str
    repository_password: str
    server_key: str = ""
    """What ``fingerprint`` is of, for programs that have to be given all of it: an ssh host key as ``known_hosts`` has it."""

    def __repr__(self) -> str:
        return f"Access(url={self.url!r}, user={self.user!r}, secrets hidden)"


class CreateStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a create moved."""

    files: int = 0
    bytes_read: int = 0
    bytes_added: int = 0
    """Stored in the repository after deduplication and compression."""


class ListedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a listing."""

    id: str
    op: str = ""
    """``<run>/<op>`` from the tag; empty where seatrial did not make it."""


class GcStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a garbage collection did."""

    freed_bytes: int = 0
    repacked_bytes: int = 0
    deleted_packs: int = 0


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What the target's own consistency command says."""

    clean: bool
    problems: list[str] = []
    output: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """What ``doctor`` shows of a target, or of a program behind it."""

    usable: bool
    version: str = ""
    program: str = ""
    """Where it was found; empty where nothing needs to be."""
    why_not: str = ""
    how_to_get: str = ""


class NeededProgram(Protocol):
    """A program that a target calls; ``targets.programs.program.Program`` is one."""

    @property
    def name(self) -> str:
        """As it is called on PATH."""

    def availability(self, exe: str = "") -> Availability:
        """Whether it is there; raises nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What is particular to a target, as data. Never a skip inside a test."""

    exclusive: frozenset[ActionName]
    """Actions whose lock excludes all others; refused, they are FAILED(contended), counted, no finding."""
    chunk_bytes: int
    """Smallest content-defined chunk: runs of POOL blocks are at least this long."""
    keeps: frozenset[str]
    """Of: mtime, file-mtime (not of directories), mode, xattr, hardlink, sparse, owner, odd-names."""
    loses: frozenset[str] = frozenset()
    """Of what all others keep, so that it is not written for it: odd-links (symlinks whose target is no UTF-8), raw-names (names that
    are no UTF-8, where it keeps other odd names)."""
    client_memory_bytes: int
    """Of one client at work; caps how many run at a time."""
    deleted_in_gc: str
    """What its GC may collect in a run, in one sentence."""
    tolerances: tuple[str, ...] = ()
    programs: tuple[NeededProgram, ...] = ()
    """All that it calls or may call, for ``doctor``, which shows each where there are several."""

    @property
    def not_written(self) -> frozenset[str]:
        """What no writer makes for it, because it would not come back."""
        return self.loses | ({"odd-names"} - self.keeps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the harness lends a target: places, processes, and where to say what happens."""

    preset: Preset
    repository: Path
    """``<prefix>/robustness-data``."""
    base: Path
    """For whatever the target keeps beside the repository (certificates, client configurations); ends with the run."""
    server_log: Path
    children: Children
    emit: EventSink
    environment: dict[str, str] = field(default_factory=dict)
    """Added to the environment of every child."""
    discard: Callable[[Path], object] = remove_tree
    """Takes a directory below ``base`` that nobody uses any more, and sees that it goes; returns perhaps before it is gone."""
    seed: int = 0
    """Of the run, for what a target breaks of itself (``Disturbs``)."""


class Server(Protocol):
    """The repository server of a target: one of ours that is started and stopped, or one that is there already (attached) and only
    spoken to. Threading: any thread."""

    @property
    def absent(self) -> Mapping[ActionName, str]:
        """What cannot be asked of it, and why, in half a sentence: of ``run-gc``, ``verify-repository`` and ``remove-client``. Such an
        action is "not run", by name, and never passed. Empty for a server of our own. Constant."""

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """Open the repository or make it, then start the server; returns once it answers.

        Raises ``TargetError`` with the last lines of its log when it does not come up.
        """

    def restart(self) -> None:
        """Start it again after a death: same address, certificate, users and repository, so that every ``Access`` stays good.

        ``TargetError`` when it does not come up, ``HarnessError`` while it still runs or where it is not ours.
        """

    def authorize_client(self, user: str) -> None:
        """Let ``user`` create snapshots and delete them. Idempotent."""

    def remove_client(self, user: str) -> None:
        """Take the right back; an unknown user is fine."""

    def access(self, user: str) -> Access:
        """How an authorised user gets in."""

    def run(self, *args: str) -> tuple[str, str]:
        """Run one command of the target directly on the server's repository: (stdout, stderr)."""

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        """Collect garbage on the server's side. ``OperationError(contended, FAILED)`` when a lock is refused."""

    def verify(self, ctx: Context) -> Verification:
        """The target's own consistency command, reading all data."""

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        """Every snapshot, read past all caches."""

    def drop_caches(self, ctx: Context) -> None:
        """So that what is read next comes out of the repository itself: a cache would hide what is lost there. No client may be acting
        meanwhile; the server may be stopped and started again. Nothing happens where it has none, or is attached."""

    def server_cmd(self) -> Child | None:
        """The process; None where it is attached and not ours."""

    def server_fingerprint(self) -> str:
        """SHA-256 of the certificate's DER form, lower-case hex."""

    def caches(self) -> Sequence[CacheFrame]:
        """The server's caches as they are now; empty where it has none."""

    def frame(self) -> ServerFrame | None:
        """What the server tells of itself; None where it does not. Must not block for longer than a second."""

    def cleanup(self) -> None:
        """Stop the server cleanly (TERM, then KILL) and give back everything. Idempotent."""


@runtime_checkable
class Disturbs(Protocol):
    """A ``Server`` that breaks parts of itself where the preset asks for it. Threading: both by one thread."""

    def begin_disturbing(self) -> None:
        """The random actions begin. Returns at once."""

    def heal(self, ctx: Context) -> None:
        """They are over: nothing more is broken, and it returns when all stands again. ``OperationError`` where it does not."""


class TargetClient(Protocol):
    """One client's side of a target. Threading: one thread at a time."""

    def connect(self, ctx: Context, access: Access) -> None:
        """Open a connection that stays open. Raises ``OperationError``."""

    def disconnect(self) -> None:
        """Close it; idempotent, never raises."""

    def create(self, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
        """Snapshot ``source_dir``, tagged ``seatrial-op=<op>``. Returns the full snapshot id once the server acknowledged all of it."""

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        """Write the content of the snapshot's source directory into ``into``, an empty directory that exists."""

    def delete(self, ctx: Context, snapshot_id: str) -> None:
        """Delete exactly this snapshot; ``OperationError(missing, FAILED)`` when it is not there."""

    def list(self, ctx: Context) -> list[ListedSnapshot]:
        """All snapshots in the repository, whoever made them, as the server has them now."""

    def cache_info(self) -> CacheFrame:
        """The client's cache as it is now."""

    def drop_caches(self) -> None:
        """So that the next restore reads everything from the server."""

    def cleanup(self) -> None:
        """Disconnect and remove everything this client keeps on disk. Idempotent."""


def program_of(client: TargetClient) -> str:
    """Name and version of what acts as this client, where its ``program`` tells: not all clients of a target need be the same program.
    Empty where it does not."""
    return str(getattr(client, "program", ""))


class Target(Protocol):
    """One line in the registry."""

    name: str
    traits: Traits

    def availability(self, preset: Preset) -> Availability:
        """Whether it can run ``preset`` on this machine; cheap, no side effects, raises nothing."""

    def make_server(self, around: Surroundings) -> Server:
        """A server, not started."""

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        """A client that keeps its files (cache, configuration) below ``directory``, not connected."""
