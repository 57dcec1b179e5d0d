"""Writes the lines that are shown to a file, byte for byte as they stand in the log."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from seatrial_tui.log.listing import Listing
from seatrial_tui.log.logfile import LogFile

_READ_BYTES = 1 << 18
_BATCH = 10_000
_CLOSE_S = 2.0


class Saving:
    """One copy, by a thread of its own. Threading: any thread; ``outcome`` is set once."""

    def __init__(self, log: LogFile, listing: Listing, path: Path) -> None:
        """``path`` must not exist. A log that turns into another one meanwhile ends the copy early, which is told."""
        self.path = path
        self.saved = 0
        """Lines so far."""
        self.outcome: str | None = None
        """None while it is under way, empty when it is done, else what went wrong."""
        self._log, self._listing = log, listing
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="log save", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, done or not. Idempotent."""
        self._closed.set()
        self._thread.join(_CLOSE_S)

    def _serve(self) -> None:
        opened = self._log.duplicate()
        if opened is None:
            self.outcome = f"{self._log.path}: there is no such file any more"
            return
        fd, generation = opened
        try:
            with self.path.open("xb") as out:
                for piece in self._pieces(fd):
                    out.write(piece)
            changed = self._log.state.generation != generation
            self.outcome = "the log was cut off or replaced meanwhile" if changed else "it was broken off" if self._closed.is_set() else ""
        except OSError as error:
            self.outcome = f"{self.path}: {error.strerror or error}"
        finally:
            os.close(fd)

    def _pieces(self, fd: int) -> Iterator[bytes]:
        """The wanted lines; one that is longer than ``_READ_BYTES`` in several pieces."""
        with open(os.dup(fd), "rb", buffering=_READ_BYTES) as file:  # noqa: PTH123 - a descriptor, not a path
            file.seek(0)
            at = 0
            for number in self._wanted():
                while at <= number:
                    piece = file.readline(_READ_BYTES)
                    if not piece or self._closed.is_set():
                        return
                    if at == number:
                        yield piece
                    at += piece.endswith(b"\n")
                    if at > number:
                        self.saved += 1

    def _wanted(self) -> Iterator[int]:
        for begin in range(0, self._listing.count, _BATCH):
            yield from self._listing.numbers(begin, begin + _BATCH)
