"""What the machine has for us, and directories that are ours to delete."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from seatrial.errors import HarnessError, SeatrialError, UsageError
from seatrial.guard import MARKER_NAME, MARKER_TEXT, has_marker, remove_tree

OPEN_FILES_WANTED = 65_536
_OPEN_FILES_STEPS = (OPEN_FILES_WANTED, 32_768, 24_576, 10_240, 4_096)
"""macOS refuses what lies above ``kern.maxfilesperproc`` even where the hard limit says unlimited: take the first that it grants."""
_PIECE_BYTES = 1 << 20
_REMEDIES = {
    errno.EACCES: "change its owner or mode, or choose another place",
    errno.EPERM: "change its owner or flags, or choose another place",
    errno.EROFS: "the file system is mounted read-only: choose another place",
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "your quota is used up: free some space, or choose another place",
}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_IN_THE_WAY = dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file is in the way: choose another place")
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_SELF_CGROUP = Path("/proc/self/cgroup")


def raise_open_files() -> int:
    """Raise the soft limit of open files as far as is allowed and sane; returns it. Never lowers it, never raises an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _OPEN_FILES_STEPS:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or limit <= soft:
            break
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return limit
    return soft if soft != resource.RLIM_INFINITY else OPEN_FILES_WANTED


def core_count(cgroup_root: Path = _CGROUP_ROOT, self_cgroup: Path = _SELF_CGROUP) -> int:
    """Cores this process may use, at least 1: the machine's, its affinity, and the quota of its control groups, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for directory in _cgroups("cpu", cgroup_root, self_cgroup):
        quota, period = _cpu_quota(directory)
        if quota > 0 and period > 0:
            allowed = min(allowed, -(-quota // period))
    return max(1, allowed)


def available_memory_bytes(cgroup_root: Path = _CGROUP_ROOT, self_cgroup: Path = _SELF_CGROUP) -> int:
    """Memory that can be taken without swapping: the machine's, or what the tightest control group leaves."""
    import psutil  # noqa: PLC0415 (who only reads a run, as the dashboard does, must not wait for it)

    available: int = psutil.virtual_memory().available
    for directory in _cgroups("memory", cgroup_root, self_cgroup):
        limit = _number(directory / "memory.max") or _number(directory / "memory.limit_in_bytes")
        used = _number(directory / "memory.current") or _number(directory / "memory.usage_in_bytes")
        if limit and used is not None:
            # Cached pages of files count as used, but are given back on demand.
            available = min(available, max(0, limit - used + _statistic(directory / "memory.stat", "inactive_file")))
    return available


def free_space_bytes(path: Path) -> int:
    """Bytes that an ordinary user can still write at ``path``, or at its nearest parent that exists. Raises ``UsageError``."""
    place = path.absolute()
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        return shutil.disk_usage(place).free
    except OSError as error:
        raise _explain(error, place, "its free space cannot be told") from error


class Ballast:
    """Disk space kept back, to be given up when the disk is full and the last events have to be written.

    Threading: one owner; ``release`` from any thread, once or more.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Write ``size_bytes`` to the new file ``path``; ``UsageError`` where there is no room, and then nothing is left."""
        self.path = path
        self.size_bytes = size_bytes
        try:
            with path.open("xb") as file:
                for begin in range(0, size_bytes, _PIECE_BYTES):
                    # Not zeros: file systems that compress or skip holes would keep nothing back.
                    file.write(os.urandom(min(_PIECE_BYTES, size_bytes - begin)))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError as error:
            raise _explain(error, path, "the ballast file is there already") from error
        except OSError as error:
            self.release()
            raise _explain(error, path, f"no room for a ballast of {size_bytes} bytes") from error

    def release(self) -> None:
        """Give the space back. Idempotent."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def is_marked(path: Path) -> bool:
    """Whether ``path`` is a directory (no symbolic link) that seatrial made."""
    return has_marker(path)


def refuse_odd_name(path: Path) -> None:
    """``UsageError`` for a path that no journal could hold, because in this locale it is not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError("the path is not UTF-8", where=str(path), remedy="choose another place, or set a UTF-8 locale") from error


def marked_directory(path: Path) -> Path:
    """Make ``path`` a directory with our marker file, parents included; returns it.

    An empty directory or one that is ours already is fine; ``UsageError`` for any other, so that nothing of anybody else's is ever deleted,
    and for a name that no journal could hold.
    """
    refuse_odd_name(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if has_marker(path):
            return path
        if any(entry.name != MARKER_NAME for entry in path.iterdir()):  # the marker alone may be torn by a crash
            raise UsageError(
                "the directory is not empty and seatrial did not make it", where=str(path), remedy="name an empty or a new one"
            )
        (path / MARKER_NAME).write_bytes(MARKER_TEXT)
    except OSError as error:
        raise _explain(error, path, "cannot be made a directory of ours") from error
    return path


def remove_marked_tree(path: Path) -> None:
    """Remove a directory of ours and all below it, whatever its modes; never through a symbolic link. A missing one is fine.

    Raises ``UsageError`` where our marker is missing or the system refuses; what is left then still carries the marker.
    """
    if not os.path.lexists(path):
        return
    if not has_marker(path):
        raise UsageError(
            f"not removed: it has no {MARKER_NAME} file, so seatrial did not make it", where=str(path), remedy="remove it yourself"
        )
    try:
        remove_tree(path)
    except OSError as error:
        raise _explain(error, path, "cannot be removed") from error


def no_room(error: BaseException | None) -> bool:
    """Whether it says that a disk, or somebody's share of it, is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def refusal_of(error: OSError) -> SeatrialError | None:
    """The system's refusal as an error with its remedy: no permission, no space. None for anything else, which may be a defect of ours."""
    remedy, full = _REMEDIES.get(error.errno or 0), no_room(error)
    named = isinstance(error.filename, str | bytes)
    if remedy is None or not (named or full):  # a full disk is told without a name as well, by a write to what is open
        return None
    kind = HarnessError if full else UsageError
    return kind(error.strerror or "refused", where=os.fsdecode(error.filename) if named else "", remedy=remedy)


def _explain(error: OSError, path: Path, what: str) -> UsageError:
    # Removal works by descriptors, so the error's own name may be relative to any directory below.
    inside = os.fsdecode(error.filename) if error.filename is not None else ""
    detail = f"{error.strerror} at {inside}" if inside and inside != str(path) else f"{error.strerror}"
    remedy = (_REMEDIES | _IN_THE_WAY).get(error.errno or 0, "choose another place")
    return UsageError(f"{what}: {detail}", where=str(path), remedy=remedy)


def _cgroups(controller: str, root: Path, self_cgroup: Path) -> Iterator[Path]:
    """Directories of our control groups and of all above them, version 2 and 1; none where there are none."""
    with contextlib.suppress(OSError):
        for line in self_cgroup.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mount = root / controllers if controllers else root
            place = mount / name.lstrip("/")
            yield from (directory for directory in (place, *place.parents) if directory.is_relative_to(mount))


def _cpu_quota(directory: Path) -> tuple[int, int]:
    """Microseconds of processor per period of so many; zeros for no quota."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (directory / "cpu.max").read_text().split()
        return (0, 0) if quota == "max" else (int(quota), int(period))
    return _number(directory / "cpu.cfs_quota_us") or 0, _number(directory / "cpu.cfs_period_us") or 0


def _number(path: Path) -> int | None:
    """The number in a file; None for ``max``, ``-1`` (no limit) and no such file."""
    with contextlib.suppress(OSError, ValueError):
        value = int(path.read_text())
        return value if value >= 0 else None
    return None


def _statistic(path: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
