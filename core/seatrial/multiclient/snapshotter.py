"""The snapshotter of many clients: each call goes to the instance of the context's client, made and connected on first use."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from seatrial.checker.compare import NodeLookup
from seatrial.checker.fingerprint import Fingerprint
from seatrial.checker.protocols import FingerprintSink
from seatrial.children import Child
from seatrial.config.model import GcOptions
from seatrial.context import Context, unwrap_context
from seatrial.errors import OperationError, SeatrialError
from seatrial.history.frames import CacheFrame
from seatrial.multiclient.instances import PerClient
from seatrial.multiclient.protocols import ClientSnapshotter
from seatrial.targets.protocols import CreateStats, GcStats, ListedSnapshot, Server, Verification

NewClient = Callable[[Context, Path], ClientSnapshotter]
"""Makes the snapshotter of the context's client, which keeps its files in the directory given. Not connected."""

_log = logging.getLogger(__name__)


class _Member:
    """One client's snapshotter and its directory."""

    __slots__ = ("directory", "snapshotter")

    def __init__(self, directory: Path, snapshotter: ClientSnapshotter) -> None:
        self.directory, self.snapshotter = directory, snapshotter


class MultiClientSnapshotter:
    """Delegates by the client in the context; owns the server and every client's connection to it.

    Threading: safe from any thread as long as each client is used by one thread at a time.
    """

    def __init__(self, base_dir: Path, new_client: NewClient, server: Server) -> None:
        self._base_dir, self._new_client, self._server = base_dir, new_client, server
        self._members: PerClient[_Member] = PerClient(self._join)

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """Open or make the repository and start the server; needed before any client acts."""
        self._server.connect_or_create_repo(repo_path)

    def connect(self, ctx: Context) -> Path:
        """Make and connect the context's client now, not at its first action. Returns the client's directory."""
        return self._members.get(ctx).directory

    def reconnect(self, ctx: Context) -> None:
        """Close the client's connection and open a new one. Where that fails the client is forgotten, and its next action connects it."""
        user, member = unwrap_context(ctx).id, self._members.get(ctx)
        member.snapshotter.disconnect_client(user)
        try:
            member.snapshotter.connect_client(self._server.server_fingerprint(), user)
        except BaseException:
            self.cleanup_client(ctx)
            raise

    def program(self, ctx: Context) -> str:
        """Name and version of what acts as the context's client; empty where the target does not tell."""
        return self._of(ctx).program

    def create_snapshot(
        self, ctx: Context, source_dir: Path, op: str, on_fingerprint: FingerprintSink = lambda _: None
    ) -> tuple[str, Fingerprint, CreateStats]:
        return self._of(ctx).create_snapshot(ctx, source_dir, op, on_fingerprint)

    def restore_snapshot(self, ctx: Context, snapshot_id: str, restore_dir: Path) -> Fingerprint:
        return self._of(ctx).restore_snapshot(ctx, snapshot_id, restore_dir)

    def restore_snapshot_compare(
        self, ctx: Context, snapshot_id: str, restore_dir: Path, expected_root: str, lookup: NodeLookup, report_out: TextIO
    ) -> Fingerprint:
        return self._of(ctx).restore_snapshot_compare(ctx, snapshot_id, restore_dir, expected_root, lookup, report_out)

    def delete_snapshot(self, ctx: Context, snapshot_id: str) -> None:
        self._of(ctx).delete_snapshot(ctx, snapshot_id)

    def list_snapshots(self, ctx: Context) -> list[ListedSnapshot]:
        return self._of(ctx).list_snapshots(ctx)

    def drop_caches(self, ctx: Context) -> None:
        """Empty the client's caches."""
        self._of(ctx).drop_caches()

    def run_gc(self, ctx: Context, options: GcOptions) -> GcStats:
        """On the server's repository: clients may not."""
        return self._server.run_gc(ctx, options)

    def verify_repository(self, ctx: Context) -> Verification:
        """The target's own consistency command, on the server's side."""
        return self._server.verify(ctx)

    def caches(self) -> list[CacheFrame]:
        """The server's caches and every client's, as they are now."""
        return [*self._server.caches(), *(member.snapshotter.cache_frame() for _, member in self._members.items())]

    def get_cache_dir_info(self) -> tuple[str, str]:
        """(stdout, stderr), trimmed: one line per cache, ``<path>: <files> files, <bytes> bytes``; its sub-directories indented."""
        lines = []
        for cache in self.caches():
            lines.append(f"{cache.path}: {cache.files} files, {cache.size_bytes} bytes")
            lines.extend(f"  {name}: {size} bytes" for name, size in sorted(cache.subdirectories.items()))
        return "\n".join(lines).strip(), ""

    def server_cmd(self) -> Child | None:
        """The server's process; None where it is not ours."""
        return self._server.server_cmd()

    def remove_client(self, ctx: Context) -> bool:
        """Take the client's rights, then try to list over the connection it still has; then clean it up.

        Returns whether the server still admitted it, which no server should.
        """
        user, member = unwrap_context(ctx).id, self._members.get(ctx)
        self._server.remove_client(user)
        try:
            member.snapshotter.list_snapshots(ctx)
            admitted = True
        except OperationError as error:
            if error.cause != "denied":
                raise
            admitted = False
        finally:
            self.cleanup_client(ctx)
        return admitted

    def cleanup_client(self, ctx: Context) -> None:
        """Disconnect, clean up, remove the user, forget. A context without a client: logs and returns."""
        if ctx.client is None:
            _log.warning("clean-up of a client was asked for with a context that has none")
            return
        if (member := self._members.pop(ctx)) is not None:
            self._part(ctx.client.id, member)

    def cleanup(self) -> None:
        """All clients, then the server."""
        try:
            for user, member in self._members.pop_all().items():
                self._part(user, member)
        finally:
            self._server.cleanup()

    def _of(self, ctx: Context) -> ClientSnapshotter:
        return self._members.get(ctx).snapshotter

    def _join(self, ctx: Context) -> _Member:
        user = unwrap_context(ctx).id
        member_dir = Path(tempfile.mkdtemp(prefix="client-", dir=self._base_dir))
        member = _Member(member_dir, self._new_client(ctx, member_dir))
        try:
            self._server.authorize_client(user)
            member.snapshotter.connect_client(self._server.server_fingerprint(), user)
        except BaseException:
            self._part(user, member)
            raise
        return member

    def _part(self, user: str, member: _Member) -> None:
        member.snapshotter.disconnect_client(user)
        member.snapshotter.cleanup()
        command = self._server.server_cmd()
        try:
            if command is None or command.returncode is None:  # a dead server is no news here, and has no users
                self._server.remove_client(user)
        except SeatrialError as error:  # the server may be gone; the client must go all the same
            _log.warning("could not remove %s from the server: %s", user, error)
        shutil.rmtree(member.directory, ignore_errors=True)
