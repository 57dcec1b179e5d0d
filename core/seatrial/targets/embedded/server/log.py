"""Two logs: the server log on standard output, one event per line, and the access log, one request per line, in a file that rotates.

A value that is not plain is quoted and escaped, so that nothing a stranger sends can break a line or reach a terminal.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from seatrial.clock import Clock

_PLAIN = re.compile(r"[A-Za-z0-9._:/@+,*?&-]+")
_LONGEST = 300
"""Characters of one value."""
_BURST, _WINDOW_S = 20, 1.0
"""So many lines of one event within the window; the rest are counted and told with the next one."""


def quote(value: object) -> str:
    """``value`` as one logfmt word: plain, or in double quotes with everything else than printable ASCII escaped."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def _time(now_ns: int) -> str:
    return datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class ServerLog:
    """Events of the server. Threading: any thread; the lock guards the window and the stream.

    A line that cannot be written (disk full, reader gone) is dropped and counted: logging never fails a request.
    """

    def __init__(self, stream: BinaryIO, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._lock = threading.Lock()
        self._window: dict[str, tuple[float, int]] = {}
        self._suppressed: dict[str, int] = {}
        self._dropped = 0

    def info(self, event: str, **fields: object) -> None:
        """Something expected."""
        self._write("INFO ", event, fields)

    def warn(self, event: str, **fields: object) -> None:
        """Something a person may want to look at."""
        self._write("WARN ", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """The server could not do what it promises."""
        self._write("ERROR", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        with self._lock:
            if not self._admitted(event):
                self._suppressed[event] = self._suppressed.get(event, 0) + 1
                return
            if suppressed := self._suppressed.pop(event, 0):
                fields = {**fields, "suppressed": suppressed}
            if self._dropped:
                fields = {**fields, "dropped": self._dropped}
            words = " ".join(f"{key}={quote(value)}" for key, value in fields.items())
            line = f"{_time(self._clock.now_ns())} {level} {event} {words}".rstrip() + "\n"
            try:
                self._stream.write(line.encode("ascii"))
                self._stream.flush()
                self._dropped = 0
            except OSError:
                self._dropped += 1

    def _admitted(self, event: str) -> bool:
        now = self._clock.monotonic_s()
        began, count = self._window.get(event, (now, 0))
        if now - began >= _WINDOW_S:
            began, count = now, 0
        self._window[event] = (began, count + 1)
        return count < _BURST


class AccessLog:
    """One line per request. Threading: any thread; the lock guards the file and its size. Failures are swallowed and counted."""

    def __init__(self, path: Path, limit_bytes: int, clock: Clock) -> None:
        self._path, self._limit, self._clock = path, limit_bytes, clock
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self.dropped = 0

    def write(self, *, method: str, target: str, status: int, size: int, ms: float, user: str, peer: str) -> None:
        """``size``: bytes of the body that moved, whichever way."""
        line = (
            f"{_time(self._clock.now_ns())} {quote(method)} {quote(target)} {status} bytes={size} ms={ms:.2f} "
            f"user={quote(user or '-')} peer={quote(peer)}\n"
        ).encode("ascii")
        with self._lock:
            try:
                if self._size + len(line) > self._limit and self._size and not self._file.closed:
                    self._rotate()
                self._file.write(line)
                self._size += len(line)
            except (OSError, ValueError):  # ValueError: closed, at the very end
                self.dropped += 1

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._file.close()

    def _rotate(self) -> None:
        """Where that fails half way (no descriptor is left, say) the next line tries again."""
        with suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        fresh = self._path.open("ab", buffering=0)
        self._file.close()
        self._file, self._size = fresh, 0
