"""HTTP/1.1 over one TLS connection: ``h11`` decides what the bytes mean, this moves them.

A body of known length needs no deciding: what of it has not come with the header goes past ``h11``, which would copy each byte thrice.
Requests come with their body as a bounded iterator; answers carry bytes or a part of an open blob. Every wait has a deadline (``peers``).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import h11

from seatrial.targets.embedded.server.config import Limits
from seatrial.targets.embedded.server.peers import CoarseClock, Patience, Peer, Waiting
from seatrial.targets.embedded.server.store import Chunk, OpenBlob

_SEND_BYTES = 64 * 1024
"""Of a blob, read and sent at a time. From 96 KiB on the allocator maps and unmaps fresh memory for each: a third more processor time."""
_BUFFER_BYTES = 256 * 1024
"""Of a body, received, hashed and written at a time, in memory that is used again: well within a core's own cache, few writes."""
_RECEIVE_BYTES = 16 * 1024
"""One TLS record."""
_SERVER = (b"Server", b"seatrial")
_TYPE_TEXT = "text/plain; charset=utf-8"


class PeerGone(Exception):
    """The connection is of no more use: closed, broken, or cut off."""


class BadRequest(Exception):
    """Not HTTP, or more header than we read; ``status`` is what to answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class TooLarge(Exception):
    """A body over its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request's header."""

    method: str
    target: str
    """As it came: ASCII without spaces and control characters."""
    headers: dict[bytes, bytes]
    """Lower-case names; of a name that came several times, the last."""
    length: int | None
    """Of the body; None where it comes in chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to one request; the wire closes ``blob``."""

    status: int
    body: bytes = b""
    content_type: str = _TYPE_TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()
    blob: OpenBlob | None = None
    start: int = 0
    """First byte of ``blob``."""
    length: int | None = None
    """Of the body; None for that of ``body``. For HEAD: what a GET would send."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body) if self.length is None else self.length


class Wire:
    """One connection. Threading: its own thread only.

    Order of calls: ``next_request``, then ``body`` as far as wanted, then ``respond``; again while ``respond`` says so.
    """

    def __init__(self, peer: Peer, clock: CoarseClock, limits: Limits) -> None:
        self._peer, self._sock, self._clock, self._limits = peer, peer.sock, clock, limits
        self._http = self._fresh_http()
        self._first = True
        self._request_over = True
        self._head = False
        """Whether the request wants no body, whatever the answer."""
        self._left: int | None = 0
        """Of the body with a known length."""
        self.received = 0
        """Bytes of this request's body so far."""

    def handshake(self) -> None:
        """TLS; within the first header's deadline. Raises ``PeerGone``."""
        try:
            self._sock.do_handshake()
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error

    def next_request(self) -> Request | None:
        """The next request; None when the peer has closed the connection in good order. Raises ``PeerGone``, ``BadRequest``."""
        self._head = False  # of the last one: what is refused before it is a request gets an answer with a body
        if not self._first and not self._http.trailing_data[0]:
            self._peer.wait_for(Waiting.IDLE, self._clock.now + self._limits.idle_s)
            if not (data := self._receive(_RECEIVE_BYTES)):
                return None
            self._http.receive_data(data)
        if not self._first:
            self._peer.wait_for(Waiting.HEADER, self._clock.now + self._limits.header_s)
        self._first = False
        while (event := self._next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._receive_some(_RECEIVE_BYTES))
        self._peer.work()
        if not isinstance(event, h11.Request):
            return None
        headers = dict(event.headers)
        self.received, self._request_over, self._head = 0, False, event.method == b"HEAD"
        self._left = None if b"transfer-encoding" in headers else int(headers.get(b"content-length", b"0"))
        return Request(method=event.method.decode("ascii"), target=event.target.decode("ascii"), headers=headers, length=self._left)

    def body(self, limit: int) -> Iterator[Chunk]:
        """The request's body in chunks, each good until the next is asked for; empty when it has been read.

        Raises ``TooLarge``, ``PeerGone``, ``BadRequest``.
        """
        if self._request_over:
            return
        if self._left is not None and self._left + self.received > limit:
            raise TooLarge
        if self._http.they_are_waiting_for_100_continue:
            self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"", self._patience(Waiting.READER))
        patience = self._patience(Waiting.BODY)
        while True:
            event = self._next_event()
            if event is h11.NEED_DATA and self._left is not None:
                yield from self._rest(self._left, patience)
                return
            if event is h11.NEED_DATA:
                self._http.receive_data(self._receive_record(patience))
            elif isinstance(event, h11.Data):
                self.received += len(event.data)
                if self.received > limit:
                    raise TooLarge
                if self._left is not None:
                    self._left -= len(event.data)
                yield event.data
            elif isinstance(event, h11.EndOfMessage):
                self._request_over = True
                return
            else:
                raise PeerGone("connection closed in the middle of a body")

    def _drain(self, limit: int) -> None:
        """Forget the rest of the body, so that the connection can be used again."""
        if self._http.their_state is not h11.SEND_BODY:
            return
        if self._http.they_are_waiting_for_100_continue and self._left != 0:
            return  # it has not been sent, and after our answer it will not be
        try:
            for _ in self.body(limit):
                pass
        except TooLarge:
            return

    def respond(self, answer: Answer, *, drain_bytes: int = 0, close: bool = False) -> bool:
        """Send ``answer``, after what is left of the body up to ``drain_bytes``; True when another request may come.

        Raises ``PeerGone``, ``BadRequest``.
        """
        try:
            self._drain(drain_bytes)
            return self._respond(answer, close=close or not self._request_over)
        finally:
            if answer.blob is not None:
                answer.blob.close()

    def linger(self) -> None:
        """After the last answer, where the peer may still send: read on for a moment, as a reset would take the answer away."""
        self._peer.wait_for(Waiting.LINGER, self._clock.now + self._limits.linger_s)
        left = self._limits.stranger_bytes
        try:
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            while left > 0 and (data := self._sock.recv(_RECEIVE_BYTES)):
                left -= len(data)
        except (OSError, ValueError):
            return

    def _respond(self, answer: Answer, *, close: bool) -> bool:
        headers = [_SERVER, (b"Content-Length", str(answer.size).encode())]
        if answer.size:
            headers.append((b"Content-Type", answer.content_type.encode()))
        headers.extend(answer.headers)
        if close:
            headers.append((b"Connection", b"close"))
        out = self._http.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        patience = self._patience(Waiting.READER)
        if self._head:
            self._http.send(h11.EndOfMessage())
            self._send(out, patience)
        elif answer.blob is None:
            out += self._http.send(h11.Data(data=answer.body)) or b""
            self._http.send(h11.EndOfMessage())
            self._send(out, patience)
        else:
            self._stream(out, answer, patience)
        if close or self._http.our_state is not h11.DONE:
            return False
        if self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:  # it still waits for a body that went past it; of what follows it has seen nothing
            self._http = self._fresh_http()
        return True

    def _fresh_http(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.header_bytes)

    def _stream(self, out: bytes, answer: Answer, patience: Patience) -> None:
        offset, end = answer.start, answer.start + answer.size
        while offset < end and answer.blob is not None:
            data = answer.blob.read(offset, min(_SEND_BYTES, end - offset))
            if not data:
                raise PeerGone("the blob became shorter while it was read")
            offset += len(data)
            out += self._http.send(h11.Data(data=data)) or b""
            self._send(out, patience)
            out = b""
        self._http.send(h11.EndOfMessage())
        if out:
            self._send(out, patience)

    def _patience(self, what: Waiting) -> Patience:
        return Patience(self._peer, self._clock, self._limits, what)

    def _send(self, data: bytes, patience: Patience) -> None:
        patience.begin()
        try:
            self._sock.sendall(data)
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error
        patience.moved(len(data))
        patience.end()

    def _receive(self, size: int) -> bytes:
        try:
            return self._sock.recv(size)
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error

    def _receive_some(self, size: int) -> bytes:
        if data := self._receive(size):
            return data
        raise PeerGone(self._peer.cut or "closed in the middle of a request")

    def _receive_record(self, patience: Patience) -> bytes:
        patience.begin()
        data = self._receive_some(_RECEIVE_BYTES)
        patience.moved(len(data))
        patience.end()
        return data

    def _rest(self, left: int, patience: Patience) -> Iterator[memoryview]:
        """The last ``left`` bytes of a body of known length, and never one byte of what follows it."""
        buffer = memoryview(bytearray(min(left, _BUFFER_BYTES)))
        while left > 0:
            chunk = buffer[:left]
            self._fill(chunk, patience)
            self.received += len(chunk)
            self._left = left = left - len(chunk)
            yield chunk
        self._request_over = True

    def _fill(self, chunk: memoryview, patience: Patience) -> None:
        have, size = 0, len(chunk)
        patience.begin()
        try:
            while have < size:
                got = self._sock.recv_into(chunk[have:], size - have)  # one TLS record at most
                if not got:
                    raise PeerGone(self._peer.cut or "closed in the middle of a body")
                have += got
                patience.moved(got)
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error
        patience.end()

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            # Only the kind of mistake: what follows the colon is the offending line, which may hold a password.
            raise BadRequest(error.error_status_hint, str(error).partition(":")[0]) from error
        except ValueError as error:  # a Content-Length of thousands of digits
            raise BadRequest(400, "unreadable header") from error

    @property
    def request_over(self) -> bool:
        """Whether the request's body has been read to its end."""
        return self._request_over

    @property
    def can_answer(self) -> bool:
        """Whether HTTP still allows an answer to the request that was refused."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)
