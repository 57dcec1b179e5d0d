"""How big directories are: continuously at a small share of a core, and exactly before and after a run."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock, stamp, thread_cpu_s
from seatrial.errors import HarnessError
from seatrial.history.frames import DirectoryFrame

UNREADABLE = -1
_SHARE = 0.05
"""Of one core, at most."""
_SLICE_S = 0.002
"""Work this long, then rest for ``_SLICE_S / _SHARE``: short enough to disturb nobody, long enough for the clock."""
_ROUND_S = 2.0
"""A round over all directories begins at most this often."""


class Measure(NamedTuple):
    """Regular files below a directory; a hard link counts as often as it is seen."""

    size_bytes: int
    files: int


class _Unreadable(Exception):
    pass


def measure(directory: Path) -> Measure:
    """Size and number of the regular files below ``directory``, at full speed; ``size_bytes`` -1 where a part cannot be read."""
    size = files = 0
    try:
        for seen in _entries(directory):
            size, files = size + seen.size_bytes, files + seen.files
    except _Unreadable:
        return Measure(UNREADABLE, 0)
    return Measure(size, files)


def storage_stats(directories: Iterable[Path]) -> dict[str, int]:
    """Bytes of regular files below each directory, by printable path; -1 where it cannot be read. Blocks while it reads."""
    return {printable(directory): measure(directory).size_bytes for directory in directories}


def write_storage_stats(prefix: Path, target: str, stats: Mapping[str, int], clock: Clock = SYSTEM_CLOCK) -> Path:
    """Write ``[{"path", "size"}]`` to ``<prefix>/logs/multiclient_<target>_cache_dir_usage_<YYYYMMDD_HHMMSS>.json``, in UTC.

    Returns the file, which is always a new one: a second one of the same second gets ``-2`` and so on behind the time. Raises
    ``HarnessError``.
    """
    logs = prefix / "logs"
    name = f"multiclient_{re.sub(r'[^A-Za-z0-9._-]', '_', target)}_cache_dir_usage_{stamp(clock.now_ns())}"
    content = msgspec.json.format(msgspec.json.encode([{"path": path, "size": size} for path, size in stats.items()]), indent=2)
    try:
        logs.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            file = logs / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
            try:
                with file.open("xb") as stream:
                    stream.write(content + b"\n")
                return file
            except FileExistsError:
                continue
    except OSError as error:
        raise HarnessError(
            f"storage statistics cannot be written: {error.strerror}", where=str(logs), remedy="make it writable and free some space"
        ) from error
    raise HarnessError("a thousand storage statistics in one second", where=str(logs), remedy="look at what writes them")


def printable(path: Path) -> str:
    """A path as text that any encoder takes: bytes that are not UTF-8 as ``\\xNN``."""
    return os.fsencode(path).decode(errors="backslashreplace")


class DirectoryMeter:
    """Keeps the sizes of many directories fresh, one after another, at no more than a twentieth of a core.

    A big tree takes many slices; until it is through, its last size stands (at first ``size_bytes`` -1, ``measured_at_ns`` 0).
    Threading: ``watch``, ``forget`` and ``frames`` from any thread, none blocks; the lock guards ``_watched``. One thread measures,
    from ``start`` to ``close``.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[Path, DirectoryFrame] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="directory-meter", daemon=True)
        self._slice_began_s = 0.0  # of the thread's own processor time: waiting for a disk is not work

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def watch(self, path: Path, label: str = "") -> None:
        """Measure this directory from now on; it need not exist yet."""
        with self._lock:
            self._watched.setdefault(path, DirectoryFrame(path=printable(path), label=label))

    def forget(self, path: Path) -> None:
        """Measure it no more; an unknown one is fine."""
        with self._lock:
            self._watched.pop(path, None)

    def frames(self) -> list[DirectoryFrame]:
        """The latest sizes, in the order of ``watch``."""
        with self._lock:
            return list(self._watched.values())

    def close(self) -> None:
        """End the thread, in the middle of a tree too. Idempotent."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _serve(self) -> None:
        self._slice_began_s = thread_cpu_s()
        while not self._ended.is_set():
            began_s = self._clock.monotonic_s()
            with self._lock:
                paths = list(self._watched)
            for path in paths:
                if not self._measure(path):
                    return
            self._clock.wait(self._ended, max(0.0, began_s + _ROUND_S - self._clock.monotonic_s()))

    def _measure(self, path: Path) -> bool:
        """Measure one directory; False when it is time to end."""
        size = files = 0
        try:
            for seen in _entries(path):
                size, files = size + seen.size_bytes, files + seen.files
                if not self._rest():
                    return False
        except _Unreadable:
            size, files = UNREADABLE, 0
        with self._lock:
            old = self._watched.get(path)
            if old is not None:
                self._watched[path] = msgspec.structs.replace(old, size_bytes=size, files=files, measured_at_ns=self._clock.now_ns())
        return self._rest()

    def _rest(self) -> bool:
        worked_s = thread_cpu_s() - self._slice_began_s
        if worked_s >= _SLICE_S:
            self._clock.wait(self._ended, worked_s / _SHARE - worked_s)
            self._slice_began_s = thread_cpu_s()
        return not self._ended.is_set()


_NOT_A_FILE = Measure(0, 0)


def _entries(root: Path) -> Iterator[Measure]:
    """What each entry of the tree adds; links are not followed, what vanishes meanwhile is left out."""
    pending = [os.fspath(root)]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                        yield _NOT_A_FILE
                    elif entry.is_file(follow_symlinks=False):
                        try:
                            yield Measure(entry.stat(follow_symlinks=False).st_size, 1)
                        except FileNotFoundError:
                            continue
                    else:
                        yield _NOT_A_FILE
        except (FileNotFoundError, NotADirectoryError) as error:
            if directory == os.fspath(root):
                raise _Unreadable from error
        except OSError as error:
            raise _Unreadable from error
