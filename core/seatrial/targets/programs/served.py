"""A server that is a child of ours: started until it answers, its end told, started again, stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from seatrial.children import Child
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.context import CancelToken
from seatrial.errors import HarnessError, TargetError
from seatrial.history.events import ServerEvent
from seatrial.targets.protocols import Surroundings
from seatrial.verdicts import exit_status

READY_S = 30.0
_POLL_S = 0.01
_TAIL_BYTES, _TAIL_LINES = 8192, 20
_State = Literal["starting", "ready", "stopping", "stopped", "died"]


class ServedProcess:
    """The process of a server, and what the journal is told of it.

    Threading: any thread. The lock guards the child and whether we asked it to stop; it is never held while we wait. Starts are for one
    thread at a time (``_starting`` sees to it).
    """

    def __init__(self, around: Surroundings, name: str, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """``name`` stands in errors: ``embedded server``."""
        self._around, self._name, self._clock = around, name, clock
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._child: Child | None = None
        self._gone = CancelToken()
        self._asked: Child | None = None
        """The child that we asked to stop: its end is no news."""
        self._restarts = 0
        self._closed = False

    @property
    def child(self) -> Child | None:
        """The process, also after its end; None before the first start."""
        return self._child

    @property
    def gone(self) -> CancelToken:
        """Cancelled when the child that is there now ends: work that needs the server only waits."""
        return self._gone

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._restarts

    @property
    def closed(self) -> bool:
        """``stop`` was called."""
        return self._closed

    def start(
        self,
        argv: Sequence[str],
        *,
        is_ready: Callable[[], str],
        where: str = "",
        env: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> str:
        """Start it and wait until ``is_ready()`` gives its address (empty: not yet); returns that.

        Its output goes to the server log. ``env``, ``without``, ``cwd`` and ``stdin`` as in ``Children.spawn``. Raises ``TargetError``
        with the last lines of its log when it does not come up, naming ``where`` (a port), ``HarnessError`` after ``stop``. A second
        start is a restart.
        """
        with self._starting:
            if self._child is not None and self._child.returncode is None:
                raise HarnessError(f"the server still runs, process {self._child.pid}", where=self._name)
            self._must_be_open(self._closed)
            log_offset, gone = self._log_size(), CancelToken()
            child = self._around.children.spawn(
                list(argv),
                stdout=self._around.server_log,
                env=self._around.environment | dict(env or {}),
                cwd=cwd,
                stdin=stdin,
                on_exit=lambda child: self._ended(child, gone),
                without=without,
            )
            with self._lock:
                again, self._child, self._gone = self._child is not None, child, gone
                stopped, self._asked = self._closed, child if self._closed else self._asked
            if stopped:  # while it was being started, when there was nothing yet to stop
                child.kill()
            self._must_be_open(stopped)
            self._emit("starting", pid=child.pid, offset=log_offset)
            address = self._await_ready(child, is_ready, where, log_offset)
            self._emit("ready", pid=child.pid, address=address)
            if again:
                with self._lock:
                    self._restarts += 1
            return address

    def stop(self, grace_s: float) -> None:
        """TERM, then KILL after ``grace_s``, told in the journal. For good, and idempotent."""
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            self.pause(grace_s)

    def pause(self, grace_s: float) -> None:
        """End the process, which may be started again. Fine where none runs."""
        with self._lock:
            child = self._child
            if child is None or child.returncode is not None:
                return
            self._asked = child
        self._emit("stopping", pid=child.pid)
        code = child.terminate(grace_s)
        self._emit("stopped", pid=child.pid, exit_code=code)

    def log_tail(self, offset: int = 0) -> str:
        """The last lines of the server's log, from ``offset`` on at most."""
        try:
            with self._around.server_log.open("rb") as log:
                log.seek(max(offset, self._log_size() - _TAIL_BYTES))
                text = log.read(_TAIL_BYTES).decode(errors="backslashreplace")
        except OSError as error:
            return f"(its log cannot be read: {error})"
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def _must_be_open(self, closed: bool) -> None:
        if closed:
            raise HarnessError("the server was stopped for good", where=self._name)

    def _await_ready(self, child: Child, is_ready: Callable[[], str], where: str, log_offset: int) -> str:
        give_up_at = self._clock.monotonic_s() + READY_S
        while child.returncode is None and self._clock.monotonic_s() < give_up_at:
            if address := is_ready():
                return address
            child.wait(_POLL_S)
        code = child.returncode
        why = f"it ended with {exit_status(code)}" if code is not None else f"it was not ready within {READY_S:.0f} s"
        child.kill()
        raise TargetError(
            f"the {self._name} did not come up: {why}\n{self.log_tail(log_offset)}",
            where=where or self._name,
            remedy=f"see {self._around.server_log}",
        )

    def _ended(self, child: Child, gone: CancelToken) -> None:
        with self._lock:
            expected = child is self._asked
        if not expected:
            self._emit("died", pid=child.pid, exit_code=child.returncode, detail=self.log_tail())
        gone.cancel("the server is gone")

    def _emit(
        self,
        state: _State,
        *,
        pid: int,
        address: str = "",
        exit_code: int | None = None,
        detail: str = "",
        offset: int | None = None,
    ) -> None:
        event = ServerEvent(
            state=state,
            pid=pid,
            address=address,
            exit_code=exit_code,
            detail=detail,
            server_log_offset=self._log_size() if offset is None else offset,
        )
        self._around.emit(event)

    def _log_size(self) -> int:
        try:
            return self._around.server_log.stat().st_size
        except OSError:
            return 0
