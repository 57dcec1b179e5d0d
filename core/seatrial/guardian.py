"""Our side of the guard process: starts it, tells it what to look after, and starts it again should somebody kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from seatrial import guard
from seatrial.alarms import Alarms
from seatrial.errors import HarnessError

_LAST_WAIT_S = 20.0
"""The guard ends by itself well within this, unless it has to remove very much; then it is not waited for."""


class Guardian:
    """Process groups and temporary directories that must not outlive us.

    Threading: any thread. The lock guards the pipe and the sets; it is held while an order is written (at most a path long).
    """

    def __init__(self, environment: Mapping[str, str], alarms: Alarms) -> None:
        self.token = uuid.uuid4().hex
        self._environment = {name: value for name, value in environment.items() if name != guard.TOKEN_VARIABLE}
        self._alarms = alarms
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._directories: set[bytes] = set()
        self._closed = False

    @property
    def pid(self) -> int:
        """Of the guard process; 0 while there is none."""
        with self._lock:
            return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Have the guard running, before there is anything to guard. Raises ``HarnessError``."""
        with self._lock:
            if self._process is None and not self._closed:
                self._start()

    def add_group(self, group: int) -> None:
        """Kill this process group when we vanish."""
        with self._lock:
            self._groups.add(group)
            self._tell(b"+g %d\0" % group)

    def remove_group(self, group: int) -> None:
        """The group is gone. Told while its leader is still unreaped, so that the number cannot be another's yet. Never raises."""
        with self._lock:
            self._groups.discard(group)
            self._write(b"-g %d\0" % group)  # a dead guard has forgotten it anyway

    def add_directory(self, path: Path) -> None:
        """Remove this marked directory when we vanish."""
        with self._lock:
            name = os.fsencode(path.absolute())
            self._directories.add(name)
            self._tell(b"+d " + name + b"\0")

    def remove_directory(self, path: Path) -> None:
        """Leave the directory alone from now on. Never raises."""
        with self._lock:
            name = os.fsencode(path.absolute())
            self._directories.discard(name)
            self._write(b"-d " + name + b"\0")

    def close(self) -> None:
        """Let the guard end what is left, directories too, and wait for it. Idempotent."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        take_back = self._alarms.after(_LAST_WAIT_S, process.kill)
        process.wait()
        take_back()

    def _tell(self, order: bytes) -> None:
        if self._closed:
            return
        if self._process is None or not self._write(order):
            self._start()  # a new guard is told everything

    def _write(self, order: bytes) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        rest = memoryview(order)
        try:
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except OSError:
            return False
        return True

    def _start(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        # Inherited, so that no signal finds the guard before it ignores them itself.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, guard.IGNORED_SIGNALS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(guard.__file__).resolve()), self.token],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
                env=self._environment,
            )
        except OSError as error:
            raise HarnessError(
                f"the guard process cannot be started: {error.strerror}",
                where=sys.executable,
                remedy="free processes or file descriptors (ulimit -u, ulimit -n), then run again",
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        orders = b"".join(b"+g %d\0" % group for group in self._groups)
        orders += b"".join(b"+d " + name + b"\0" for name in self._directories)
        if orders and not self._write(orders):
            raise HarnessError("the guard process ended at once", where=sys.executable, remedy="look for what kills it, then run again")
