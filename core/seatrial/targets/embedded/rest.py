"""restic's REST protocol over HTTPS, from the client's side: one client, one connection, one thread.

What is repeated and what is not is decided here, because only here is known what a lost answer may have done:

* GET, HEAD and LIST change nothing: repeated until ``RETRY_S`` is over.
* An upload whose answer was lost is settled by asking for its size: there in full, done; not there, sent again.
* A deletion whose answer was lost is settled the same way.
* 401, 403, 404, 416 and 507 are final, as they are for restic.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from urllib.parse import urlsplit

import msgspec
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, SSLError
from urllib3.util.ssl_ import create_urllib3_context

from seatrial.context import Context
from seatrial.errors import CancelledError, UsageError
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError, corrupt
from seatrial.targets.embedded.repository.store import Bytes, Entry, Kind, is_name, label
from seatrial.targets.protocols import Access

RETRY_S = 8.0
"""How long we go on trying: a server that is being restarted is back by then."""
ANSWER_S = 30.0
"""Silence after which a connection counts as dead."""
CONNECT_S = 5.0
BODY_BYTES_MAX = 512 << 20
"""Longest answer that is read."""
_PIECE_BYTES = 256 << 10
"""Between two of these the deadline is looked at."""
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.05, 1.0
_LIST_V2 = "application/vnd.x.restic.rest.v2"
_NO_ANSWER = (OSError, HTTPException, HTTPError)
"""All that a connection raises when it dies, at whatever moment; ``ValueError`` too, see ``_exchange``."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_FINAL = {
    400: (Cause.REJECTED, "the server finds fault with the upload"),
    401: (Cause.DENIED, "the server does not accept user and password"),
    403: (Cause.DENIED, "the server refuses"),
    404: (Cause.MISSING, "is not there"),
    405: (Cause.DENIED, "the server does not do this"),
    411: (Cause.REJECTED, "the server finds fault with the upload"),
    413: (Cause.REJECTED, "the upload is too large for the server"),
    416: (Cause.CORRUPT, "ends before the part that was asked for"),
    507: (Cause.NO_SPACE, "no space left on the server"),
}


class _ListedFile(msgspec.Struct):
    name: str
    size: int


_list_v2 = msgspec.json.Decoder(list[_ListedFile])
_list_v1 = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _NoAnswerError(Exception):
    """The exchange broke off. ``sent`` tells whether the server may have seen a whole request."""

    def __init__(self, error: BaseException, sent: bool) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.sent = sent


def _make_ssl_context() -> ssl.SSLContext:
    # The certificate's fingerprint is pinned: neither an authority nor a host name would add anything.
    context = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
    context.check_hostname = False
    return context


_SSL_CONTEXT = _make_ssl_context()
"""One for all clients of the process: it takes ten times the memory of a connection."""


class RestStore:
    """A ``Store`` on the other side of one kept-alive HTTPS connection.

    Threading: one thread at a time; a cancellation comes from any thread and shuts the socket down under ``_guard``, which also guards
    closing it, so that no descriptor is shut down that has been given to somebody else meanwhile.
    """

    def __init__(self, access: Access) -> None:
        parts = urlsplit(access.url)
        if parts.scheme != "https" or not parts.hostname:
            raise UsageError(f"{access.url!r} is no https URL of a repository", where="url", remedy="https://host:port/path/")
        self._address = f"{parts.hostname}:{parts.port or 443}"
        self._base = parts.path if parts.path.endswith("/") else parts.path + "/"
        credentials = base64.b64encode(f"{access.user}:{access.password}".encode()).decode("ascii")
        self._headers = {"Authorization": f"Basic {credentials}", "Accept-Encoding": "identity", "User-Agent": "seatrial"}
        self._connection = HTTPSConnection(
            parts.hostname,
            parts.port or 443,
            cert_reqs="CERT_NONE",
            assert_hostname=False,
            assert_fingerprint=access.fingerprint,
            ssl_context=_SSL_CONTEXT,
        )
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None
        """Kept beside the connection, which forgets it early where the server closes after an answer."""

    # --- the store

    def create(self, ctx: Context) -> None:
        self._repeat(ctx, "POST", "?create=true", "repository", data=b"")

    def get(self, ctx: Context, kind: Kind, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        where, headers = label(kind, name), {}
        partial = offset > 0 or length is not None
        if partial:
            headers["Range"] = f"bytes={offset}-" if length is None else f"bytes={offset}-{offset + length - 1}"
        answer = self._repeat(ctx, "GET", _path(kind, name), where, headers=headers)
        if partial and answer.status != HTTPStatus.PARTIAL_CONTENT:
            raise RepositoryError(f"answers {answer.status} to a request for a part", cause=Cause.PROTOCOL, where=where)
        if length is not None and len(answer.body) != length:
            raise corrupt(f"{len(answer.body)} bytes came where {length} were asked for", where)
        return answer.body

    def put(self, ctx: Context, kind: Kind, name: str, data: Bytes) -> None:
        self._settle(ctx, "POST", kind, name, data)

    def entries(self, ctx: Context, kind: Kind) -> Sequence[Entry]:
        answer = self._repeat(ctx, "GET", f"{kind.value}/", kind.value, headers={"Accept": _LIST_V2})
        try:
            if answer.headers.get("Content-Type", "").startswith(_LIST_V2):
                return [Entry(file.name, file.size) for file in _list_v2.decode(answer.body) if is_name(file.name)]
            names = [name for name in _list_v1.decode(answer.body) if is_name(name)]
        except msgspec.DecodeError as error:
            raise RepositoryError(f"an unintelligible listing: {error}", cause=Cause.PROTOCOL, where=kind.value) from error
        sizes = [(name, self.size(ctx, kind, name)) for name in names]  # the first protocol tells names only
        return [Entry(name, size) for name, size in sizes if size is not None]

    def size(self, ctx: Context, kind: Kind, name: str) -> int | None:
        where = label(kind, name)
        try:
            answer = self._repeat(ctx, "HEAD", _path(kind, name), where)
        except RepositoryError as error:
            if error.cause is Cause.MISSING:
                return None
            raise
        try:
            return int(answer.headers["Content-Length"])
        except (KeyError, ValueError):
            raise RepositoryError("an answer to HEAD without a length", cause=Cause.PROTOCOL, where=where) from None

    def delete(self, ctx: Context, kind: Kind, name: str) -> None:
        self._settle(ctx, "DELETE", kind, name, None)

    def close(self) -> None:
        with self._guard, contextlib.suppress(*_NO_ANSWER):
            self._socket = None
            self._connection.close()

    # --- requests that change nothing, and create, which changes nothing the second time

    def _repeat(
        self, ctx: Context, method: str, path: str, where: str, *, headers: Mapping[str, str] | None = None, data: Bytes | None = None
    ) -> _Answer:
        for attempt in _attempts(ctx):
            try:
                answer = self._exchange(ctx, method, path, headers or {}, data)
            except _NoAnswerError as error:
                attempt.failed(_unreachable(f"{self._address} does not answer: {error}", where))
                continue
            if answer.status in _AGAIN:
                attempt.failed(_server_error(answer, where))
                continue
            return _accepted(answer, where)
        raise AssertionError("attempts end with an answer or an error")

    # --- requests that change something

    def _settle(self, ctx: Context, method: str, kind: Kind, name: str, data: Bytes | None) -> None:
        """Upload (or delete, without data) until it is known to be done, known to be refused, or time is up."""
        where, path, open_question = label(kind, name), _path(kind, name), False
        for attempt in _attempts(ctx):
            try:
                if open_question and self._is_done(ctx, kind, name, data):
                    return
                answer = self._exchange(ctx, method, path, {}, data)
            except _NoAnswerError as error:
                open_question |= error.sent
                attempt.failed(_unreachable(f"{self._address} does not answer: {error}", where, maybe_applied=open_question))
                continue
            if answer.status in _AGAIN:
                open_question |= answer.status not in (408, 425, 429)
                attempt.failed(_server_error(answer, where, maybe_applied=open_question))
                continue
            if (open_question or data is None) and self._is_answered_by_itself(ctx, answer, kind, name, data):
                return
            try:
                _accepted(answer, where)
            except RepositoryError as error:
                error.maybe_applied |= open_question
                raise
            return

    def _is_done(self, ctx: Context, kind: Kind, name: str, data: Bytes | None) -> bool:
        """After a lost answer: what does the server have? One question, not repeated: our caller is repeating already."""
        answer = self._exchange(ctx, "HEAD", _path(kind, name), {}, None)
        if answer.status == HTTPStatus.NOT_FOUND:
            return data is None
        return data is not None and answer.status == HTTPStatus.OK and answer.headers.get("Content-Length") == str(len(data))

    def _is_answered_by_itself(self, ctx: Context, answer: _Answer, kind: Kind, name: str, data: Bytes | None) -> bool:
        """The lost attempt arrived after we had asked for it: the server now refuses a second one.

        Or there is nothing to delete, with a lost attempt or without: our own server says then that all is well, others that it is missing.
        """
        if data is None:
            return answer.status == HTTPStatus.NOT_FOUND
        if answer.status != HTTPStatus.FORBIDDEN:
            return False
        try:
            return self._is_done(ctx, kind, name, data)
        except _NoAnswerError:
            return False

    # --- one exchange

    def _exchange(self, ctx: Context, method: str, path: str, headers: Mapping[str, str], data: Bytes | None) -> _Answer:
        """Send and read once. ``CancelledError``, or ``_NoAnswerError`` whatever it was that broke."""
        ctx.check()
        sent = False
        forget = ctx.cancel.on_cancel(self._shut_down)
        try:
            self._connect(ctx)
            ctx.check()
            sent = True
            self._request(ctx, method, path, headers, data)
            return self._response(ctx)
        except CancelledError:
            self.close()
            raise
        except (*_NO_ANSWER, ValueError) as error:  # ValueError: reading from a socket that was shut down under us
            self.close()
            ctx.check()
            raise _NoAnswerError(error, sent) from error
        except BaseException:
            self.close()
            raise
        finally:
            forget()

    def _connect(self, ctx: Context) -> None:
        if self._connection.sock is not None:
            return
        self._connection.timeout = _silence_s(ctx, CONNECT_S)
        try:
            self._connection.connect()
        except SSLError as error:
            if "ingerprint" not in str(error):
                raise
            raise RepositoryError(
                "the server's certificate is not the one that is expected here",
                cause=Cause.DENIED,
                where=self._address,
                remedy="another server answers at this address, or it has a new certificate",
            ) from error
        self._socket = self._connection.sock

    def _request(self, ctx: Context, method: str, path: str, headers: Mapping[str, str], data: Bytes | None) -> None:
        self._connection.timeout = _silence_s(ctx, ANSWER_S)
        all_headers = {**self._headers, **headers}
        if data is not None:
            all_headers |= {"Content-Length": str(len(data)), "Content-Type": "application/octet-stream"}
        body = None if not data else _pieces(ctx, data)
        # A server that refuses early answers and closes before it has read everything: its answer is what we want to see.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self._connection.request(method, self._base + path, body=body, headers=all_headers, preload_content=False)

    def _response(self, ctx: Context) -> _Answer:
        response = self._connection.getresponse()
        parts: list[bytes] = []
        size = 0
        while piece := response.read(_PIECE_BYTES):
            ctx.check()
            parts.append(piece)
            size += len(piece)
            if size > BODY_BYTES_MAX:
                raise HTTPException(f"an answer of more than {BODY_BYTES_MAX} bytes")
        return _Answer(response.status, response.headers, parts[0] if len(parts) == 1 else b"".join(parts))

    def _shut_down(self) -> None:
        """Wake the thread that is blocked in the socket. The base class's shutdown leaves the TLS layer alone, which that thread uses."""
        with self._guard:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Attempt:
    """One attempt of several."""

    def __init__(self) -> None:
        self.error: RepositoryError | None = None

    def failed(self, error: RepositoryError) -> None:
        """It did not work; the next one may."""
        self.error = error


def _attempts(ctx: Context) -> Iterator[_Attempt]:
    """Attempts with growing pauses; raises the last error when the time is up."""
    until_s, pause_s = ctx.clock.monotonic_s() + RETRY_S, _PAUSE_FIRST_S
    while True:
        attempt = _Attempt()
        yield attempt
        if attempt.error is None:
            return
        if ctx.clock.monotonic_s() + pause_s >= until_s:
            raise attempt.error
        ctx.clock.wait(ctx.cancel.event, pause_s)
        ctx.check()
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


def _path(kind: Kind, name: str) -> str:
    return kind.value if kind is Kind.CONFIG else f"{kind.value}/{name}"


def _silence_s(ctx: Context, limit_s: float) -> float:
    """How long a silent connection may last; zero would mean not to block at all."""
    return max(0.001, min(limit_s, ctx.remaining_s(limit_s)))


def _pieces(ctx: Context, data: Bytes) -> Iterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(view), _PIECE_BYTES):
        ctx.check()
        yield view[start : start + _PIECE_BYTES]  # type: ignore[misc]  # sendall takes any buffer


def _accepted(answer: _Answer, where: str) -> _Answer:
    if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT):
        return answer
    known = _FINAL.get(answer.status)
    if known is not None:
        raise RepositoryError(f"{known[1]} ({answer.status})", cause=known[0], where=where)
    raise RepositoryError(f"an answer {answer.status}", cause=Cause.PROTOCOL, maybe_applied=True, where=where)


def _server_error(answer: _Answer, where: str, *, maybe_applied: bool = False) -> RepositoryError:
    text = answer.body[:200].decode("utf-8", "replace").strip()
    cause = Cause.UNREACHABLE if answer.status == HTTPStatus.SERVICE_UNAVAILABLE else Cause.SERVER_ERROR
    return RepositoryError(f"the server answers {answer.status} {text}".rstrip(), cause=cause, maybe_applied=maybe_applied, where=where)


def _unreachable(what: str, where: str, *, maybe_applied: bool = False) -> RepositoryError:
    return RepositoryError(what, cause=Cause.UNREACHABLE, maybe_applied=maybe_applied, where=where, remedy="is the server running?")
