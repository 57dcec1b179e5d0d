"""The HTTP listener: sockets, limits and TLS around the routes."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from seatrial.clock import Clock
from seatrial.cluster.http_routes import Request, Response, Routes, failure
from seatrial.cluster.options import HTTPLimits

CONNECTIONS_MAX = 512
"""A thread each: more than this a Python process does not serve well, whatever ``concurrency`` says."""

_POLL_S = 0.05


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536  # head and body in one segment
    server: _Server

    def handle_one_request(self) -> None:
        self.connection.settimeout(self.server.limits.idle_timeout)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.connection.settimeout(self.server.limits.read_timeout)
        return super().parse_request()

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the base looks them up by these names

    def _answer(self) -> None:
        try:
            parts = urlsplit(self.path)
            query = dict(reversed(parse_qsl(parts.query, keep_blank_values=True)))
        except ValueError:
            self._refuse(failure(400, "invalid request target"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        bare = Request(self.command, parts.path, query, headers)
        refusal = self.server.routes.authorize(bare)
        if refusal is None:
            refusal, length = self._judge_length(headers)
            if refusal is None:
                body = self.rfile.read(length)
                if len(body) < length:
                    self.close_connection = True
                    return
                self._send(self.server.routes.handle(Request(self.command, parts.path, query, headers, body)))
                return
        self._refuse(refusal)

    def _refuse(self, refusal: Response) -> None:
        self.close_connection = True  # its body was not read
        self._send(refusal)
        self._drain()

    def _judge_length(self, headers: dict[str, str]) -> tuple[Response | None, int]:
        text = headers.get("content-length", "0")
        if "transfer-encoding" in headers:
            return failure(411, "length required"), 0
        if not (text.isascii() and text.isdigit()):
            return failure(400, "invalid content length"), 0
        if len(text) > 18 or int(text) > self.server.limits.body_limit:
            return failure(413, "Request Entity Too Large"), 0
        return None, int(text)

    def _send(self, response: Response) -> None:
        self.connection.settimeout(self.server.limits.write_timeout)
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def _drain(self) -> None:
        # Closing with unread bytes resets the connection, and the peer would never see the refusal.
        with suppress(OSError):
            self.connection.settimeout(min(1.0, self.server.limits.read_timeout))
            left = 4 * 1024 * 1024
            while left > 0 and (data := self.rfile.read1(65_536)):
                left -= len(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Requests are counted by the node, not logged."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], routes: Routes, limits: HTTPLimits, tls: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.routes, self.limits, self._tls = routes, limits, tls
        self._slots = threading.Semaphore(min(limits.concurrency, CONNECTIONS_MAX))
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._closing = False
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._slots.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had: the connection is dropped, as where no slot is free
            self._slots.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            self._serve(request, client_address)
        finally:
            self.shutdown_request(request)
            with self._lock:  # only now: whoever hangs up waits for the threads that are still here
                self._open.pop(threading.current_thread(), None)
            self._slots.release()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        connection = request
        with self._lock:
            if self._closing:
                return
            self._open[threading.current_thread()] = request
        try:
            # Strangers hang up, time out and speak no TLS: theirs to mend, and no news.
            with suppress(OSError):
                request.settimeout(self.limits.read_timeout)
                if self._tls is not None:
                    connection = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                    with self._lock:
                        self._open[threading.current_thread()] = connection
                    connection.do_handshake()
                self.finish_request(connection, client_address)
        finally:
            if connection is not request:
                connection.close()

    def wake(self) -> None:
        """Have the thread that accepts look up at once; where a system tells it nothing of that, it does within ``_POLL_S``."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> list[threading.Thread]:
        """Close all connections; the threads that served them are about to end."""
        with self._lock:
            self._closing = True
            connections = dict(self._open)
        for connection in connections.values():
            with suppress(OSError):
                # Race: TLS's own ``shutdown`` takes the session from under the thread that is about to read or write.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        return list(connections)


class Listener:
    """One listening socket and its threads. Threading: one owner; listens from construction to ``close``."""

    def __init__(self, address: str, routes: Routes, limits: HTTPLimits) -> None:
        """Raises OSError or ValueError where ``address`` (host:port) cannot be listened on."""
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdigit():
            raise ValueError(f"listen address {address!r} has no port")
        tls = limits.tls.server_context() if limits.tls else None
        self._server = _Server((host.strip("[]"), int(port)), routes, limits, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="cluster-http", daemon=True)
        self._thread.start()

    def close(self, timeout: float | None, clock: Clock) -> None:
        """Stop listening, hang up, and wait up to ``timeout`` seconds for the threads."""
        self._server.wake()
        self._server.shutdown()
        self._server.server_close()
        end = None if timeout is None else clock.monotonic_s() + timeout
        for thread in [self._thread, *self._server.hang_up()]:
            if thread is not threading.current_thread():
                thread.join(None if end is None else max(0.0, end - clock.monotonic_s()))
