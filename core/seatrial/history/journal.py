"""The journal of a run: its only truth. One writer per run directory; readers are in ``history/reader.py``.

Contract: once ``append`` has returned, the fact survives the death of every process (``kill -9`` included), because one ``write`` has
handed its whole line to the kernel. Loss of power is out of contract: nothing is synced before a segment is closed.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import HarnessError
from seatrial.history.events import Event, Record, RunEnded, Trees
from seatrial.history.locks import hold, is_held, let_go
from seatrial.history.reader import JournalDamagedError, JournalFollower, JournalGap, JournalGapError, follow, read_journal
from seatrial.history.segments import MAX_LINE_BYTES, SEGMENT_BYTES, compress_segment, plain_path, segment_numbers
from seatrial.resources import Ballast

__all__ = [
    "Journal",
    "JournalDamagedError",
    "JournalFollower",
    "JournalGap",
    "JournalGapError",
    "follow",
    "is_running",
    "read_journal",
    "split_trees",
]

BALLAST_BYTES = 4 << 20
BALLAST_NAME = "ballast"
LOCK_NAME = "journal.lock"
TREES_BYTES = 4 << 20
_OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

Subscriber = Callable[[Record], object]


class Journal:
    """Appends events to the segments of one run directory.

    Threading: any thread; one lock guards sequence, descriptor and subscribers. Subscribers are called under it, in ``seq`` order, on
    the thread that appends, after the write: they must be quick and must not append. What one of them raises reaches that
    thread as it is, after all of them were called; the record is written then.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock = SYSTEM_CLOCK,
        host: str = "",
        *,
        segment_bytes: int = SEGMENT_BYTES,
        ballast_bytes: int = BALLAST_BYTES,
    ) -> None:
        """Begin the journal of ``directory``, which exists and has none yet.

        Raises ``HarnessError``, and ``UsageError`` where there is no room for the ballast.
        """
        self._directory, self._clock = directory, clock
        self._segment_bytes = segment_bytes
        self._host = b'"host":' + msgspec.json.encode(host) + b"," if host else b""
        self._host_name = host
        self._encode = msgspec.json.Encoder().encode
        self._lock = threading.Lock()
        self._subscribers: list[Subscriber] = []
        self._seq, self._number, self._size = 0, 1, 0
        self._closed = self._ended = False
        self._to_compress: list[int] = []
        self._compressor: threading.Thread | None = None
        if segment_numbers(directory):
            raise HarnessError("there is a journal already", where=str(directory), remedy="every run has a directory of its own")
        self._ballast = Ballast(directory / BALLAST_NAME, ballast_bytes)
        self._ballast_released = False
        self._lock_fd = -1
        try:
            self._lock_fd = self._hold_lock()
            self._fd = self._open_segment()
        except OSError as error:
            self._ballast.release()
            if self._lock_fd >= 0:
                let_go(self._lock_fd)
            raise HarnessError(
                f"the journal cannot be begun: {error.strerror}", where=str(directory), remedy="choose another --runs-dir, or make room"
            ) from error

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self._directory

    @property
    def last_seq(self) -> int:
        """Of the last record written, 0 before the first."""
        return self._seq

    @property
    def ballast_released(self) -> bool:
        """The disk was full while an event was written: what is left is for the last events, the run should end."""
        return self._ballast_released

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` with every record from now on."""
        with self._lock:
            self._subscribers.append(subscriber)

    def append(self, event: Event) -> Record:
        """Write one event; returns once it is handed to the kernel. Text that is not UTF-8 (names of files) is escaped in the record.

        Raises ``HarnessError`` when it is longer than ``MAX_LINE_BYTES``, when the journal is closed or has ``RunEnded``, or when it
        cannot be written:
        the disk is full although the ballast was given back, or fails. The journal is then as before and may be tried again.
        """
        try:
            body = self._encode(event)
        except UnicodeEncodeError:
            event = _printable(event)
            body = self._encode(event)
        if len(body) > MAX_LINE_BYTES - 1024:
            raise HarnessError(
                f"an event of {len(body):,} bytes ({type(event).__name__}) is too long for the journal",
                where=str(self._directory),
                remedy=f"at most {MAX_LINE_BYTES:,}; trees are split by split_trees()",
            )
        with self._lock:
            if self._closed:
                raise HarnessError("the journal is closed", where=str(self._directory))
            if self._ended:
                raise HarnessError("the journal has its last record", where=str(self._directory))
            seq, at_ns = self._seq + 1, self._clock.now_ns()
            self._write(b'{"seq":%d,"at_ns":%d,%b"event":%b}\n' % (seq, at_ns, self._host, body))
            self._seq = seq
            self._ended = isinstance(event, RunEnded)
            record = Record(seq=seq, at_ns=at_ns, host=self._host_name, event=event)
            self._publish(record)
        return record

    def close(self) -> None:
        """Sync and close the last segment, wait for the compression of the others, remove the ballast. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            compressor = self._compressor
            try:
                os.fsync(self._fd)
            finally:
                os.close(self._fd)
        if compressor is not None:
            compressor.join()
        self._ballast.release()
        let_go(self._lock_fd)

    def _publish(self, record: Record) -> None:
        failure: Exception | None = None
        for subscriber in self._subscribers:
            try:
                subscriber(record)
            except Exception as error:  # noqa: BLE001  (the others must see every record; raised below)
                failure = failure or error
        if failure is not None:
            raise failure

    def _write(self, line: bytes) -> None:
        if self._size and self._size + len(line) > self._segment_bytes:
            self._rotate()
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                self._write_rest(line, written)
        except OSError as error:
            if error.errno not in _OUT_OF_SPACE or not self._release_ballast():
                self._take_back(error)
            try:
                self._write_rest(line, os.fstat(self._fd).st_size - self._size)
            except OSError as again:
                self._take_back(again)
        self._size += len(line)

    def _write_rest(self, line: bytes, written: int) -> None:
        while written < len(line):
            written += os.write(self._fd, line[written:])

    def _take_back(self, error: OSError) -> None:
        """Leave no half line in the middle, and say what happened."""
        os.ftruncate(self._fd, self._size)
        raise HarnessError(
            f"an event cannot be written: {error.strerror}",
            where=str(plain_path(self._directory, self._number)),
            remedy="make room on this disk; everything up to here is kept",
        ) from error

    def _release_ballast(self) -> bool:
        """Once; False when there is nothing left to give back."""
        there = self._ballast.path.exists()
        self._ballast.release()
        self._ballast_released = True
        return there

    def _hold_lock(self) -> int:
        fd = hold(self._directory / LOCK_NAME)
        if fd is None:
            raise HarnessError("another process writes this journal", where=str(self._directory))
        return fd

    def _open_segment(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(plain_path(self._directory, self._number), flags, 0o644)

    def _rotate(self) -> None:
        """Close the segment and begin the next. Without room for another name, the old one simply goes on."""
        self._number += 1
        try:
            fd = self._open_segment()
        except OSError:
            self._number -= 1
            return
        os.close(self._fd)
        self._fd, self._size = fd, 0
        self._to_compress.append(self._number - 1)
        if self._compressor is None:
            compressor = threading.Thread(target=self._compress, name="journal-compress")
            try:
                compressor.start()
            except RuntimeError:
                return  # no thread to be had: the next rotation asks again, and the event is written whatever becomes of this
            self._compressor = compressor

    def _compress(self) -> None:
        """Compress what was closed, then end."""
        while True:
            with self._lock:
                if not self._to_compress:
                    self._compressor = None
                    return
                number = self._to_compress.pop(0)
            try:
                compress_segment(self._directory, number)
            except OSError:
                continue  # the plain segment is still there: larger, but complete


def split_trees(op: str, root: str, nodes: dict[str, bytes]) -> Iterator[Trees]:
    """The ``Trees`` events for the nodes of one create, each of a size that the journal takes, the root's node first.

    At least one, also without nodes: it says which root the operation is about to store.
    """
    ordered = sorted(nodes, key=lambda node: node != root)
    part: dict[str, bytes] = {}
    size = 0
    for node in ordered:
        length = len(node) + len(nodes[node]) * 4 // 3 + 8
        if part and size + length > TREES_BYTES:
            yield Trees(op=op, root=root, nodes=part)
            part, size = {}, 0
        part[node] = nodes[node]
        size += length
    if part or not nodes:
        yield Trees(op=op, root=root, nodes=part)


def _printable(value: Any) -> Any:
    """The same with lone surrogates, as ``os.fsdecode`` makes them, shown as escapes: JSON cannot hold them."""
    if isinstance(value, str):
        # An enum's text is ours and stays an enum.
        return value if isinstance(value, Enum) else value.encode(errors="backslashreplace").decode()
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _printable(item) for name, item in msgspec.structs.asdict(value).items()})
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value


def is_running(directory: Path) -> bool:
    """Whether the process that writes the journal of this run directory is there."""
    return is_held(directory / LOCK_NAME)
