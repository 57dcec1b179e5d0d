"""The HTTP transport's client side."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import urllib3

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.cluster import http_wire as wire
from seatrial.cluster.consistency import ApplyResult
from seatrial.cluster.errors import BackendNotFoundError, QuorumFailedError, ResponseTooLargeError, TransportError
from seatrial.cluster.items import Entry, Item, Tombstone
from seatrial.cluster.merkle import MerkleTree
from seatrial.cluster.node import GossipMember
from seatrial.cluster.options import HTTPAuth, HTTPLimits
from seatrial.cluster.transport import Transport

T = TypeVar("T")

_PAGES_MAX = 1024
_RESULTS = {result.value: result for result in ApplyResult}


class HTTPTransport(Transport):
    """Calls peers whose base URL the resolver knows. Threading: any thread; connections are pooled, ``close`` ends them."""

    def __init__(
        self,
        resolver: Callable[[str], str | None],
        *,
        limits: HTTPLimits | None = None,
        auth: HTTPAuth | None = None,
        timeout: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``timeout`` overrides the limits' ``client_timeout``. Raises InsecureAuthConfigError."""
        self._resolver, self._clock = resolver, clock
        self._limits = (limits or HTTPLimits()).normalised()
        self._auth = auth or HTTPAuth()
        self._auth.validate()
        self._timeout = self._limits.client_timeout if timeout is None else timeout
        options: dict[str, Any] = {}
        tls = self._limits.tls
        if tls is not None:
            options["ssl_context"] = tls.client_context()
            if tls.server_hostname:
                options |= {"server_hostname": tls.server_hostname, "assert_hostname": tls.server_hostname}
        self._pool = urllib3.PoolManager(num_pools=64, maxsize=16, retries=False, **options)
        # By itself it drops them: whoever holds an error of a call would keep its connections open.
        self._pool.pools.dispose_func = urllib3.HTTPConnectionPool.close
        self._closed = False

    def close(self) -> None:
        """Close the pooled connections. A call that comes later is made, and leaves none behind."""
        self._closed = True
        self._pool.clear()

    def forward_set(self, node_id: str, item: Item, replicate: bool) -> ApplyResult | None:
        body = wire.encode_set(item, replicate)
        headers = {"Content-Type": "application/json"}
        if 0 < self._limits.compression_threshold < len(body):
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        status, answer = self._call(node_id, "POST", "/internal/set", body=body, headers=headers)
        if status == 503 and _error_text(answer) == QuorumFailedError.text:
            raise QuorumFailedError
        self._expect(status, answer)
        result = _parsed(wire.loads, answer)
        return _RESULTS.get(str(result.get("result"))) if isinstance(result, dict) else None

    def forward_get(self, node_id: str, key: str) -> Item | None:
        return self.forward_entry(node_id, key)[0]

    def forward_entry(self, node_id: str, key: str) -> Entry:
        status, answer = self._call(node_id, "GET", "/internal/get", {"key": key})
        self._expect(status, answer)
        return _parsed(lambda body: wire.decode_get(body, self._clock.monotonic_s()), answer)

    def forward_remove(self, node_id: str, key: str, replicate: bool, *, version: int = 0, origin: str = "") -> None:
        query = {"key": key, "replicate": "true" if replicate else "false"}
        if version:
            query |= {"version": str(version), "origin": origin}
        self._expect(*self._call(node_id, "DELETE", "/internal/del", query))

    def health(self, node_id: str, timeout: float | None = None) -> None:
        self._expect(*self._call(node_id, "GET", "/health", timeout=timeout))

    def indirect_health(self, relay_id: str, target_id: str, timeout: float | None = None) -> None:
        self._expect(*self._call(relay_id, "GET", "/internal/probe", {"target": target_id}, timeout=timeout))

    def gossip(self, target_id: str, members: Sequence[GossipMember]) -> None:
        headers = {"Content-Type": "application/json"}
        self._expect(*self._call(target_id, "POST", "/internal/gossip", body=wire.encode_gossip(members), headers=headers))

    def fetch_merkle(self, node_id: str, scope: str = "") -> MerkleTree:
        status, answer = self._call(node_id, "GET", "/internal/merkle", {"scope": scope} if scope else {})
        self._expect(status, answer)
        return _parsed(wire.decode_merkle, answer)

    def list_keys(self, node_id: str, pattern: str = "") -> list[str]:
        keys: list[str] = []
        cursor = "0"
        for _ in range(_PAGES_MAX):
            query = {"cursor": cursor} | ({"q": pattern} if pattern else {})
            status, answer = self._call(node_id, "GET", "/internal/keys", query)
            self._expect(status, answer)
            page = _parsed(json.loads, answer)
            if not isinstance(page, dict):
                raise TransportError("peer answered no page of keys")
            keys += page.get("keys") or []
            following = page.get("next_cursor") or ""
            if following in ("", cursor):
                break
            cursor = following
        return keys

    def list_tombstones(self, node_id: str) -> dict[str, Tombstone]:
        status, answer = self._call(node_id, "GET", "/internal/tombstones")
        if status == 404:
            return {}
        self._expect(status, answer)
        now = self._clock.monotonic_s()
        return _parsed(lambda body: {key: wire.decode_tombstone(raw, now) for key, raw in json.loads(body)["tombstones"].items()}, answer)

    def _call(
        self,
        node_id: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, bytes]:
        base = self._resolver(node_id)
        if not base:
            raise BackendNotFoundError
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise TransportError(f"base URL is not absolute http or https: {base!r}")
        url = base.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        sent = dict(headers or {})
        if self._auth.client_sign is not None:
            self._auth.client_sign(sent, method, url)
        elif self._auth.token:
            sent["Authorization"] = f"Bearer {self._auth.token}"
        limit_s = self._timeout if timeout is None else min(timeout, self._timeout)
        try:
            response = self._pool.request(
                method, url, body=body, headers=sent, timeout=limit_s, redirect=False, preload_content=False, decode_content=True
            )
            return response.status, self._read(response)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise TransportError(f"{method} {path}: {error}") from error
        finally:
            if self._closed:  # Race: a tick of a node that stops may still be under way.
                self._pool.clear()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        limit = self._limits.response_limit
        data = response.read(limit + 1, decode_content=True)
        if len(data) > limit:
            response.close()  # what is left is not read: the connection cannot be used again
            raise ResponseTooLargeError(f"{ResponseTooLargeError.text} of {limit} bytes")
        response.release_conn()
        return data

    def _expect(self, status: int, answer: bytes) -> None:
        if status == 404:
            raise BackendNotFoundError
        if status >= 300:
            raise TransportError(f"peer answered {status}: {_error_text(answer)}")


def _error_text(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode(errors="replace")


def _parsed(parse: Callable[[bytes], T], answer: bytes) -> T:
    try:
        return parse(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TransportError(f"peer's answer is not understood: {error}") from error
