"""The guard: a tiny process that outlives us, and then kills what we started and removes what we left.

It is run by its file path with ``python -I -S`` and imports next to nothing, so that it is up at once and small. It reads
NUL-terminated orders from its standard input: ``+g <pgid>``, ``-g <pgid>``, ``+d <path>``, ``-d <path>``. End of file means that we
are gone, by whatever way, ``kill -9`` included. Then it stops the groups it knows (TERM, a short grace, KILL), everything that
carries our token in its environment (what left its group, what was started in the very moment we died; Linux only), removes the
directories it knows that carry the marker, and ends.

The rules for removing a marked directory are here, because both sides need them.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys

MARKER_NAME = ".seatrial-directory"
MARKER_TEXT = b"Signature: seatrial-4b7d1c52\nMade by seatrial, which may delete this directory and everything below it.\n"
_SIGNATURE = MARKER_TEXT.split(b"\n", 1)[0]
TOKEN_VARIABLE = "SEATRIAL_GUARD"  # noqa: S105 - a variable's name, not a secret
IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
"""Whoever ends a whole process tree by these must not end the guard before us."""

_GRACE_S = 0.8
"""For a server to end well; all has to be over within two seconds of our end."""
_ROUND_S = 0.02
_REMOVAL_ROUNDS = 5
_START_TIME_FIELD = 19
"""Of ``/proc/<pid>/stat``, counted from the state, which follows the name in parentheses."""
_ORDER_BYTES = 1 << 16


def has_marker(path: str | bytes | os.PathLike[str]) -> bool:
    """Whether ``path`` is a directory (no symbolic link) that seatrial made."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return False
        with open(os.path.join(os.fsencode(path), MARKER_NAME.encode()), "rb") as file:  # noqa: PTH118, PTH123 - pathlib is slow to import
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


def remove_tree(path: str | bytes | os.PathLike[str]) -> None:
    """Remove a directory and all below it, by descriptors, so that no symbolic link leads out of it.

    Directories without permissions are opened up first. The marker goes last: what is left of an interrupted removal is still known
    as ours. A missing directory is fine. Raises ``OSError``.
    """
    parent, name = os.path.split(os.path.abspath(os.fsencode(path)))  # noqa: PTH100 - see above
    try:
        parent_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _remove_directory(parent_fd, name)
    finally:
        os.close(parent_fd)


def _remove_directory(parent_fd: int, name: bytes) -> None:
    try:
        fd = _open_directory(parent_fd, name)
    except FileNotFoundError:
        return
    try:
        for attempt in range(_REMOVAL_ROUNDS):
            _remove_entries(fd)
            try:
                os.rmdir(name, dir_fd=parent_fd)
                return
            except OSError:
                # A process that is just dying may have written once more.
                if attempt == _REMOVAL_ROUNDS - 1:
                    raise
    finally:
        os.close(fd)


def _open_directory(parent_fd: int, name: bytes) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        fd = os.open(name, flags, dir_fd=parent_fd)
    except PermissionError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode):
            raise
        os.chmod(name, stat.S_IRWXU, dir_fd=parent_fd)
        fd = os.open(name, flags, dir_fd=parent_fd)
    if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(fd, stat.S_IRWXU)
    return fd


def _remove_entries(fd: int) -> None:
    with os.scandir(fd) as entries:
        found = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    found.sort(key=lambda entry: entry[0] == MARKER_NAME.encode())
    for name, is_directory in found:
        if is_directory:
            _remove_directory(fd, name)
        else:
            try:
                os.unlink(name, dir_fd=fd)
            except FileNotFoundError:
                continue


def _start_time(pid: int) -> bytes:
    """When a process began, in the kernel's ticks; empty where it is gone or the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - see above
            return file.read().rpartition(b")")[2].split()[_START_TIME_FIELD]
    except (OSError, IndexError):
        return b""


class _Charges:
    """What the guard looks after. Threading: the guard has one thread."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._groups: dict[int, bytes] = {}
        self._directories: set[bytes] = set()

    def order(self, line: bytes) -> None:
        """Take one order; one that makes no sense is dropped, the guard has nobody to tell."""
        verb, _, argument = line.partition(b" ")
        if verb == b"+g" and argument.isdigit():
            self._groups[int(argument)] = _start_time(int(argument))
        elif verb == b"-g" and argument.isdigit():
            self._groups.pop(int(argument), None)
        elif verb == b"+d":
            self._directories.add(argument)
        elif verb == b"-d":
            self._directories.discard(argument)

    def end(self) -> None:
        """Stop every process, then remove the directories."""
        self._signal_all(signal.SIGTERM)
        until_s = os.times().elapsed + _GRACE_S
        while self._signal_all(0) and os.times().elapsed < until_s:
            select.select([], [], [], _ROUND_S)
        for _ in range(_REMOVAL_ROUNDS):  # again, for what was forked while we looked
            if not self._signal_all(signal.SIGKILL):
                break
            select.select([], [], [], _ROUND_S)
        for path in self._directories:
            if has_marker(path):
                try:
                    remove_tree(path)
                except OSError:
                    continue  # the marker is still there: the next run on this place can tell

    def _signal_all(self, number: int) -> bool:
        """Send to every group and every process with our token; whether anything was there. Signal 0 only looks."""
        alive = False
        for group, started in list(self._groups.items()):
            if _start_time(group) not in (started, b""):
                del self._groups[group]  # another process has the number now, so the group had become empty
                continue
            try:
                os.killpg(group, number)
                alive = True
            except OSError:
                del self._groups[group]
        for pid in self._bearers():
            try:
                os.kill(pid, number)
                alive = True
            except OSError:
                continue
        return alive

    def _bearers(self) -> list[int]:
        try:
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - see above
        except OSError:
            return []
        return [pid for pid in pids if self._bears(pid)]

    def _bears(self, pid: int) -> bool:
        # A zombie's environment reads as empty, so the dead do not count.
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - see above
                variables = file.read().split(b"\0")
        except OSError:
            return False
        mine = next((value for value in variables if value.startswith(TOKEN_VARIABLE.encode() + b"=")), b"")
        return self._token in mine


def main(token: str) -> None:
    """Serve orders until end of file, then end what is left."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")  # holds no file system
    charges = _Charges(token)
    rest = b""
    while chunk := os.read(0, _ORDER_BYTES):
        *lines, rest = (rest + chunk).split(b"\0")
        for line in lines:
            charges.order(line)
    charges.end()


if __name__ == "__main__":
    main(sys.argv[1])
