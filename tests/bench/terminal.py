"""A program on a pseudo-terminal, with somebody before it who reads and types. For measuring what a person would see."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil

from seatrial.clock import SYSTEM_CLOCK, Clock

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|.)", re.DOTALL)
_PROGRAM = "from seatrial.cli.main import main; main()"
_ENDS_S = 10.0
T = TypeVar("T")


class Terminal:
    """``seatrial`` on a terminal of its own; a context manager that kills it.

    ``text`` is what came since the last key or pause, escape sequences included. Threading: one owner, who reads while waiting: nobody else
    takes the output away.
    """

    def __init__(self, *arguments: str, home: Path, columns: int = 160, lines: int = 50, clock: Clock = SYSTEM_CLOCK) -> None:
        """``home`` is all that the program knows of a user."""
        self._clock = clock
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {"PATH": os.defpath, "HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.began_s = clock.monotonic_s()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *arguments],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=environment,
                cwd=home,
                start_new_session=True,
            )
        except OSError:
            os.close(self._ours)
            raise
        finally:
            os.close(theirs)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait(_ENDS_S)
        os.close(self._ours)

    @property
    def plain(self) -> str:
        """``text`` without its escape sequences."""
        return _ESCAPE.sub("", self.text)

    def read_for(self, seconds: float, *, keep: bool = False) -> None:
        """Let time pass; what comes is forgotten, unless it is to be kept."""
        until_s = self._clock.monotonic_s() + seconds
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            self._read(left_s)
        if not keep:
            self.text = ""

    def wait_for(self, seen: Callable[[], T | None], timeout_s: float = 30.0) -> tuple[T, float]:
        """What ``seen`` finds, and when (monotonic seconds); an error where it finds nothing in time."""
        until_s = self._clock.monotonic_s() + timeout_s
        while not (found := seen()):
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                raise RuntimeError(f"it did not come within {timeout_s:g} s:\n{self.plain[-4000:]}")
            self._read(left_s)
        return found, self._clock.monotonic_s()

    def shows(self, pattern: str, timeout_s: float = 30.0) -> float:
        """When this regular expression was on the screen since the last key."""
        expression = re.compile(pattern)
        return self.wait_for(lambda: expression.search(self.plain), timeout_s)[1]

    def press(self, keys: str) -> float:
        """Type; when. What came before is forgotten."""
        self._drain()
        self.text = ""
        pressed_s = self._clock.monotonic_s()
        os.write(self._ours, keys.encode())
        return pressed_s

    # -- what it costs

    def cpu_s(self) -> float:
        """Processor seconds so far, with its children, those that have ended too."""
        return sum(sum(process.cpu_times()[:4]) for process in self._processes())

    def rss_bytes(self) -> int:
        """Memory now, with its children."""
        return sum(process.memory_info().rss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def _drain(self) -> None:
        while self._read(0):
            pass

    def _read(self, timeout_s: float) -> bool:
        """Whether something came."""
        if not select.select([self._ours], [], [], min(timeout_s, 1.0))[0]:
            return False
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError as error:  # nobody holds the other side any more
            raise RuntimeError(f"the program has ended with {self.process.wait(_ENDS_S)}:\n{self.plain[-4000:]}") from error
        self.text += self._decoder.decode(data)
        return True
