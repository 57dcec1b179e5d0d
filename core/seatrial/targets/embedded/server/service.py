"""What a request gets: who it is, what it names, whether it may, and then the store.

Every refusal is an ``Answer``; restic gives up at once on 401, 403, 404, 416 and 507 and repeats anything else.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

import msgspec

from seatrial.clock import Clock
from seatrial.history.frames import ServerFrame
from seatrial.targets.embedded.server.config import Digest, Limits, NodeOrder
from seatrial.targets.embedded.server.log import ServerLog
from seatrial.targets.embedded.server.peers import Peer, Peers
from seatrial.targets.embedded.server.routes import BadTarget, Place, Route, Routes
from seatrial.targets.embedded.server.store import BlobStore, BlobType, Chunk, ExistingBlob, MissingBlob, Nodes, NoRoom, UnknownNode
from seatrial.targets.embedded.server.tally import Tally
from seatrial.targets.embedded.server.users import Role, Users
from seatrial.targets.embedded.server.wire import Answer, Request, TooLarge

LIST_V2 = "application/vnd.x.restic.rest.v2"
_LIST_V1 = "application/vnd.x.restic.rest.v1"
_JSON = "application/json"
_RANGE = re.compile(rb"bytes=([0-9]{1,19})-([0-9]{1,19})?")
_CHALLENGE = (b"WWW-Authenticate", b'Basic realm="seatrial"')
_CLIENT_WRITES = frozenset((BlobType.DATA, BlobType.INDEX, BlobType.SNAPSHOTS, BlobType.LOCKS))
_CLIENT_DELETES = frozenset((BlobType.SNAPSHOTS, BlobType.LOCKS))
_APPENDER_DELETES = frozenset((BlobType.LOCKS,))

Body = Callable[[int], Iterator[Chunk]]
"""The request's body, read up to a limit, each chunk good until the next is asked for (``Wire.body``)."""


class UserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``PUT /.seatrial/users/<name>``."""

    password_sha256: Digest


class NodeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``PUT /.seatrial/nodes/<name>``."""

    wanted: NodeOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What came of one request; the connection logs it."""

    answer: Answer
    kind: str
    user: str = ""
    stranger: bool = False
    """It had no good password."""


class _WrongHash(Exception):
    """The body is not what its name says."""


class Service:
    """Answers requests. Threading: any thread; all state is in the parts it was made of."""

    def __init__(
        self,
        *,
        store: BlobStore,
        users: Users,
        routes: Routes,
        peers: Peers,
        tally: Tally,
        limits: Limits,
        log: ServerLog,
        clock: Clock,
        append_only: bool = False,
        nodes: Nodes | None = None,
    ) -> None:
        """``nodes``: of the store, where it has any."""
        self._store, self._nodes, self._users, self._routes, self._peers = store, nodes, users, routes, peers
        self._tally, self._limits, self._log, self._clock = tally, limits, log, clock
        self._client_deletes = _APPENDER_DELETES if append_only else _CLIENT_DELETES
        self._never = threading.Event()

    def serve(self, request: Request, body: Body, peer: Peer) -> Served:
        """The answer to ``request``. Raises what ``body`` raises."""
        found = self._users.check(request.headers.get(b"authorization", b""))
        if found is None:
            self._log.warn("denied", peer=peer.address, method=request.method, path=request.target)
            self._clock.wait(self._never, self._limits.failure_delay_s)
            return Served(answer=_text(401, "wrong user or password", _CHALLENGE), kind="denied", stranger=True)
        user, role = found
        self._peers.proven(peer, user)
        try:
            route = self._routes.route(request.target)
        except BadTarget:
            return Served(answer=_text(400, "no such kind of path"), kind="refused", user=user)
        if route is None:
            return Served(answer=_text(404, "nothing here"), kind="refused", user=user)
        return Served(answer=self._answer(request, route, role, body), kind=f"{_verb(request.method)}-{route.label}", user=user)

    def _answer(self, request: Request, route: Route, role: Role, body: Body) -> Answer:
        handler, methods = self._handlers(route)
        if request.method not in methods:
            return _text(405, "method not allowed", (b"Allow", ", ".join(methods).encode()))
        if not self._may(role, request.method, route):
            return _text(403, "this user may not do that")
        try:
            return handler(request, route, body)
        except MissingBlob:
            return _text(404, "not found")
        except ExistingBlob:
            return _text(403, "already exists")
        except NoRoom as error:
            self._log.warn("no-space", path=request.target, reason=error)
            return _text(507, str(error))
        except _WrongHash:
            self._log.warn("wrong-hash", path=request.target)
            return _text(400, "the body's SHA-256 is not the name")
        except TooLarge:
            return _text(413, "body too large")
        except OSError as error:
            self._log.error("storage", method=request.method, path=request.target, error=error)
            return _text(500, "storage error")

    def _may(self, role: Role, method: str, route: Route) -> bool:
        if role is Role.ADMIN:
            return True
        if route.place not in (Place.BLOB, Place.LIST):
            return False
        match method:
            case "POST":
                return route.blob_type in _CLIENT_WRITES
            case "DELETE":
                return route.blob_type in self._client_deletes
            case _:
                return True

    def _handlers(self, route: Route) -> tuple[Callable[[Request, Route, Body], Answer], tuple[str, ...]]:
        match route.place:
            case Place.REPOSITORY:
                return self._create, ("POST",)
            case Place.LIST:
                return self._list, ("GET", "HEAD")
            case Place.BLOB:
                return self._blob, ("GET", "HEAD", "POST", "DELETE")
            case Place.STATUS:
                return self._status, ("GET", "HEAD")
            case Place.USER:
                return self._user, ("PUT", "DELETE")
            case Place.NODE:
                return self._node, ("PUT",)

    def _create(self, request: Request, route: Route, body: Body) -> Answer:
        if not route.create:
            return _text(400, "only ?create=true is known here")
        self._store.create()
        return _text(200, "")

    def _list(self, request: Request, route: Route, body: Body) -> Answer:
        entries = self._store.list(route.blob_type)
        if LIST_V2.encode() in request.headers.get(b"accept", b""):
            return _json(entries, LIST_V2)
        return _json([entry.name for entry in entries], _LIST_V1)

    def _blob(self, request: Request, route: Route, body: Body) -> Answer:
        match request.method:
            case "GET":
                return self._read(request, route)
            case "HEAD":
                return Answer(status=200, content_type="application/octet-stream", length=self._store.size(route.blob_type, route.name))
            case "DELETE":
                return self._delete(route)
            case _:
                return self._write(request, route, body)

    def _read(self, request: Request, route: Route) -> Answer:
        blob = self._store.open(route.blob_type, route.name)
        wanted = _RANGE.fullmatch(request.headers.get(b"range", b""))
        if wanted is None:  # a range that we do not understand may be ignored (RFC 9110, 14.2)
            return Answer(status=200, content_type="application/octet-stream", blob=blob, length=blob.size)
        first = int(wanted[1])
        last = min(int(wanted[2] or blob.size), blob.size - 1)
        if wanted[2] and int(wanted[2]) < first:
            return Answer(status=200, content_type="application/octet-stream", blob=blob, length=blob.size)
        if first >= blob.size:
            size = blob.size
            blob.close()
            return _text(416, "past the end", (b"Content-Range", f"bytes */{size}".encode()))
        return Answer(
            status=206,
            content_type="application/octet-stream",
            headers=((b"Content-Range", f"bytes {first}-{last}/{blob.size}".encode()),),
            blob=blob,
            start=first,
            length=last - first + 1,
        )

    def _write(self, request: Request, route: Route, body: Body) -> Answer:
        limit = self._limits.data_bytes if route.blob_type is BlobType.DATA else self._limits.other_bytes
        chunks: Iterable[Chunk] = body(limit)
        if route.blob_type is not BlobType.CONFIG:
            chunks = _verified(chunks, route.name)
        self._store.put(route.blob_type, route.name, chunks)
        return _text(200, "")

    def _delete(self, route: Route) -> Answer:
        try:
            self._store.delete(route.blob_type, route.name)
        except MissingBlob:
            return _text(200, "")  # the protocol wants a repeated delete to succeed
        return _text(200, "")

    def _status(self, request: Request, route: Route, body: Body) -> Answer:
        stats = self._store.stats()
        frame = ServerFrame(
            requests=self._tally.counts(),
            latency_ms_p95=self._tally.latency_ms_p95(),
            stored_bytes=stats.stored_bytes,
            quota_bytes=stats.quota_bytes,
            connections=len(self._peers),
            cluster=self._nodes.frame() if self._nodes is not None else None,
        )
        return _json(frame, _JSON)

    def _node(self, request: Request, route: Route, body: Body) -> Answer:
        if self._nodes is None:
            return _text(404, "this store has no nodes")
        try:
            wanted = msgspec.json.decode(b"".join(map(bytes, body(self._limits.control_bytes))), type=NodeRequest)
        except msgspec.MsgspecError:
            return _text(400, f'want {{"wanted": one of {", ".join(get_args(NodeOrder))}}}')
        try:
            self._nodes.order(route.name, wanted.wanted)
        except UnknownNode:
            return _text(404, "no such node")
        return _text(200, "")

    def _user(self, request: Request, route: Route, body: Body) -> Answer:
        if request.method == "DELETE":
            self._users.delete(route.name)
            self._peers.cut_user(route.name)
            self._log.info("user-removed", user=route.name)
            return _text(200, "")
        try:
            wanted = msgspec.json.decode(b"".join(map(bytes, body(self._limits.control_bytes))), type=UserRequest)
        except msgspec.MsgspecError:
            return _text(400, 'want {"password_sha256": 64 hex digits}')
        if not self._users.put(route.name, wanted.password_sha256):
            return _text(403, "the administrator's name is taken")
        self._log.info("user-added", user=route.name)
        return _text(200, "")


def _verified(chunks: Iterable[Chunk], name: str) -> Iterator[Chunk]:
    """``chunks``, and at their end the certainty that they are what ``name`` says."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != name:
        raise _WrongHash


_VERBS = {"GET": "get", "HEAD": "head", "POST": "put", "DELETE": "delete", "PUT": "put"}


def _verb(method: str) -> str:
    """A method for statistics, out of a closed set."""
    return _VERBS.get(method, "other")


def _text(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status=status, body=f"{message}\n".encode() if message else b"", headers=headers)


def _json(value: object, content_type: str) -> Answer:
    return Answer(status=200, body=msgspec.json.encode(value), content_type=content_type)
