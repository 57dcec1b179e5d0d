"""One row for each directory worth logging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from seatrial.history.view import RunView
from seatrial.report.prose import duration, moment, plain, size
from seatrial_tui.lines.columns import Column
from seatrial_tui.lines.growth import Growth, per_minute_column, since_start_column
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.panes.directories.watcher import Change, Seen

UNREADABLE = -1


class DirectoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One directory, now."""

    path: str
    label: str
    size_bytes: int
    """-1 where it cannot be read."""
    files: int | None
    """None where nobody counted them."""
    told: str
    """Where the size comes from."""
    since_start_bytes: int | None = None
    per_minute_bytes: float | None = None
    here: bool = True
    """On this host; True where nobody has looked."""
    change: Change | None = None
    change_ago_s: int = 0


class DirectoryRows:
    """Makes rows out of views; a row is the same object as before where nothing changed. Owner: the pane."""

    def __init__(self) -> None:
        self._known: dict[str, DirectoryRow] = {}

    def make(self, view: RunView, growth: Growth, seen: Seen, now_ns: int) -> list[DirectoryRow]:
        """What telemetry measures, then the caches, then those of which the size before and after the run is all that is known."""
        known, self._known = self._known, {}
        for sized in _sized(view):
            path = sized.path
            change = seen.changes.get(path)
            row = msgspec.structs.replace(
                sized,
                since_start_bytes=growth.since_start(path, sized.size_bytes, view.storage_before.get(path, UNREADABLE)),
                per_minute_bytes=growth.per_minute(path, sized.size_bytes),
                here=path not in seen.missing,
                change=change,
                change_ago_s=max(0, now_ns - change.at_ns) // 1_000_000_000 if change else 0,
            )
            before = known.get(path)
            self._known[path] = before if before == row else row
        return list(self._known.values())


def _sized(view: RunView) -> Iterator[DirectoryRow]:
    """Each directory once, with its latest size. Parts of caches are left to the pane of the caches."""
    frame = view.frame
    listed: set[str] = set()
    for each in frame.directories if frame else ():
        listed.add(each.path)
        told = f"measured {moment(each.measured_at_ns)[11:19]}Z" if each.measured_at_ns else "not measured yet"
        yield DirectoryRow(
            path=each.path, label=each.label, size_bytes=each.size_bytes, files=each.files if each.size_bytes >= 0 else None, told=told
        )
    names = {client.id: client.name for client in view.clients}
    for cache in frame.caches if frame else ():
        listed.update((cache.path, *(f"{cache.path}/{name}" for name in cache.subdirectories)))
        label = f"cache of {names.get(cache.owner, cache.owner)}"
        yield DirectoryRow(path=cache.path, label=label, size_bytes=cache.size_bytes, files=cache.files, told="as the target reports it")
    for when, sizes in (("after", view.storage_after), ("before", view.storage_before)):
        for path, size_bytes in sizes.items():
            if path not in listed:
                listed.add(path)
                label = path.rstrip("/").rpartition("/")[2]
                yield DirectoryRow(path=path, label=label, size_bytes=size_bytes, files=None, told=f"{when} the run")


def size_of(row: DirectoryRow) -> Cell:
    """Its size; a directory that does not exist yet is as unreadable as a forbidden one."""
    if row.size_bytes >= 0:
        return size(row.size_bytes)
    return "unreadable", Tone.WARN


def change_of(row: DirectoryRow) -> Cell:
    """What changed last, and how long ago."""
    if not row.here:
        return "not there now", Tone.FAINT
    if row.change is None:
        return "", Tone.FAINT
    return f"{duration(row.change_ago_s)} ago  {change_name(row.change)}", Tone.PLAIN if row.change_ago_s < 10 else Tone.FAINT


def change_name(change: Change) -> str:
    """``new locks/1f20 and 3 more``."""
    others = f" and {change.others:,} more" if change.others else ""
    return f"{change.kind} {plain(change.name)}{others}"


COLUMNS: Sequence[Column[DirectoryRow]] = (
    Column(name="label", title="directory", cell=lambda row: plain(row.label), max_width=32),
    Column(name="size_bytes", title="size", cell=size_of, value=lambda row: row.size_bytes, right=True),
    since_start_column(1),
    per_minute_column(2),
    Column(
        name="files",
        title="files",
        cell=lambda row: ("-", Tone.FAINT) if row.files is None else f"{row.files:,}",
        value=lambda row: row.files,
        right=True,
        priority=5,
    ),
    Column(
        name="last_change",
        title="just changed",
        cell=change_of,
        value=lambda row: plain(row.change.name) if row.change else None,
        max_width=44,
        grow=True,
        priority=3,
    ),
    Column(name="path", title="path", cell=lambda row: plain(row.path), grow=True, priority=4, max_width=90, middle=True),
)
