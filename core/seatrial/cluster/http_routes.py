"""The HTTP listener's paths, free of sockets."""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from seatrial.cluster import http_wire as wire
from seatrial.cluster.attempts import attempt
from seatrial.cluster.core import NodeCore
from seatrial.cluster.errors import BadPatternError, QuorumFailedError, UnauthorizedError
from seatrial.cluster.patterns import build_key_matcher
from seatrial.cluster.peer_calls import PeerCalls

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False", ""), False
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``query`` holds the first value of each name, ``headers`` are by lower-case name."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes
    content_type: str = JSON


OK = Response(200, b"OK", TEXT)


def failure(status: int, text: str) -> Response:
    """An answer that says what is wrong."""
    return Response(status, wire.dumps({"error": text}))


class Routes:
    """Answers peers' requests. Threading: any thread; keeps no state of its own."""

    def __init__(self, core: NodeCore, node: PeerCalls) -> None:
        self._core, self._node = core, node
        self._table: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("POST", "/internal/set"): self._set,
            ("POST", "/internal/cache/set"): self._set,
            ("GET", "/internal/get"): self._get,
            ("GET", "/internal/cache/get"): self._get,
            ("DELETE", "/internal/del"): self._delete,
            ("DELETE", "/internal/cache/remove"): self._delete,
            ("GET", "/health"): self._health,
            ("POST", "/dist/drain"): self._drain,
            ("GET", "/internal/probe"): self._probe,
            ("POST", "/internal/gossip"): self._gossip,
            ("GET", "/internal/merkle"): self._merkle,
            ("GET", "/internal/keys"): self._keys,
            ("GET", "/internal/tombstones"): self._tombstones,
        }

    def authorize(self, request: Request) -> Response | None:
        """The refusal of a request that may not be, before its body is read; covers every path."""
        auth = self._core.options.http_auth
        if auth.server_verify is not None:
            _, error = attempt(auth.server_verify, request)
            return failure(401, str(error) or UnauthorizedError.text) if error else None
        if auth.token:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), f"Bearer {auth.token}".encode()):
                return failure(401, UnauthorizedError.text)
        return None

    def handle(self, request: Request) -> Response:
        """The answer to an authorized request."""
        route = self._table.get((request.method, request.path))
        if route is None:
            known = any(path == request.path for _, path in self._table)
            return failure(405, "method not allowed") if known else failure(404, "not found")
        response, error = attempt(route, request)
        if response is None:
            self._core.log.error("request failed", exc_info=error, extra={"path": request.path})
            return failure(500, str(error))
        return response

    def _body(self, request: Request) -> bytes | Response:
        if request.headers.get("content-encoding", "").strip().lower() != "gzip":
            return request.body
        limit = self._core.options.http_limits.body_limit
        unpacker = zlib.decompressobj(31)
        try:
            body = unpacker.decompress(request.body, limit + 1)
        except zlib.error:
            return failure(400, "bad gzip body")
        if len(body) > limit:
            return failure(413, HTTPStatus.REQUEST_ENTITY_TOO_LARGE.phrase)
        return body if unpacker.eof else failure(400, "bad gzip body")

    def _set(self, request: Request) -> Response:
        body = self._body(request)
        if isinstance(body, Response):
            return body
        try:
            item, replicate = wire.decode_set(body, self._core.wall_s())
        except ValueError as error:
            return failure(400, str(error))
        if not item.key.strip():
            return failure(400, "invalid key")
        if item.value is None:
            return failure(400, "nil value")
        try:
            result = self._node.receive_set(item, replicate)
        except QuorumFailedError as error:
            return failure(503, str(error))
        return Response(200, wire.dumps({"result": result.value}))

    def _get(self, request: Request) -> Response:
        key = request.query.get("key", "")
        if not key:
            return failure(400, "missing cache key")
        if not self._core.ring.owners(key):
            return failure(404, "not owner")
        item, tomb = self._node.local_entry(key)
        return Response(200, wire.encode_miss(tomb) if item is None else wire.encode_hit(item))

    def _delete(self, request: Request) -> Response:
        query = request.query
        if not query.get("key"):
            return failure(400, "missing cache key")
        replicate = _BOOLEANS.get(query.get("replicate", ""))
        if replicate is None:
            return failure(400, "invalid replicate")
        version = query.get("version", "0")
        if not (version.isascii() and version.isdigit() and len(version) <= 20 and int(version) < 1 << 64):
            return failure(400, "invalid version")
        self._node.receive_remove(query["key"], replicate, version=int(version), origin=query.get("origin", ""))
        return OK

    def _health(self, request: Request) -> Response:
        draining = self._core.draining.is_set()
        return Response(503, b"draining", TEXT) if draining else Response(200, b"ok", TEXT)

    def _drain(self, request: Request) -> Response:
        self._node.drain()
        return Response(200, b'{"draining":true}')

    def _probe(self, request: Request) -> Response:
        target = request.query.get("target", "")
        if not target:
            return failure(400, "missing target")
        transport = self._core.transport
        if transport is None:
            return failure(503, "no transport")
        if self._core.membership.get(target) is None:
            return failure(404, "backend not found")
        interval = self._core.options.heartbeat_interval
        _, error = attempt(transport.health, target, interval / 2 if interval > 0 else None)
        return failure(502, str(error)) if error else Response(200, b"ok", TEXT)

    def _gossip(self, request: Request) -> Response:
        try:
            members = wire.decode_gossip(request.body)
        except ValueError as error:
            return failure(400, str(error))
        self._node.accept_gossip(members)
        return OK

    def _merkle(self, request: Request) -> Response:
        return Response(200, wire.encode_merkle(self._node.build_merkle_tree(request.query.get("scope", ""))))

    def _keys(self, request: Request) -> Response:
        cursor, limit = _count(request.query.get("cursor")), _count(request.query.get("limit"))
        if cursor is None:
            return failure(400, "invalid cursor")
        if limit is None:
            return failure(400, "invalid limit")
        try:
            matches = build_key_matcher(request.query.get("q", ""))
        except BadPatternError as error:
            return failure(400, str(error))
        keys = self._node.shard_keys(cursor)
        if keys is None:
            return Response(200, wire.dumps({"keys": [], "next_cursor": ""}))
        found = [key for key in keys if matches(key)]
        truncated = 0 < limit < len(found)
        if truncated:
            found = found[:limit]
        last = self._node.shard_keys(cursor + 1) is None
        following = str(cursor) if truncated else "" if last else str(cursor + 1)
        return Response(200, wire.dumps({"keys": found, "next_cursor": following, "truncated": truncated}))

    def _tombstones(self, request: Request) -> Response:
        return Response(200, wire.encode_tombstones(self._node.local_tombstones()))


def _count(text: str | None) -> int | None:
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
