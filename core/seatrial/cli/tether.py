"""The engine's end of the tie to whoever shows its run (``cli/engine_process.py``): a socket that was handed down to us.

We say one JSON line, ``Begun``, once there is a run directory, and from then on keep our output in it. What comes back is ``detach``
or nothing: an end without that word means that the dashboard has vanished.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from seatrial.errors import UsageError

TIED_OPTION = "--tied-to"
DETACH = b"detach\n"
ENGINE_LOG = "engine.log"
"""In the run directory: what the engine would have said on a terminal."""
LINE_LIMIT_BYTES = 64 << 10
_PIECE_BYTES = 64 << 10


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The run has its directory; as bytes, because a path need not be text."""

    directory: bytes


class Tether:
    """Tells when the dashboard vanishes.

    Threading: made, started and closed by one thread. Its own thread, from ``start`` to ``close`` or to the tie's end, calls
    ``on_vanish`` at most once, which must not block.
    """

    def __init__(self, descriptor: int) -> None:
        """Raises ``UsageError`` where ``descriptor`` is no socket of ours."""
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                raise UsageError("not a socket", where=f"{TIED_OPTION} {descriptor}", remedy="leave it out: it is for the dashboard's use")
            self._tie = socket.socket(fileno=descriptor)
        except OSError as error:
            raise UsageError(
                f"nothing to be tied to: {error.strerror}",
                where=f"{TIED_OPTION} {descriptor}",
                remedy="leave it out: it is for the dashboard's use",
            ) from error
        self._tie.set_inheritable(False)  # a server that held it would keep the dashboard waiting for our end
        self._closed = False
        self._on_vanish: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._listen, name="tether", daemon=True)

    def start(self, on_vanish: Callable[[], None]) -> None:
        """Listen from now on."""
        self._on_vanish = on_vanish
        self._thread.start()

    def begun(self, directory: Path) -> None:
        """Say where the run is, and keep there what we have said and will say."""
        _keep_output(directory / ENGINE_LOG)
        line = msgspec.json.encode(Begun(directory=os.fsencode(directory))) + b"\n"
        with suppress(OSError):  # whoever has vanished is heard of by the thread
            self._tie.sendall(line)

    def close(self) -> None:
        """Vanish ourselves; the thread ends. Idempotent."""
        self._closed = True
        with suppress(OSError):
            self._tie.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()
        self._tie.close()

    def _listen(self) -> None:
        heard = b""
        with suppress(OSError):  # cut with something unread is an end like any other
            while data := self._tie.recv(_PIECE_BYTES):
                heard = (heard + data)[: len(DETACH)]
                if heard == DETACH:
                    return
        if not self._closed:
            self._on_vanish()


def _keep_output(log: Path) -> None:
    """Standard output and error go on in ``log``, what is already in their file is copied. Where that cannot be, they stay as they are."""
    with suppress(OSError):
        kept = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        former = os.dup(sys.stdout.fileno())
        try:
            copied = _copy(former, kept, 0)
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept, sys.stdout.fileno())
            os.dup2(kept, sys.stderr.fileno())
            _copy(former, kept, copied)  # what another thread wrote meanwhile
        finally:
            os.close(former)
            os.close(kept)


def _copy(source: int, target: int, begin: int) -> int:
    """From ``begin`` to the end; where that is. Of something that is no file nothing is copied."""
    with suppress(OSError):
        while piece := os.pread(source, _PIECE_BYTES, begin):
            begin += os.write(target, piece)
    return begin
