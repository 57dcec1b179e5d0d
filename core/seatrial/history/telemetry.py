"""Telemetry beside the journal: ``telemetry.jsonl``, and ``telemetry.old.jsonl`` once it was full. Losing all of it changes no verdict."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.history.frames import Frame

FILE_NAME, OLD_NAME = "telemetry.jsonl", "telemetry.old.jsonl"
FILE_BYTES = 16 << 20
"""When a file is as long as this, the next one begins; the one before the last is gone."""
MAX_FRAME_BYTES = 4 << 20
"""A longer frame is dropped; as much is read back to find the last one."""
_CHUNK = 1 << 20
_decode = msgspec.json.Decoder(Frame).decode


class TelemetryWriter:
    """Writes the latest frame, by a thread of its own: a slow or full disk costs frames, never the caller's time.

    Threading: any thread. One lock guards the one frame that waits; a frame that comes while another waits replaces it, and that
    one counts as dropped, as does a frame that cannot be written.
    """

    def __init__(self, directory: Path, clock: Clock = SYSTEM_CLOCK, *, file_bytes: int = FILE_BYTES) -> None:
        """Begin in ``directory``. Raises nothing: where no file can be made, frames are dropped."""
        self._path, self._old = directory / FILE_NAME, directory / OLD_NAME
        self._clock, self._file_bytes = clock, file_bytes
        self._changed = threading.Condition()
        self._waiting: Frame | None = None
        self._dropped, self._closed = 0, False
        self._thread = threading.Thread(target=self._run, name="telemetry-writer")
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames dropped so far."""
        return self._dropped

    def write(self, frame: Frame) -> None:
        """Hand over a frame; never blocks on the disk. After ``close`` it is dropped. ``at_ns`` 0 is filled in."""
        if not frame.at_ns:
            frame = msgspec.structs.replace(frame, at_ns=self._clock.now_ns())
        with self._changed:
            if self._waiting is not None or self._closed:
                self._dropped += 1
            if not self._closed:
                self._waiting = frame
                self._changed.notify()

    def close(self) -> None:
        """Write what waits, end the thread. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closed)
                frame, self._waiting = self._waiting, None
                dropped = self._dropped
            if frame is None:
                return
            try:
                self._put(msgspec.json.encode(msgspec.structs.replace(frame, dropped=dropped)) + b"\n")
            except OSError:
                with self._changed:
                    self._dropped += 1

    def _put(self, line: bytes) -> None:
        """One line, whole or not at all."""
        if len(line) > MAX_FRAME_BYTES:
            raise OSError("a frame is too long")
        with contextlib.suppress(FileNotFoundError):
            size = self._path.stat().st_size
            if size and size + len(line) > self._file_bytes:
                self._path.rename(self._old)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(fd).st_size
            if os.write(fd, line) != len(line):
                os.ftruncate(fd, size)
                raise OSError("a frame was cut short")
        finally:
            os.close(fd)


class TelemetryReader:
    """Reads frames as they come, over rotation. Threading: one owner. Holds at most one open file; ``close`` it."""

    def __init__(self, directory: Path, *, from_old: bool = False) -> None:
        """``from_old``: begin with the file before the current one, where there is one."""
        self._path = directory / FILE_NAME
        self._begin = [directory / OLD_NAME] if from_old else []
        self._fd, self._rest = -1, b""

    def latest(self) -> Frame | None:
        """The last frame in the file, wherever this reader stands; None where there is none."""
        for path in (self._path, self._path.with_name(OLD_NAME)):
            with contextlib.suppress(OSError), path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                # One frame and a torn one behind it.
                file.seek(max(0, size - 2 * MAX_FRAME_BYTES))
                frame = _last_frame(file.read())
                if frame is not None:
                    return frame
        return None

    def poll(self) -> list[Frame]:
        """The frames of at most the next MiB; none when there is nothing new. Lines that are no frames are left out."""
        if self._fd < 0 and not self._open():
            return []
        chunk = os.read(self._fd, _CHUNK)
        if not chunk:
            if not self._rotated():
                return []
            chunk = os.read(self._fd, _CHUNK)  # written between the last read and the rotation
            if not chunk:
                self.close()
                return self.poll()
        complete, newline, rest = (self._rest + chunk).rpartition(b"\n")
        self._rest = rest if newline or len(rest) <= MAX_FRAME_BYTES else b""
        frames = map(_frame, complete.split(b"\n") if newline else ())
        return [frame for frame in frames if frame is not None]

    def close(self) -> None:
        """Give the file back; the next ``poll`` begins with the current file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._rest = -1, b""

    def _open(self) -> bool:
        for path in (*self._begin, self._path):
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            self._begin = []
            return True
        return False

    def _rotated(self) -> bool:
        try:
            now, ours = self._path.stat(), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)


def _frame(line: bytes) -> Frame | None:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _last_frame(data: bytes) -> Frame | None:
    """Nothing after the last newline is whole."""
    for line in reversed(data.split(b"\n")[:-1]):
        frame = _frame(line)
        if frame is not None:
            return frame
    return None
