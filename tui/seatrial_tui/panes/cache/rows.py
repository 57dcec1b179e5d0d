"""One row for each cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from seatrial.history.frames import CacheFrame
from seatrial.report.prose import plain, size
from seatrial_tui.lines.columns import Column
from seatrial_tui.lines.growth import Growth, per_minute_column, since_start_column
from seatrial_tui.lines.sheet import meter
from seatrial_tui.lines.tones import Cell, Tone

_METER = 8
_NEARLY_FULL, _FULL = 0.8, 0.95


class CacheRow(msgspec.Struct, frozen=True, kw_only=True):
    """One cache, now."""

    owner: str
    """Client id, or ``server``."""
    name: str
    """The client's pet name, or ``server``."""
    cache: CacheFrame
    since_start_bytes: int | None
    per_minute_bytes: float | None

    @property
    def key(self) -> str:
        return f"{self.owner}\0{self.cache.path}"

    @property
    def share(self) -> float | None:
        """Of its limit; None for one without."""
        return self.cache.size_bytes / self.cache.limit_bytes if self.cache.limit_bytes else None


class CacheRows:
    """Makes rows out of frames; a row is the same object as before where nothing changed. Owner: the pane."""

    def __init__(self) -> None:
        self._known: dict[str, CacheRow] = {}

    def make(self, caches: Sequence[CacheFrame], names: Mapping[str, str], growth: Growth) -> list[CacheRow]:
        """In the order of ``caches``; ``names``: of clients, by id."""
        known, self._known = self._known, {}
        for cache in caches:
            row = CacheRow(
                owner=cache.owner,
                name=names.get(cache.owner, cache.owner),
                cache=cache,
                since_start_bytes=growth.since_start(cache.path, cache.size_bytes),
                per_minute_bytes=growth.per_minute(cache.path, cache.size_bytes),
            )
            before = known.get(row.key)
            self._known[row.key] = before if before == row else row
        return list(self._known.values())


def how_full(row: CacheRow) -> Cell:
    """A bar and a percentage."""
    share = row.share
    if share is None:
        return "no limit", Tone.FAINT
    tone = Tone.BAD if share >= _FULL else Tone.WARN if share >= _NEARLY_FULL else Tone.PLAIN
    return f"{meter(share, _METER)} {share:4.0%}", tone


COLUMNS: Sequence[Column[CacheRow]] = (
    Column(name="owner", title="cache of", cell=lambda row: plain(row.name), value=lambda row: row.owner, max_width=28, middle=True),
    Column(
        name="size_bytes", title="size", cell=lambda row: size(row.cache.size_bytes), value=lambda row: row.cache.size_bytes, right=True
    ),
    Column(name="share_of_limit", title="of its limit", cell=how_full, value=lambda row: row.share, priority=3),
    since_start_column(2),
    per_minute_column(1),
    Column(name="files", title="files", cell=lambda row: f"{row.cache.files:,}", value=lambda row: row.cache.files, right=True, priority=4),
    Column(
        name="limit_bytes",
        title="limit",
        cell=lambda row: size(row.cache.limit_bytes) if row.cache.limit_bytes else ("none", Tone.FAINT),
        value=lambda row: row.cache.limit_bytes,
        right=True,
        priority=6,
    ),
    Column(name="path", title="path", cell=lambda row: plain(row.cache.path), grow=True, priority=5, middle=True),
)
