"""One client's snapshotter: a target's client, with a fingerprint before each create and after each restore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from seatrial.checker.compare import DamageKind, NodeLookup, compare
from seatrial.checker.fingerprint import Fingerprint, ForbiddenError, fingerprint
from seatrial.checker.mismatch import Damage, MismatchError
from seatrial.checker.protocols import FingerprintSink
from seatrial.context import Context
from seatrial.history.frames import CacheFrame
from seatrial.multiclient.explained import explained
from seatrial.targets.protocols import Access, CreateStats, ListedSnapshot, TargetClient, program_of


class CheckedClientSnapshotter:
    """A ``ClientSnapshotter`` over any ``TargetClient``. Threading: one thread at a time, ``cache_frame`` from any."""

    def __init__(self, ctx: Context, client: TargetClient, access: Callable[[str], Access], keeps: frozenset[str]) -> None:
        self._ctx, self._client, self._access, self._keeps = ctx, client, access, keeps

    @property
    def program(self) -> str:
        return program_of(self._client)

    def connect_client(self, fingerprint: str, user: str) -> None:
        access = self._access(user)
        if access.fingerprint != fingerprint:
            raise ValueError(f"the server's fingerprint is {access.fingerprint}, not {fingerprint}")
        self._client.connect(self._ctx, access)

    def disconnect_client(self, user: str) -> None:
        self._client.disconnect()

    def create_snapshot(
        self, ctx: Context, source_dir: Path, op: str, on_fingerprint: FingerprintSink
    ) -> tuple[str, Fingerprint, CreateStats]:
        ctx.progress.start("fingerprint")
        before = fingerprint(source_dir, keeps=self._keeps, ctx=ctx)
        on_fingerprint(before)
        snapshot_id, stats = self._client.create(ctx, source_dir, op)
        return snapshot_id, before, stats

    def restore_snapshot(self, ctx: Context, snapshot_id: str, restore_dir: Path) -> Fingerprint:
        self._client.restore(ctx, snapshot_id, restore_dir)
        ctx.progress.start("fingerprint")
        return fingerprint(restore_dir, keeps=self._keeps, ctx=ctx)

    def restore_snapshot_compare(
        self, ctx: Context, snapshot_id: str, restore_dir: Path, expected_root: str, lookup: NodeLookup, report_out: TextIO
    ) -> Fingerprint:
        try:
            actual = self.restore_snapshot(ctx, snapshot_id, restore_dir)
        except ForbiddenError as error:
            # We read it when it was snapshotted, and we restored it: it is the modes that are wrong.
            damage = Damage(path=error.where, kind=DamageKind.MODE.value, expected="readable", actual="not readable for its owner")
            raise _told(MismatchError(snapshot_id, [damage]), report_out) from error
        if differences := compare(expected_root, actual, lookup):
            raise _told(MismatchError(snapshot_id, explained(differences, restore_dir)), report_out)
        return actual

    def delete_snapshot(self, ctx: Context, snapshot_id: str) -> None:
        self._client.delete(ctx, snapshot_id)

    def list_snapshots(self, ctx: Context) -> list[ListedSnapshot]:
        return self._client.list(ctx)

    def cache_frame(self) -> CacheFrame:
        return self._client.cache_info()

    def drop_caches(self) -> None:
        self._client.drop_caches()

    def cleanup(self) -> None:
        self._client.cleanup()


def _told(error: MismatchError, report_out: TextIO) -> MismatchError:
    report_out.writelines(f"{line}\n" for line in error.lines)
    return error
