"""Accepts connections and gives each a thread; the accept loop itself never waits for a peer."""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import threading
import traceback

from seatrial.clock import Clock
from seatrial.errors import HarnessError
from seatrial.targets.embedded.server.config import Limits
from seatrial.targets.embedded.server.log import AccessLog, ServerLog
from seatrial.targets.embedded.server.peers import Peer, Peers
from seatrial.targets.embedded.server.service import Served, Service
from seatrial.targets.embedded.server.tally import Tally
from seatrial.targets.embedded.server.wire import Answer, BadRequest, PeerGone, Request, Wire

_BACKLOG = 1024
_STACK_BYTES = 512 * 1024
"""Of a connection's thread: virtual; what it does is shallow."""
_RETRY_S = 0.1
_OUT_OF_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_REFUSED = Served(
    answer=Answer(status=503, body=b"too many connections\n", headers=((b"Retry-After", b"1"),)), kind="refused", stranger=True
)


def bind(host: str, port: int, retry_s: float, clock: Clock) -> socket.socket:
    """A listening socket. ``HarnessError`` naming the address when it cannot be had within ``retry_s``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    give_up_at = clock.monotonic_s() + retry_s
    never = threading.Event()
    while True:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past TIME_WAIT; it does not share a port
            listening.bind((host, port))
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE or clock.monotonic_s() >= give_up_at:
                reason = "port in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
                raise HarnessError(reason, where=f"{host}:{port}", remedy="choose another port, or 0 to let the kernel choose") from error
            clock.wait(never, _RETRY_S)
        else:
            return listening


class Listener:
    """The accept loop and the connections' threads.

    Threading: ``serve`` runs on one thread until ``stop``; each connection has a thread of its own, which ends with it.
    """

    def __init__(
        self,
        *,
        listening: socket.socket,
        tls: ssl.SSLContext,
        service: Service,
        peers: Peers,
        tally: Tally,
        access: AccessLog,
        limits: Limits,
        log: ServerLog,
        clock: Clock,
    ) -> None:
        self._listening, self._tls, self._service, self._peers = listening, tls, service, peers
        self._tally, self._access, self._limits, self._log, self._clock = tally, access, limits, log, clock
        self._stopping = threading.Event()
        self._wake, self._woken = socket.socketpair()

    def serve(self) -> None:
        """Accept until ``stop``; then close the listening socket."""
        threading.stack_size(_STACK_BYTES)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._listening, selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                while not self._stopping.is_set():
                    selector.select()
                    self._accept_all()
        finally:
            self._listening.close()
            self._woken.close()
            self._wake.close()

    def stop(self) -> None:
        """End ``serve``. Called once, from any thread or a signal handler."""
        self._stopping.set()
        self._wake.send(b"x")

    def _accept_all(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_FILES:
                    self._log.error("accept", error=error)
                    self._clock.wait(self._stopping, _RETRY_S)  # the connection stays in the queue: without a pause this would spin
                    return
                continue  # it was gone before we got to it
            self._begin(sock, f"{address[0]}:{address[1]}")

    def _begin(self, sock: socket.socket, address: str) -> None:
        try:
            sock.setblocking(True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return
        peer = self._peers.admit(wrapped, address)
        if peer is None or peer.refused:
            self._log.warn("refused", reason="too many connections", peer=address, connections=len(self._peers))
        if peer is None:
            wrapped.close()
            return
        try:
            threading.Thread(target=self._converse, args=(peer,), name=f"peer {address}", daemon=True).start()
        except RuntimeError as error:  # no more threads to be had
            self._log.error("thread", error=error)
            self._end(peer)

    def _converse(self, peer: Peer) -> None:
        wire = Wire(peer, self._peers.coarse, self._limits)
        try:
            wire.handshake()
            self._serve_all(wire, peer)
        except PeerGone:
            pass
        except Exception as error:  # noqa: BLE001 (a defect of ours ends one connection and is logged, never the server)
            self._log.error("defect", peer=peer.address, error=repr(error), where=_innermost(error))
        finally:
            self._end(peer)

    def _serve_all(self, wire: Wire, peer: Peer) -> None:
        failures = 0
        try:
            while (request := wire.next_request()) is not None:
                served, again = self._one(wire, peer, request, last=failures + 1 >= self._limits.failures)
                failures += served.stranger
                if not again:
                    return
        except BadRequest as error:
            self._log.warn("bad-request", peer=peer.address, status=error.status, reason=error)
            if wire.can_answer:
                wire.respond(Answer(status=error.status, body=b"bad request\n"), close=True)
                wire.linger()

    def _one(self, wire: Wire, peer: Peer, request: Request, *, last: bool) -> tuple[Served, bool]:
        """Serve one request; whether another may come. ``last``: one more wrong password ends the connection."""
        began = self._clock.monotonic_s()
        served = _REFUSED if peer.refused else self._service.serve(request, wire.body, peer)
        again = wire.respond(
            served.answer,
            drain_bytes=self._limits.stranger_bytes if served.stranger else self._limits.data_bytes,
            close=self._peers.stopping or peer.refused or (served.stranger and last),
        )
        self._record(peer, request, served, wire.received, self._clock.monotonic_s() - began)
        if not wire.request_over:
            wire.linger()
        return served, again

    def _record(self, peer: Peer, request: Request, served: Served, received: int, seconds: float) -> None:
        self._tally.record(served.kind, seconds)
        self._access.write(
            method=request.method,
            target=request.target,
            status=served.answer.status,
            size=max(received, served.answer.size),
            ms=seconds * 1e3,
            user=served.user,
            peer=peer.address,
        )
        if seconds > self._limits.slow_s:
            self._log.warn("slow", method=request.method, path=request.target, ms=seconds * 1e3, user=served.user or "-", peer=peer.address)

    def _end(self, peer: Peer) -> None:
        self._peers.leave(peer)
        peer.sock.close()


def _innermost(error: BaseException) -> str:
    """File and line where it was raised: a log line has no room for a traceback, and needs none."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
