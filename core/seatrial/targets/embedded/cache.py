"""A client's cache on disk, laid out as restic's: ``<dir>/<repository id>/{index,snapshots,data}/<2 hex>/<id>``.

Copies of files that never change, so that a copy is right or damaged, never outdated; whoever reads verifies. ``data`` holds packs of
trees only. Limits are kept by removing what was used longest ago.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import OrderedDict
from pathlib import Path

from seatrial.config.model import CacheSettings
from seatrial.targets.embedded.repository.store import Bytes, Kind, is_name

_KINDS = (Kind.INDEX, Kind.SNAPSHOT, Kind.PACK)
_PACK_BYTES_WORTH = 64 << 20
"""With less room than this for packs, fetching them whole would evict them at once."""


class _Area:
    """Files of one limit, in the order of their last use. ``size_bytes`` and ``files`` are replaced whole."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.known: OrderedDict[tuple[Kind, str], int] = OrderedDict()


class DiskCache:
    """``FileCache`` on a directory.

    Owns the directory. Nothing here raises: a cache on a full or broken disk is a slow cache. Threading: one thread at a time; ``usage``
    may be called by any.
    """

    def __init__(self, directory: Path, repository_id: str, limits: CacheSettings) -> None:
        self.directory = directory / repository_id
        self._packs, self._files = _Area(limits.content_limit_bytes), _Area(limits.metadata_limit_bytes)
        self._bytes, self._counts = dict.fromkeys(_KINDS, 0), dict.fromkeys(_KINDS, 0)
        with contextlib.suppress(OSError):
            self._find()

    def _find(self) -> None:
        """Take over what a former client left here, the oldest first."""
        found = []
        for kind in _KINDS:
            for path in (self.directory / kind.value).glob("??/*"):
                if is_name(path.name):
                    status = path.stat()
                    found.append((status.st_mtime_ns, kind, path.name, status.st_size))
                else:
                    path.unlink()  # a copy that was being written when its client was killed
        for _, kind, name, size in sorted(found):
            self._note(kind, name, size)
        for kind in _KINDS:
            self._evict(kind)

    @property
    def holds_packs(self) -> bool:
        return self._packs.limit_bytes >= _PACK_BYTES_WORTH

    def usage(self) -> tuple[dict[str, int], int]:
        """(bytes by sub-directory, number of files)."""
        return {kind.value: self._bytes[kind] for kind in _KINDS}, sum(self._counts.values())

    @property
    def limit_bytes(self) -> int:
        return self._packs.limit_bytes + self._files.limit_bytes

    def read(self, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        area = self._area(kind)
        if (kind, name) not in area.known:
            return None
        try:
            with self._path(kind, name).open("rb") as file:
                file.seek(offset)
                data = file.read() if length is None else file.read(length)
        except OSError:
            self.discard(kind, name)
            return None
        area.known.move_to_end((kind, name))
        return data

    def write(self, kind: Kind, name: str, data: Bytes) -> None:
        if len(data) > self._area(kind).limit_bytes:
            return
        path = self._path(kind, name)
        temporary = path.with_name(f".{name[:16]}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)  # a reader sees all or nothing, also after a kill
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return
        self._note(kind, name, len(data))
        self._evict(kind)

    def discard(self, kind: Kind, name: str) -> None:
        size = self._area(kind).known.pop((kind, name), None)
        if size is not None:
            self._bytes[kind] -= size
            self._counts[kind] -= 1
        with contextlib.suppress(OSError):
            self._path(kind, name).unlink()

    def clear(self) -> None:
        """Remove every copy."""
        for area in (self._packs, self._files):
            area.known.clear()
        for kind in _KINDS:
            shutil.rmtree(self.directory / kind.value, ignore_errors=True)
            self._bytes[kind] = self._counts[kind] = 0

    def _area(self, kind: Kind) -> _Area:
        return self._packs if kind is Kind.PACK else self._files

    def _path(self, kind: Kind, name: str) -> Path:
        return Path(os.fspath(self.directory), kind.value, name[:2], name)

    def _note(self, kind: Kind, name: str, size: int) -> None:
        area = self._area(kind)
        before = area.known.pop((kind, name), None)
        area.known[kind, name] = size
        self._bytes[kind] += size - (before or 0)
        self._counts[kind] += before is None

    def _evict(self, kind: Kind) -> None:
        area = self._area(kind)
        while area.known and self._area_bytes(kind) > area.limit_bytes:
            oldest_kind, oldest = next(iter(area.known))
            self.discard(oldest_kind, oldest)

    def _area_bytes(self, kind: Kind) -> int:
        return self._bytes[Kind.PACK] if kind is Kind.PACK else self._bytes[Kind.INDEX] + self._bytes[Kind.SNAPSHOT]
