"""What just changed in a few directories, told by the operating system.

Never below a directory's own children: on a busy data tree a recursive watch misses entries and costs more than it tells.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from watchfiles import Change as Kind

WATCHED = 48
"""Directories at most, those inside included."""
INSIDE = 12
"""Of one directory at most; one that holds more directories is a tree of data, and only itself is watched."""
LOOKED_AT = 256
"""Paths at most of which is known whether they are here."""
_LOOK_AGAIN_MS = 2000
_GATHER_MS = 500
_STEP_MS = 100
_PATIENCE_S = 2.0
_RETRY_S = 10.0
_KINDS = {"added": "new", "modified": "changed", "deleted": "gone"}
"""By the names of ``watchfiles.Change``."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What changed last in one directory."""

    name: str
    """Relative to the directory; raw: not yet fit to be printed."""
    kind: str
    """new, changed, gone."""
    others: int
    """More of them at the same moment."""
    at_ns: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known at one moment."""

    changes: Mapping[str, Change] = {}
    """By directory."""
    missing: frozenset[str] = frozenset()
    """Directories that are not there: not yet, no more, or of a run on another host."""
    problem: str = ""
    """Why nothing is watched; empty where all is well."""


class _Asked(NamedTuple):
    paths: tuple[str, ...] = ()
    changes: bool = False

    @property
    def here(self) -> list[str]:
        return [path for path in self.paths[:LOOKED_AT] if Path(path).is_dir()]


class Watcher:
    """Watches on a thread of its own, from ``start`` to ``stop``; what it has seen stays.

    Threading: the methods from one thread, none waits but ``close``. ``_asked`` and ``_seen`` are immutable and replaced as a whole, each
    by one thread only. The operating system bounds the number of watches: where it refuses, ``Seen.problem`` says so.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._asked = _Asked()
        self._seen = Seen()
        self._ended = threading.Event()
        self._ended.set()
        self._thread: threading.Thread | None = None

    @property
    def seen(self) -> Seen:
        """The same object as before where nothing has changed."""
        return self._seen

    def watch(self, paths: Sequence[str], *, changes: bool) -> None:
        """From now on look whether these are here, and where ``changes``, what changes in them; the first ones where there are too many.

        Taken up within two seconds.
        """
        asked = _Asked(tuple(paths), changes)
        if asked != self._asked:
            self._asked = asked

    def start(self) -> None:
        """Begin, if it has not."""
        if self._ended.is_set():
            self._ended = threading.Event()
            args = (self._ended, self._thread)
            self._thread = threading.Thread(target=self._serve, args=args, name="directory-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end; it does within ``_STEP_MS``."""
        self._ended.set()

    def close(self) -> None:
        """End the thread and wait for it. Idempotent."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    def _serve(self, ended: threading.Event, former: threading.Thread | None) -> None:
        if former is not None:
            former.join()  # it has been told to end: two at a time would overwrite what the other has seen
        while not ended.is_set():
            asked = self._asked
            here = asked.here
            watched = _bounded(here) if asked.changes else {}
            self._put(missing=frozenset(asked.paths[:LOOKED_AT]) - set(here), problem="")
            if not watched:
                self._clock.wait(ended, _LOOK_AGAIN_MS / 1000)
                continue
            try:
                self._follow(watched, asked, ended)
            except (OSError, RuntimeError) as error:  # RuntimeError: watchfiles' own
                self._put(problem=f"what changes is not watched: {error}")
                self._clock.wait(ended, _RETRY_S)

    def _follow(self, watched: Mapping[str, str], asked: _Asked, ended: threading.Event) -> None:
        """Until other directories are wanted, or there are others."""
        import watchfiles  # noqa: PLC0415 (no first frame waits for it)

        batches = watchfiles.watch(
            *watched,
            watch_filter=None,
            recursive=False,
            debounce=_GATHER_MS,
            step=_STEP_MS,
            stop_event=ended,
            rust_timeout=_LOOK_AGAIN_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        looked_s = self._clock.monotonic_s()
        with contextlib.closing(batches):
            for batch in batches:
                self._note(batch, watched)
                now_s = self._clock.monotonic_s()
                if self._asked is not asked:
                    return
                if now_s - looked_s >= _LOOK_AGAIN_MS / 1000:
                    looked_s = now_s
                    if _bounded(asked.here) != watched:
                        return

    def _note(self, batch: Iterable[tuple[Kind, str]], watched: Mapping[str, str]) -> None:
        by_root: dict[str, list[tuple[Kind, str]]] = {}
        for kind, path in batch:
            root = watched.get(os.path.dirname(path)) or watched.get(path)  # noqa: PTH120 - thousands in a batch, as they come
            if root is not None and path != root:
                by_root.setdefault(root, []).append((kind, path))
        if not by_root:
            return
        at_ns, changes = self._clock.now_ns(), dict(self._seen.changes)
        for root, changed in by_root.items():
            kind, path = min(changed)  # what is new tells the most, then what changed
            changes[root] = Change(name=os.path.relpath(path, root), kind=_KINDS[kind.name], others=len(changed) - 1, at_ns=at_ns)
        self._put(changes=changes)

    def _put(self, **fields: object) -> None:
        seen = msgspec.structs.replace(self._seen, **fields)
        if seen != self._seen:
            self._seen = seen


def _bounded(roots: Sequence[str]) -> dict[str, str]:
    """The root of each directory that is to be watched: all roots first, then what lies directly in them."""
    watched = {root: root for root in roots[:WATCHED]}
    for root in list(watched):
        inside = _inside(root)
        if len(watched) + len(inside) <= WATCHED:
            for path in inside:
                watched.setdefault(path, root)
    return watched


def _inside(root: str) -> list[str]:
    """The directories directly in a directory; none where there are many."""
    found: list[str] = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append(entry.path)
                    if len(found) > INSIDE:
                        return []
    except OSError:
        return []
    return sorted(found)
