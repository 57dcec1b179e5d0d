"""The snapshotter as the checker sees it. It stands here because it speaks of fingerprints; ``multiclient`` implements it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from seatrial.checker.compare import NodeLookup
from seatrial.checker.fingerprint import Fingerprint
from seatrial.context import Context
from seatrial.targets.protocols import CreateStats, ListedSnapshot

FingerprintSink = Callable[[Fingerprint], None]
"""Told what a create is about to store, before its first byte leaves."""


class Snapshotter(Protocol):
    """Takes, restores, compares, lists and deletes snapshots. All methods raise ``OperationError`` and ``CancelledError``."""

    def create_snapshot(
        self, ctx: Context, source_dir: Path, op: str, on_fingerprint: FingerprintSink
    ) -> tuple[str, Fingerprint, CreateStats]:
        """Fingerprint ``source_dir``, then snapshot it under the operation id ``op`` (``<run>/<op>``)."""

    def restore_snapshot(self, ctx: Context, snapshot_id: str, restore_dir: Path) -> Fingerprint:
        """Restore into an empty directory and fingerprint what came."""

    def restore_snapshot_compare(
        self, ctx: Context, snapshot_id: str, restore_dir: Path, expected_root: str, lookup: NodeLookup, report_out: TextIO
    ) -> Fingerprint:
        """Restore and compare. ``MismatchError`` where it differs; the difference goes to ``report_out`` as well."""

    def delete_snapshot(self, ctx: Context, snapshot_id: str) -> None:
        """Delete one snapshot."""

    def list_snapshots(self, ctx: Context) -> list[ListedSnapshot]:
        """Every snapshot in the repository as the server has it now."""
