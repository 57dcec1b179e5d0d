"""The engine of a run that is shown on this terminal: ``seatrial run --no-ui`` in a process and a session of its own, tied to us.

The tie is a socket. Over it the engine says where its run directory is; over it we say ``detach``. When it ends without that word,
because we closed it or because we are gone by whatever way, the engine stops its run cleanly (``cli/tether.py``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import msgspec

from seatrial.cli.tether import DETACH, ENGINE_LOG, LINE_LIMIT_BYTES, TIED_OPTION, Begun
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import HarnessError
from seatrial.verdicts import ExitCode

BEGINS_S = 60.0
"""For an engine to have a run directory: it imports, reads the configuration, asks the target's program for its version."""
OUTPUT_LIMIT_BYTES = 64 << 10
"""Of what the engine has said, the last so many are shown."""
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from seatrial.cli.main import main; main()"
_PACKAGE_ROOT = str(Path(__file__).parents[2])
"""Last on the engine's path: in a checkout that is not installed it finds the very code that runs here."""


class EngineEndedError(HarnessError):
    """The engine ended before it had a run directory. ``output`` is all it said, ``code`` how it ended."""

    def __init__(self, code: ExitCode, output: str) -> None:
        super().__init__(f"the engine ended before its run began, with exit code {int(code)}\n{output}".rstrip())
        self.code, self.output = code, output


class EngineProcess:
    """One engine, child of whoever shows its run.

    Threading: any thread. One thread of its own reads the tie and then waits for the engine's end; it is a daemon, because it goes on
    as long as a detached engine does. ``_lock`` guards the tie, the output's file and what is known of the end.
    """

    def __init__(self, process: subprocess.Popen[bytes], tie: socket.socket, output: IO[bytes], clock: Clock) -> None:
        """Use ``start``."""
        self._process, self._tie, self._file, self._clock = process, tie, output, clock
        self._lock = threading.Lock()
        self._told = threading.Event()
        self._ended = threading.Event()
        self._directory: Path | None = None
        self._code: ExitCode | None = None
        self._output = ""
        self._detached = False
        self._thread = threading.Thread(target=self._attend, name="engine", daemon=True)
        self._thread.start()

    @classmethod
    def start(cls, arguments: Sequence[str], *, clock: Clock = SYSTEM_CLOCK) -> EngineProcess:
        """Start ``seatrial`` with ``arguments`` (``run``, its preset, its options), headless and tied to us. Returns at once.

        Raises ``HarnessError`` where no process can be started.
        """
        with ExitStack() as undo:
            try:
                tie, theirs = map(undo.enter_context, socket.socketpair())
                output = undo.enter_context(tempfile.TemporaryFile(prefix="seatrial-engine-"))
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM, _PACKAGE_ROOT, *arguments, "--no-ui", TIED_OPTION, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError as error:
                raise HarnessError(
                    f"the engine cannot be started: {error.strerror}",
                    where=error.filename or sys.executable,
                    remedy="free processes (ulimit -u), file descriptors (ulimit -n) or room for temporary files, then run again",
                ) from error
            undo.pop_all()
            theirs.close()
        return cls(process, tie, output, clock)

    @property
    def pid(self) -> int:
        """Of the engine's process, which leads a session and a group of its own."""
        return self._process.pid

    @property
    def directory(self) -> Path:
        """The run directory; waits for it as ``await_directory`` does."""
        return self.await_directory()

    def await_directory(self, timeout_s: float = BEGINS_S) -> Path:
        """Wait until the engine has its run directory.

        Raises ``EngineEndedError`` where it ends before, ``HarnessError`` when it is late.
        """
        self._clock.wait(self._told, timeout_s)
        with self._lock:
            if self._directory is not None:
                return self._directory
            if self._code is not None:
                raise EngineEndedError(self._code, self._output)
        raise HarnessError(
            f"the engine has no run directory after {timeout_s:g} s",
            where=f"process {self.pid}",
            remedy="see what holds it up, then try again",
        )

    @property
    def returncode(self) -> ExitCode | None:
        """How the engine ended; None while it runs. One that was killed counts as broken."""
        with self._lock:
            return self._code

    @property
    def killed_by(self) -> int:
        """The signal that killed the engine; 0 for none."""
        return max(0, -self._process.returncode) if self.returncode is not None else 0

    @property
    def detached(self) -> bool:
        """Whether it goes on without us."""
        return self._detached

    def wait(self, timeout_s: float | None = None) -> ExitCode | None:
        """Wait for the engine's end; None when ``timeout_s`` passes first."""
        if timeout_s is None:
            self._ended.wait()
        else:
            self._clock.wait(self._ended, timeout_s)
        return self.returncode

    def detach(self) -> None:
        """Let the engine go on alone, also when we end. Idempotent."""
        self._let_go(DETACH)

    def close(self) -> None:
        """Cut the tie: an engine that is not detached stops its run cleanly. Does not wait for that. Idempotent."""
        self._let_go(b"")

    def end_at_once(self) -> None:
        """Have an engine that is stopping end at once: kill what it started, journal that. Fine on one that has ended."""
        self._process.send_signal(signal.SIGTERM)  # after the clean stop this is the second asking

    def complaint(self) -> str:
        """What the engine said last about why it could not go on, as it would stand on a terminal's standard error; empty for nothing."""
        lines = self._said().splitlines()
        begins = [number for number, line in enumerate(lines) if line.startswith("seatrial: ") and not line.startswith("seatrial: note: ")]
        return "\n".join(lines[begins[-1] :]) if begins else ""

    def _said(self) -> str:
        with self._lock:
            if self._directory is None:
                return self._output
            log = self._directory / ENGINE_LOG
        try:
            with log.open("rb") as file:
                return _tail(file)
        except OSError:
            return ""

    def _let_go(self, word: bytes) -> None:
        with self._lock, suppress(OSError):  # an engine that has ended needs no word
            if word:
                self._detached = True
                self._tie.sendall(word)
            self._tie.shutdown(socket.SHUT_WR)

    def _attend(self) -> None:
        received = bytearray()
        with suppress(OSError):
            while data := self._tie.recv(LINE_LIMIT_BYTES):
                received += data[: LINE_LIMIT_BYTES - len(received)]
                self._hear(received)
        self._process.wait()
        with self._lock:
            self._code = _code_of(self._process.returncode)
            self._output = _tail(self._file)
            self._file.close()
            self._tie.close()
        self._told.set()
        self._ended.set()

    def _hear(self, received: bytearray) -> None:
        line, newline, _ = received.partition(b"\n")
        if newline and not self._told.is_set():
            with self._lock:
                self._directory = Path(os.fsdecode(msgspec.json.decode(line, type=Begun).directory))
            self._told.set()


def _code_of(returncode: int) -> ExitCode:
    try:
        return ExitCode(returncode)
    except ValueError:
        return ExitCode.BROKEN


def _tail(file: IO[bytes]) -> str:
    """The last of a file, by position: the engine writes through the same one."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), OUTPUT_LIMIT_BYTES, max(0, size - OUTPUT_LIMIT_BYTES)).decode(errors="backslashreplace")
