"""What processes use: processor, memory, open files, threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.frames import ProcessFrame

_RESCAN_S = 5.0
"""Finding descendants reads the whole process table; so often is enough to see a server's helpers."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A process to sample, alone or with all its descendants added up."""

    pid: int
    with_descendants: bool = True


@dataclass(slots=True)
class _Tree:
    members: dict[int, psutil.Process]
    scanned_s: float


class ProcessSampler:
    """Samples processes by role, cheap enough for once a second.

    Processor use is counted between two samples, so the first one of a process says 0. Processes may end at any time: one that has is
    left out, and a role whose root has ended is absent. Threading: one thread.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._trees: dict[tuple[str, Watched], _Tree] = {}

    def sample(self, watched: Mapping[str, Watched]) -> dict[str, ProcessFrame]:
        """One frame by role; costs some tens of microseconds per process."""
        present = set(watched.items())
        self._trees = {key: tree for key, tree in self._trees.items() if key in present}
        frames: dict[str, ProcessFrame] = {}
        for role, one in watched.items():
            frame = self._frame(role, one)
            if frame is not None:
                frames[role] = frame
        return frames

    def _frame(self, role: str, watched: Watched) -> ProcessFrame | None:
        tree = self._tree(role, watched)
        if tree is None:
            return None
        total: ProcessFrame | None = None
        for pid, process in list(tree.members.items()):
            frame = _sample(process)
            if frame is None:
                if pid == watched.pid:
                    return None
                del tree.members[pid]
            else:
                total = frame if total is None else _sum(total, frame)
        return total

    def _tree(self, role: str, watched: Watched) -> _Tree | None:
        key, now_s = (role, watched), self._clock.monotonic_s()
        tree = self._trees.get(key)
        try:
            if tree is None:
                tree = self._trees[key] = _Tree({watched.pid: psutil.Process(watched.pid)}, -_RESCAN_S)
            if watched.with_descendants and now_s - tree.scanned_s >= _RESCAN_S:
                tree.scanned_s = now_s
                for child in tree.members[watched.pid].children(recursive=True):
                    tree.members.setdefault(child.pid, child)
        except psutil.Error:
            self._trees.pop(key, None)
            return None
        return tree


def _sample(process: psutil.Process) -> ProcessFrame | None:
    """None for one that is gone, a zombie, or not ours to see."""
    try:
        if not process.is_running():  # the number may have gone to another process
            return None
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return ProcessFrame(
                pid=process.pid,
                name=process.name(),
                cpu_percent=process.cpu_percent(),
                rss_bytes=process.memory_info().rss,
                open_files=process.num_fds(),
                threads=process.num_threads(),
            )
    except psutil.Error:
        return None


def _sum(root: ProcessFrame, other: ProcessFrame) -> ProcessFrame:
    return ProcessFrame(
        pid=root.pid,
        name=root.name,
        cpu_percent=root.cpu_percent + other.cpu_percent,
        rss_bytes=root.rss_bytes + other.rss_bytes,
        open_files=root.open_files + other.open_files,
        threads=root.threads + other.threads,
    )
