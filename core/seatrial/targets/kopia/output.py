"""What kopia prints, read: JSON where it offers it, lines where it does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from seatrial.children import Completed
from seatrial.errors import OperationError
from seatrial.targets.programs.commands import decoded
from seatrial.targets.protocols import OPERATION_TAG, CreateStats, ListedSnapshot

_TAG_LABEL = f"tag:{OPERATION_TAG}"
_ADDRESS = re.compile(r"^SERVER ADDRESS: (\S+)$", re.MULTILINE)
_CACHE_LINE = re.compile(r"(?P<path>\S.*/(?P<name>[^/:]+)): \d+ files [^(]*(\(soft limit: (?P<limit>[\d.]+ \w+),)?")
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_NOISE = re.compile(
    r"^\s*(\{.*\}|Listing blobs\.\.\.|Listed \d+ blobs\.|Verifying contents\.\.\.|Finished verifying .*|verifyCounters:.*"
    r"|Verified \d+ contents, .*|Estimat.*|Finished processing .*)?\s*$"
)
MAX_PROBLEMS = 20
"""Of one verification; a lost pack makes one for each content in it."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Of a directory and all below it."""

    size: int = 0
    files: int = 0
    numFailed: int = 0  # noqa: N815 (kopia's key)


class RootEntry(msgspec.Struct, frozen=True, kw_only=True):
    summ: Summary = Summary()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``snapshot list --json``, and what ``snapshot create --json`` prints."""

    id: str
    incomplete: str = ""
    """Why it does not hold everything (``canceled``, ``checkpoint``); text listings hide such a snapshot."""
    rootEntry: RootEntry | None = None  # noqa: N815 (kopia's key)
    tags: dict[str, str] = {}

    @property
    def op(self) -> str:
        """``<run>/<op>``; empty where seatrial did not make it."""
        return self.tags.get(_TAG_LABEL, "")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``manifest list --json``."""

    id: str
    labels: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class CachePart:
    """A line of ``cache info``, without its size, which is rounded there."""

    name: str
    path: Path
    limit_bytes: int
    """Soft limit; 0 for none."""


def created(done: Completed) -> tuple[str, CreateStats]:
    """Id and counts out of ``snapshot create --json``."""
    made = decoded(done, Snapshot, operation="snapshot create", where="kopia")
    if made.rootEntry is None:
        return made.id, CreateStats()
    summary = made.rootEntry.summ
    if summary.numFailed:
        raise OperationError(f"{summary.numFailed} entries could not be read", cause="source-unreadable", where=made.id)
    return made.id, CreateStats(files=summary.files, bytes_read=summary.size)


def snapshots(done: Completed) -> list[ListedSnapshot]:
    """Complete snapshots out of ``snapshot list --json``. What a create left that was told to end is none, and never restored."""
    return [ListedSnapshot(id=row.id, op=row.op) for row in all_snapshots(done) if not row.incomplete]


def all_snapshots(done: Completed) -> list[Snapshot]:
    """The same, incomplete ones too."""
    return decoded(done, list[Snapshot], operation="snapshot list", where="kopia")


def snapshot_manifests(done: Completed) -> list[str]:
    """Ids of all snapshots, incomplete ones too, out of ``manifest list --json``."""
    return [
        row.id for row in decoded(done, list[Manifest], operation="manifest list", where="kopia") if row.labels.get("type") == "snapshot"
    ]


def listing_differences(manifests: Sequence[str], listed: Sequence[Snapshot]) -> list[str]:
    """What only one of the two listings knows: ``snapshot list`` passes over what it cannot read."""
    in_manifests, in_list = set(manifests), {row.id for row in listed}
    unread = [f"snapshot {each} is in the manifests, and `snapshot list` does not show it" for each in sorted(in_manifests - in_list)]
    unknown = [f"`snapshot list` shows {each}, which is not in the manifests" for each in sorted(in_list - in_manifests)]
    return unread + unknown


def complaints(done: Completed) -> list[str]:
    """The lines of a verification that say what is wrong, each once, the first ``MAX_PROBLEMS``."""
    lines = (line.strip() for line in done.stderr.splitlines() if not _NOISE.match(line))
    return list(dict.fromkeys(lines))[:MAX_PROBLEMS]


def damaged_path(said: str, into: Path) -> str:
    """The file that a restore into ``into`` failed at, relative to it; empty where it does not say, or means the whole."""
    found = re.search(re.escape(f"unable to open snapshot file for {into}/") + r"(.+?): unable to open object", said)
    return found[1] if found else ""


def server_address(log: str) -> str:
    """Where ``server start`` says it listens; empty where it has not said so yet. The last of several."""
    found = _ADDRESS.findall(log)
    return str(found[-1]) if found else ""


def cache_parts(text: str) -> list[CachePart]:
    """What ``cache info`` tells of each part of the cache."""
    found = filter(None, map(_CACHE_LINE.match, text.splitlines()))
    return [CachePart(name=line["name"], path=Path(line["path"]), limit_bytes=_bytes(line["limit"] or "0 B")) for line in found]


def _bytes(size: str) -> int:
    number, unit = size.split()
    return round(float(number) * _UNITS[unit])
