"""What travels between nodes over HTTP: JSON as the Go peers write it, and a few fields more that they ignore."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from seatrial.clock import rfc3339
from seatrial.cluster.errors import TransportError
from seatrial.cluster.items import Item, Tombstone
from seatrial.cluster.merkle import DEFAULT_CHUNK_SIZE, MerkleTree
from seatrial.cluster.node import GossipMember

_ZERO_TIME = "0001-01-01T00:00:00Z"
_VERSIONS = range(1 << 64)


def dumps(value: Any) -> bytes:
    """Compact JSON; raises TransportError for what JSON cannot carry."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TransportError(f"value cannot travel as JSON: {error}") from error


def loads(body: bytes) -> Any:
    """Raises ValueError for what is no JSON."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def encode_set(item: Item, replicate: bool) -> bytes:
    """The body of a set."""
    value, encoding = _encode_value(item.value)
    body: dict[str, Any] = {
        "key": item.key,
        "value": value,
        "expiration_ms": round(item.expiration * 1e3),
        "version": item.version,
        "origin": item.origin,
        "replicate": replicate,
    }
    if encoding:
        body["value_encoding"] = encoding
    return dumps(body)


def decode_set(body: bytes, now: float) -> tuple[Item, bool]:
    """(item, replicate) of a set's body; raises ValueError."""
    fields = _folded(loads(body))
    value = _decode_value(fields.get("value"), fields.get("value_encoding"))
    expiration = _number(fields.get("expiration_ms")) / 1e3
    item = Item(
        _text(fields.get("key")), value, max(expiration, 0.0), _version(fields.get("version")), _text(fields.get("origin")), now, now
    )
    replicate = fields.get("replicate") or False
    if not isinstance(replicate, bool):
        raise ValueError("replicate is no boolean")
    return item, replicate


def encode_hit(item: Item) -> bytes:
    """The answer of a get that found something."""
    value, encoding = _encode_value(item.value)
    shown: dict[str, Any] = {
        "Key": item.key,
        "Value": value,
        "LastAccess": _time(item.last_access),
        "LastUpdated": _time(item.last_updated),
        "Size": item.size,
        "Expiration": round(item.expiration * 1e9),
        "AccessCount": item.access_count,
        "Version": item.version,
        "Origin": item.origin,
        "expiration_ms": round(item.expiration * 1e3),
    }
    if encoding:
        shown["ValueEncoding"] = encoding
    return dumps({"found": True, "item": shown})


def encode_miss(tomb: Tombstone | None) -> bytes:
    """The answer of a get that found nothing, with the tombstone if there is one."""
    return dumps({"found": False} | ({"tombstone": {"version": tomb.version, "origin": tomb.origin}} if tomb else {}))


def decode_get(body: bytes, now: float) -> tuple[Item | None, Tombstone | None]:
    """What a get's answer says; raises ValueError. ``now`` in monotonic seconds is when a tombstone came here."""
    answer = _folded(loads(body))
    if not answer.get("found"):
        tomb = answer.get("tombstone")
        return None, (decode_tombstone(tomb, now) if tomb else None)
    fields = _folded(answer.get("item"))
    in_ms = fields.get("expiration_ms")
    expiration = _number(fields.get("expiration")) / 1e9 if in_ms is None else _number(in_ms) / 1e3
    return Item(
        _text(fields.get("key")),
        _decode_value(fields.get("value"), fields.get("valueencoding")),
        expiration,
        _version(fields.get("version")),
        _text(fields.get("origin")),
        _seconds(fields.get("lastaccess")),
        _seconds(fields.get("lastupdated")),
        int(_number(fields.get("size"))),
        int(_number(fields.get("accesscount"))),
    ), None


def decode_tombstone(raw: Any, now: float) -> Tombstone:
    """Raises ValueError."""
    fields = _folded(raw)
    return Tombstone(_version(fields.get("version")), _text(fields.get("origin")), now)


def encode_tombstones(tombs: Mapping[str, Tombstone]) -> bytes:
    """The answer of ``/internal/tombstones``."""
    return dumps({"tombstones": {key: {"version": tomb.version, "origin": tomb.origin} for key, tomb in tombs.items()}})


def encode_merkle(tree: MerkleTree) -> bytes:
    """The answer of ``/internal/merkle``; nothing is null, as Go writes it."""
    leaves = [base64.b64encode(leaf).decode() for leaf in tree.leaf_hashes]
    shown: dict[str, Any] = {
        "root": base64.b64encode(tree.root).decode() if tree.root else None,
        "leaf_hashes": leaves or None,
        "chunk_size": tree.chunk_size,
    }
    if tree.scope:
        shown["scope"] = tree.scope
    if tree.origin_hashes:  # ours: a Go peer neither sends nor reads it
        shown["origin_hashes"] = [base64.b64encode(each).decode() for each in tree.origin_hashes]
    return dumps(shown)


def decode_merkle(body: bytes) -> MerkleTree:
    """Raises ValueError."""
    fields = _folded(loads(body))
    chunk_size = int(_number(fields.get("chunk_size"))) or DEFAULT_CHUNK_SIZE
    leaves, origins = _hashes(fields, "leaf_hashes"), _hashes(fields, "origin_hashes")
    return MerkleTree(leaves, _bytes(fields.get("root") or ""), chunk_size, _text(fields.get("scope")), origins)


def _hashes(fields: Mapping[str, Any], name: str) -> list[bytes]:
    hashes = fields.get(name) or []
    if not isinstance(hashes, list):
        raise ValueError(f"{name} is no list")
    return [_bytes(each) for each in hashes]


def encode_gossip(members: Iterable[GossipMember]) -> bytes:
    """The body of a gossip message."""
    return dumps([{"id": each.id, "address": each.address, "state": each.state, "incarnation": each.incarnation} for each in members])


def decode_gossip(body: bytes) -> list[GossipMember]:
    """Raises ValueError."""
    raw = loads(body)
    if not isinstance(raw, list):
        raise ValueError("gossip is no list")
    members = []
    for fields in map(_folded, raw):
        node_id, address, state = (_text(fields.get(name)) for name in ("id", "address", "state"))
        members.append(GossipMember(node_id, address, state, _version(fields.get("incarnation"))))
    return members


def _folded(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    return {key.lower(): value for key, value in raw.items()}


def _encode_value(value: Any) -> tuple[Any, str]:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode(), "base64"
    return value, ""


def _decode_value(value: Any, encoding: Any) -> Any:
    return _bytes(value) if encoding == "base64" else value


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError("base64 is no text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"bad base64: {error}") from error


def _text(raw: Any) -> str:
    if raw is not None and not isinstance(raw, str):
        raise ValueError("not a text")
    return raw or ""


def _number(raw: Any) -> float:
    if raw is not None and (isinstance(raw, bool) or not isinstance(raw, int | float)):
        raise ValueError("not a number")
    return raw or 0


def _version(raw: Any) -> int:
    value = _number(raw)
    if not isinstance(value, int) or value not in _VERSIONS:
        raise ValueError("not an unsigned 64-bit number")
    return value


def _time(seconds: float) -> str:
    return rfc3339(round(seconds * 1e9)) if seconds else _ZERO_TIME


def _seconds(raw: Any) -> float:
    text = _text(raw)
    return 0.0 if text in ("", _ZERO_TIME) else datetime.fromisoformat(text).timestamp()
