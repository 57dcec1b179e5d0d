"""What ``restic --json`` prints, and what 0.14 prints as text all the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from seatrial.children import Completed
from seatrial.errors import OperationError
from seatrial.targets.protocols import OPERATION_TAG, CreateStats, GcStats, ListedSnapshot

ID_DIGITS = 64
_PROBLEMS_MAX = 50
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PRUNED = re.compile(r"^(to repack|this removes|to delete|total prune):\s+\d+ blobs / ([\d.]+) (\w+)$", re.MULTILINE)
_PACKS_DELETED = re.compile(r"^removing (\d+) old packs$", re.MULTILINE)
_PATHS = (
    re.compile(r"ignoring error for (/.*?): "),
    re.compile(r'"item":"(/[^"]*)"'),
)
_NOISE = re.compile(
    r"returned error, retrying|^Load\(|^Fatal: repository contains|^restic repair |[Dd]amaged (pack )?files|could not be cached"
)
_DAMAGE = re.compile(r"^(pack [0-9a-f]{64}.*(does not exist|not found|no such file)|error for tree|Pack ID does not match)", re.MULTILINE)


class _Summary(msgspec.Struct):
    """``backup``: its last line."""

    snapshot_id: str
    total_files_processed: int = 0
    total_bytes_processed: int = 0
    data_added: int = 0
    data_added_packed: int = 0
    """Since 0.16; as stored, where ``data_added`` counts before compression."""


class _Row(msgspec.Struct):
    """``snapshots``: one of its rows."""

    id: str
    tags: list[str] | None = None


def messages(text: str, kind: str) -> list[dict[str, Any]]:
    """The JSON lines of this ``message_type``."""
    found = []
    for line in text.splitlines():
        if line.startswith("{") and f'"{kind}"' in line:
            try:
                message = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            if message.get("message_type") == kind:
                found.append(message)
    return found


def created(stdout: str) -> tuple[str, CreateStats]:
    """The snapshot's id, of which 0.14 tells eight digits only, and what was moved. ``OperationError``, UNKNOWN, where it is not told."""
    said = messages(stdout, "summary")
    try:
        summary = msgspec.convert(said[-1] if said else {}, _Summary)
    except msgspec.ValidationError as error:
        raise OperationError(f"backup did not say what it made: {error}", cause="protocol", where="restic") from error
    added = summary.data_added_packed or summary.data_added
    return summary.snapshot_id, CreateStats(
        files=summary.total_files_processed, bytes_read=summary.total_bytes_processed, bytes_added=added
    )


def listed(stdout: str) -> list[ListedSnapshot]:
    """The rows of ``snapshots``."""
    try:
        rows = msgspec.json.decode(stdout or "null", type=list[_Row] | None) or []
    except msgspec.MsgspecError as error:
        raise OperationError(f"the listing cannot be read: {error}", cause="protocol", where="restic") from error
    return [ListedSnapshot(id=row.id, op=_operation(row.tags or ())) for row in rows]


def _operation(tags: Iterable[str]) -> str:
    start = f"{OPERATION_TAG}="
    return next((tag.removeprefix(start) for tag in tags if tag.startswith(start)), "")


def pruned(stdout: str) -> GcStats:
    """What ``prune`` did; before 0.17 out of its text, whose figures are rounded."""
    for summary in messages(stdout, "summary"):
        sizes, packs = summary.get("bytes", {}), summary.get("packfiles", {})
        return GcStats(
            freed_bytes=sizes.get("remove_total", 0), repacked_bytes=sizes.get("repack", 0), deleted_packs=packs.get("remove_total", 0)
        )
    found = {name: int(float(number) * _UNITS.get(unit, 0)) for name, number, unit in _PRUNED.findall(stdout)}
    packs_deleted = _PACKS_DELETED.search(stdout)
    return GcStats(
        freed_bytes=found.get("total prune", 0),
        repacked_bytes=found.get("to repack", 0),
        deleted_packs=int(packs_deleted[1]) if packs_deleted else 0,
    )


def problems(done: Completed) -> list[str]:
    """What ``check`` finds fault with, one line each."""
    said = [str(message.get("message", "")).strip() for message in messages(done.stderr, "error")]
    said = said or [line.strip() for line in done.stderr.splitlines() if not line.startswith("{")]
    return [line for line in said if line and not _NOISE.search(line)][:_PROBLEMS_MAX]


def is_damage(done: Completed) -> bool:
    """Whether a ``check`` says that something is damaged, and not that it could not look. One that was ended may have said so before."""
    errors = [summary.get("num_errors", 0) for summary in messages(done.stdout, "summary")]
    return (
        any(errors)
        or "repository contains errors" in done.stderr
        or ((done.timed_out or done.given_up) and _DAMAGE.search(done.stderr) is not None)
    )


def failed_path(stderr: str) -> str:
    """The first file that a restore could not bring back, relative to the root of the snapshot; empty where it names none."""
    for pattern in _PATHS:
        if found := pattern.search(stderr):
            return found[1].lstrip("/")
    return ""
