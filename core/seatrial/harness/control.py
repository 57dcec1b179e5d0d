"""The request socket of a run: a person, or a dashboard in another process, steers it by one-line requests.

A Unix domain socket, for the owner only; one JSON line asks (``Request``), one JSON line answers (``Response``), then the connection
ends. It lies in the run directory as ``control.sock``. Where that path is longer than such an address may be, it lies in a short
private directory, and ``control.json`` in the run directory says where.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import selectors
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from seatrial.children import Children
from seatrial.clock import SYSTEM_CLOCK, Clock, rfc3339
from seatrial.errors import HarnessError, SeatrialError, UsageError
from seatrial.history.runs import RunDirectory, summarize
from seatrial.resources import marked_directory, remove_marked_tree

COMMANDS = frozenset({"pause", "resume", "stop", "stop-now", "gc", "snapshot", "add-client", "remove-client", "remark", "status"})
Handler = Callable[[str], str]
"""Argument to answer. Prompt: what takes long is handed over, not done. A ``SeatrialError`` refuses the request in its own words."""

SOCKET_NAME = "control.sock"
ADDRESS_NAME = "control.json"
ADDRESS_LIMIT_BYTES = 100
"""Of a socket's path: macOS takes 103, Linux 107."""
LINE_LIMIT_BYTES = 64 << 10
ANSWER_LIMIT_BYTES = 1 << 20
"""Of the line that answers."""
PEER_TIMEOUT_S = 5.0
PEERS_LIMIT = 16
"""Connections at a time; those beyond wait in the queue of the system."""
_PIECE_BYTES = 16 << 10
_FULL_QUEUE_S = 0.02
"""Between two attempts to get a place in it."""
_REFUSED_S = 0.05
"""Between two attempts to take somebody out of it, where there is no descriptor to be had."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked."""

    command: str
    argument: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is answered: an answer, or why not."""

    ok: bool
    answer: str = ""
    error: str = ""
    remedy: str = ""


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    socket: str
    pid: int


@dataclass(slots=True)
class _Peer:
    connection: socket.socket
    until_s: float
    received: bytearray = field(default_factory=bytearray)
    to_send: bytes = b""


class ControlSocket:
    """Serves requests for one run, from ``start`` to ``close``.

    Threading: one thread of its own, on which the handlers run, one request after another. A peer that sends garbage, too much or too
    slowly is answered with the reason or cut off, and costs the others nothing. ``children``, where given, has the private directory
    removed should we be killed.
    """

    def __init__(
        self,
        run_dir: Path,
        handlers: Mapping[str, Handler],
        *,
        children: Children | None = None,
        clock: Clock = SYSTEM_CLOCK,
        peer_timeout_s: float = PEER_TIMEOUT_S,
    ) -> None:
        unknown = sorted(set(handlers) - COMMANDS)
        if unknown:
            raise ValueError(f"not commands: {unknown}")
        self._run_dir, self._handlers, self._children = run_dir, dict(handlers), children
        self._clock, self._peer_timeout_s = clock, peer_timeout_s
        self._private: Path | None = None
        self._path = run_dir / SOCKET_NAME
        self._listener: socket.socket | None = None
        self._peers: dict[int, _Peer] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_receive, self._wake_send = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._closed = False

    @property
    def address(self) -> Path:
        """Where the socket is, once started."""
        return self._path

    def start(self) -> None:
        """Listen. Raises ``HarnessError`` where it cannot, also where another engine serves this run."""
        try:
            self._listen()
        except SeatrialError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise HarnessError(
                f"the request socket cannot be made: {error.strerror}", where=str(self._path), remedy="use a runs directory on a local disk"
            ) from error
        self._selector.register(self._wake_receive, selectors.EVENT_READ)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, cut off peers, remove the socket. Idempotent; not from a handler."""
        if self._closed:
            return
        self._closed = True
        self._wake_send.send(b"x")
        if self._thread.ident is not None:
            self._thread.join()
        for peer in list(self._peers.values()):
            self._drop(peer)
        if self._listener is not None:
            self._listener.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
            with contextlib.suppress(OSError):
                (self._run_dir / ADDRESS_NAME).unlink()
        if self._private is not None:
            remove_marked_tree(self._private)
            if self._children is not None:
                self._children.release_directory(self._private)
        self._selector.close()
        self._wake_receive.close()
        self._wake_send.close()

    def _listen(self) -> None:
        if _answers(_address_of(self._run_dir)):
            raise HarnessError("another engine serves this run", where=str(self._run_dir), remedy="stop it first: seatrial stop")
        if len(os.fsencode(self._path.absolute())) > ADDRESS_LIMIT_BYTES:
            self._private = _short_directory()
            if self._children is not None:
                self._children.adopt_directory(self._private)
            self._path = self._private / SOCKET_NAME
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.bind(os.fspath(self._path.absolute()))
            self._path.chmod(0o600)  # before listen: until then every connection is refused
            listener.listen(PEERS_LIMIT)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        _write_address(self._run_dir, _Address(socket=str(self._path.absolute()), pid=os.getpid()))

    def _serve(self) -> None:
        listening = False
        while not self._closed:
            listening = self._listen_while_there_is_room(listening)
            for key, _ in self._selector.select(self._patience_s()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data is not None:
                    self._progress(key.data)
            now_s = self._clock.monotonic_s()
            for peer in [peer for peer in self._peers.values() if peer.until_s <= now_s]:
                self._drop(peer)

    def _listen_while_there_is_room(self, listening: bool) -> bool:
        room = len(self._peers) < PEERS_LIMIT
        if self._listener is not None and room != listening:
            if room:
                self._selector.register(self._listener, selectors.EVENT_READ)
            else:
                self._selector.unregister(self._listener)
        return room

    def _patience_s(self) -> float | None:
        first_s = min((peer.until_s for peer in self._peers.values()), default=None)
        return None if first_s is None else max(0.0, first_s - self._clock.monotonic_s())

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            connection, _ = self._listener.accept()
        except OSError:
            # Gone again; or we are out of descriptors, and whoever waits goes on waiting: without a pause we would do nothing but ask.
            self._clock.wait(threading.Event(), _REFUSED_S)
            return
        connection.setblocking(False)
        peer = _Peer(connection, self._clock.monotonic_s() + self._peer_timeout_s)
        self._peers[connection.fileno()] = peer
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _progress(self, peer: _Peer) -> None:
        try:
            if peer.to_send:
                peer.to_send = peer.to_send[peer.connection.send(peer.to_send) :]
                if not peer.to_send:
                    self._drop(peer)
                return
            data = peer.connection.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(peer)
            return
        peer.received += data
        line, newline, _ = peer.received.partition(b"\n")
        if newline or not data or len(peer.received) > LINE_LIMIT_BYTES:
            if not line:
                self._drop(peer)
                return
            peer.to_send = _answer_line(self._answer(bytes(line)))
            self._selector.modify(peer.connection, selectors.EVENT_WRITE, peer)

    def _answer(self, line: bytes) -> Response:
        if len(line) > LINE_LIMIT_BYTES:
            return Response(ok=False, error=f"a request of more than {LINE_LIMIT_BYTES} bytes")
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Response(ok=False, error=f"not a request: {error}", remedy='send one line: {"command": "status"}')
        if request.command not in COMMANDS:
            return Response(ok=False, **_unknown_command(request.command))
        handler = self._handlers.get(request.command)
        if handler is None:
            return Response(ok=False, error=f"this run does not take {request.command!r}", remedy=f"it takes: {_listing(self._handlers)}")
        try:
            return Response(ok=True, answer=handler(request.argument))
        except SeatrialError as error:
            what = f"{error.where}: {error.what}" if error.where else error.what
            return Response(ok=False, error=what, remedy=error.remedy)
        except Exception as error:  # noqa: BLE001 - a request must not end the run it steers
            return Response(ok=False, error=f"{request.command!r} failed inside seatrial: {type(error).__name__}: {error}")

    def _drop(self, peer: _Peer) -> None:
        del self._peers[peer.connection.fileno()]
        self._selector.unregister(peer.connection)
        peer.connection.close()


def request(run_dir: Path, command: str, argument: str = "", timeout_s: float = 5.0, clock: Clock = SYSTEM_CLOCK) -> str:
    """Ask the engine of the run in ``run_dir``; returns its answer.

    Raises ``UsageError`` for an unknown command, a run that is not active (with how it ended) and a request that was refused;
    ``HarnessError`` where the engine does not answer in time.
    """
    if command not in COMMANDS:
        unknown = _unknown_command(command)
        raise UsageError(unknown["error"], where=str(run_dir), remedy=unknown["remedy"])
    if not run_dir.is_dir():
        raise UsageError("no such run directory", where=str(run_dir), remedy="seatrial runs lists the runs there are")
    line = msgspec.json.encode(Request(command=command, argument=_encodable(argument))) + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        raise UsageError(f"the argument is longer than {LINE_LIMIT_BYTES} bytes", where=command, remedy="say it shorter")
    try:
        response = msgspec.json.decode(_exchange(_address_of(run_dir), line, timeout_s, clock), type=Response)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise UsageError(
            f"the run is not active: {ending(run_dir)}", where=str(run_dir), remedy="seatrial report shows what is known of it"
        ) from error
    except TimeoutError as error:
        raise HarnessError(
            f"the engine does not answer within {timeout_s:g} s", where=str(run_dir), remedy="try again; if it hangs, end its process"
        ) from error
    except PermissionError as error:
        raise UsageError("the run belongs to another user", where=str(run_dir), remedy="ask as that user") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise HarnessError(
            f"the engine broke off its answer: {error}", where=str(run_dir), remedy="it may just have ended: try again"
        ) from error
    if not response.ok:
        raise UsageError(response.error, where=str(run_dir), remedy=response.remedy)
    return response.answer


def ending(run_dir: Path) -> str:
    """How the run in ``run_dir`` ended, as its journal tells, in a few words."""
    run = summarize(RunDirectory(run_id=run_dir.name, path=run_dir))
    if run.running:
        return "its engine is there but takes no requests, it is starting or ending"
    if run.unreadable:
        return f"how it ended cannot be read: {run.unreadable}"
    if not run.started_ns:
        return "it has no journal"
    at = rfc3339(run.last_ns // 1_000_000_000 * 1_000_000_000)
    if run.verdict is None:
        return f"it broke off, its last event is of {at}"
    return f"it {'was aborted' if run.aborted else 'ended'} at {at} with {run.verdict.name}, exit code {run.exit_code}"


def _exchange(address: Path, line: bytes, timeout_s: float, clock: Clock) -> bytes:
    until_s = clock.monotonic_s() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        _connect(connection, address, until_s, clock)
        connection.sendall(line)
        received = bytearray()
        while not received.endswith(b"\n"):
            left_s = until_s - clock.monotonic_s()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            data = connection.recv(_PIECE_BYTES)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "connection closed")
            received += data
            if len(received) > ANSWER_LIMIT_BYTES:
                raise ConnectionAbortedError(errno.ECONNABORTED, "an answer without end")
    return bytes(received)


def _connect(connection: socket.socket, address: Path, until_s: float, clock: Clock) -> None:
    """Where the queue of those who wait to be accepted is full, Linux does not wait for a place in it: ask again."""
    while True:
        try:
            connection.connect(os.fspath(address))
            return
        except BlockingIOError as error:
            if clock.monotonic_s() >= until_s:
                raise TimeoutError from error
            clock.wait(threading.Event(), _FULL_QUEUE_S)


def _answer_line(response: Response) -> bytes:
    safe = Response(
        ok=response.ok, answer=_encodable(response.answer), error=_encodable(response.error), remedy=_encodable(response.remedy)
    )
    line = msgspec.json.encode(safe) + b"\n"
    if len(line) > ANSWER_LIMIT_BYTES:
        return _answer_line(Response(ok=False, error=f"the answer is longer than {ANSWER_LIMIT_BYTES} bytes"))
    return line


def _encodable(text: str) -> str:
    """Names of files that are not UTF-8 hold surrogates, which no JSON can."""
    return text.encode(errors="backslashreplace").decode()


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(address))
        except OSError as error:
            return isinstance(error, TimeoutError | BlockingIOError)
    return True


def _address_of(run_dir: Path) -> Path:
    """Where the socket of a run is, or would be."""
    beside = (run_dir / SOCKET_NAME).absolute()
    if len(os.fsencode(beside)) <= ADDRESS_LIMIT_BYTES:
        return beside  # whatever the file says: the run directory may have been moved
    try:
        return Path(msgspec.json.decode((run_dir / ADDRESS_NAME).read_bytes(), type=_Address).socket)
    except (OSError, msgspec.MsgspecError):
        return Path(os.devnull) / SOCKET_NAME  # a path where nothing can be: reads as not active


def _write_address(run_dir: Path, address: _Address) -> None:
    unfinished = run_dir / f"{ADDRESS_NAME}.new"
    unfinished.write_bytes(msgspec.json.encode(address) + b"\n")
    unfinished.chmod(0o600)
    unfinished.replace(run_dir / ADDRESS_NAME)


def _short_directory() -> Path:
    """A new private directory with a short path, marked as ours."""
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it unguessable and private
        made = Path(tempfile.mkdtemp(prefix="seatrial-", dir=parent))
        if len(os.fsencode(made / SOCKET_NAME)) <= ADDRESS_LIMIT_BYTES:
            return marked_directory(made)
        shutil.rmtree(made)
    raise HarnessError("no temporary directory with a short path", where=tempfile.gettempdir(), remedy="set TMPDIR to a short path")


def _unknown_command(command: str) -> dict[str, str]:
    nearest = difflib.get_close_matches(command, COMMANDS, n=1)
    remedy = f"did you mean {nearest[0]!r}?" if nearest else f"there are: {_listing(COMMANDS)}"
    return {"error": f"unknown command {command[:60]!r}", "remedy": remedy}


def _listing(words: Mapping[str, object] | frozenset[str]) -> str:
    return ", ".join(sorted(words))
