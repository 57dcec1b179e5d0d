"""The lines of a log that a filter lets through, as they are found."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from array import array
from bisect import bisect_left

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial_tui.log.logfile import LogFile
from seatrial_tui.log.scanner import FULL, GAVE_UP, HEADER

MATCHES_MOST = 5_000_000
"""Line numbers kept, four bytes each."""
_POLL_S = 0.1
_CLOSE_S = 2.0


class ScanState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a scan has come."""

    bytes: int = 0
    lines: int = 0
    """Looked through, complete ones."""
    costly: int = 0
    """Lines on which the pattern took too long; they count as not matching."""
    open_matches: bool = False
    """The open line after those matches so far."""
    ended: str = ""
    """Why it will not go on; empty while it does."""


class Scan:
    """One filter over one generation of a log, by a process of its own (``scanner``), and a thread that talks to it.

    Threading: any thread. The thread owns the process's pipes; the lock guards the state and the numbers, which only grow.
    """

    def __init__(self, log: LogFile, pattern: str, *, most: int = MATCHES_MOST, clock: Clock = SYSTEM_CLOCK) -> None:
        """``pattern`` is one that ``compile_filter`` takes for a filter."""
        self._log, self._pattern, self._most, self._clock = log, pattern, most, clock
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._numbers = array("I")
        self._state = ScanState()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="log filter", daemon=True)
        self._thread.start()

    @property
    def state(self) -> ScanState:
        with self._lock:
            return self._state

    def count(self) -> int:
        """Matches found so far."""
        with self._lock:
            return len(self._numbers)

    def numbers(self, begin: int, end: int) -> list[int]:
        """The line numbers of these matches, as far as they are there."""
        with self._lock:
            return self._numbers[max(0, begin) : max(0, end)].tolist()

    def before(self, number: int) -> int:
        """How many matches have a smaller line number."""
        with self._lock:
            return bisect_left(self._numbers, number)

    def close(self) -> None:
        """End the process; its thread follows at once. Waits for nothing. Idempotent."""
        self._closed.set()
        process = self._process
        if process is not None:
            process.kill()

    def join(self) -> None:
        """Wait for the end of both, after ``close``."""
        self._thread.join(_CLOSE_S)

    # -- the thread

    def _serve(self) -> None:
        generation = self._log.state.generation
        opened = self._wait_for_file()
        if opened is None:
            return
        fd, found = opened
        try:
            if found == generation:
                self._run(fd, generation)
        except (OSError, ValueError) as error:  # ValueError: a pattern that cannot be an argument, such as one with a NUL
            self._end(f"the process of the filter cannot be started or read: {error}")
        finally:
            os.close(fd)

    def _wait_for_file(self) -> tuple[int, int] | None:
        while not self._closed.is_set():
            opened = self._log.duplicate()
            if opened is not None:
                return opened
            self._clock.wait(self._closed, _POLL_S)
        return None

    def _run(self, fd: int, generation: int) -> None:
        # -P: whatever lies in the working directory is not ours. A session of its own: Ctrl-Z in the terminal is not for it.
        argv = [sys.executable, "-P", "-m", "seatrial_tui.log.scanner", str(fd), str(self._most), self._pattern]
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, pass_fds=[fd], start_new_session=True
        )
        with process:
            self._process = process
            try:
                if not self._closed.is_set():  # whoever closes it from now on finds the process
                    self._talk(process, generation)
            finally:
                process.kill()

    def _talk(self, process: subprocess.Popen[bytes], generation: int) -> None:
        if process.stdin is None or process.stdout is None:
            return
        asked = -1
        while not self._closed.is_set():
            log = self._log.state
            if log.generation != generation:
                return
            if log.indexed_bytes == asked:
                self._clock.wait(self._closed, _POLL_S)
                continue
            asked = log.indexed_bytes
            process.stdin.write(asked.to_bytes(8, "little"))
            if not self._read_frames(process, asked):
                return

    def _read_frames(self, process: subprocess.Popen[bytes], upto: int) -> bool:
        """Take in what it finds as far as ``upto``; whether it goes on after that."""
        while True:
            header = self._read(process, HEADER.size)
            if len(header) < HEADER.size:
                if not self._closed.is_set():
                    self._end("the process of the filter has ended by itself")
                return False
            size, lines, costly, count, open_matches, ended = HEADER.unpack(header)
            numbers = array("I", self._read(process, 4 * count))
            why = {GAVE_UP: "the pattern takes too long", FULL: f"{self._most:,} lines match, no more are kept"}.get(ended, "")
            with self._lock:
                progress = size > self._state.bytes
                self._numbers.extend(numbers)
                self._state = ScanState(bytes=size, lines=lines, costly=costly, open_matches=bool(open_matches), ended=why)
            if why:
                return False
            if size >= upto or not progress:
                return True

    def _read(self, process: subprocess.Popen[bytes], size: int) -> bytes:
        """As many bytes, fewer only at the end of the stream."""
        parts: list[bytes] = []
        while size > 0 and process.stdout is not None and (part := process.stdout.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _end(self, why: str) -> None:
        with self._lock:
            self._state = msgspec.structs.replace(self._state, ended=why)
