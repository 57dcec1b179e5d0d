"""Key files: the master key, sealed under a key made of the password."""

from __future__ import annotations

import base64
import binascii
import secrets
import socket
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from seatrial.clock import Clock
from seatrial.context import Context
from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.crypto import SealKey, sha256
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError, corrupt
from seatrial.targets.embedded.repository.store import Kind, Store, label

TRIED_KEYS_MAX = 20
"""restic gives up after so many key files; so do we."""
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1024, 8, 1
"""3 ms. A repository under test keeps no secrets, and restic takes any N."""
_SCRYPT_MEMORY_MAX = 1 << 30
"""Bytes; a key file that asks for more is refused, since anybody can write one."""


class _KeyFile(msgspec.Struct, kw_only=True):
    created: str = ""
    username: str = ""
    hostname: str = ""
    kdf: str
    N: Annotated[int, Meta(ge=2)]
    r: Annotated[int, Meta(ge=1)]
    p: Annotated[int, Meta(ge=1)]
    salt: str
    data: str


class _Mac(msgspec.Struct):
    k: str
    r: str


class _MasterKey(msgspec.Struct):
    mac: _Mac
    encrypt: str


_read_key_file = gojson.reader(_KeyFile)
_read_master_key = gojson.reader(_MasterKey)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unb64(text: str, length: int | None, where: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise corrupt(f"broken base64: {error}", where) from error
    if length is not None and len(raw) != length:
        raise corrupt(f"{len(raw)} bytes where {length} belong", where)
    return raw


def make_key_file(master: SealKey, password: str, clock: Clock) -> bytes:
    """The content of a key file that opens with ``password``."""
    salt = secrets.token_bytes(64)
    user = SealKey.from_password(password, salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
    inner = _MasterKey(_Mac(_b64(master.mac_k), _b64(master.mac_r)), _b64(master.encrypt))
    document = _KeyFile(
        created=gojson.format_time(clock.now_ns()),
        username="seatrial",
        hostname=socket.gethostname(),
        kdf="scrypt",
        N=SCRYPT_N,
        r=SCRYPT_R,
        p=SCRYPT_P,
        salt=_b64(salt),
        data=_b64(user.seal(gojson.encode(inner))),
    )
    return gojson.encode(document)


def _open_key_file(raw: bytes, password: str, where: str) -> SealKey | None:
    """The master key; None where the password is not this file's."""
    document: _KeyFile = _read_key_file(raw, where)
    if document.kdf != "scrypt" or 128 * document.N * document.r > _SCRYPT_MEMORY_MAX:
        raise corrupt(f"a key of kind {document.kdf} N={document.N} r={document.r} p={document.p}", where)
    salt = _unb64(document.salt, 64, where)
    try:
        user = SealKey.from_password(password, salt, n=document.N, r=document.r, p=document.p)
    except ValueError as error:
        raise corrupt(f"scrypt takes no N={document.N} r={document.r} p={document.p}: {error}", where) from error
    try:
        opened = user.open(_unb64(document.data, None, where))
    except RepositoryError:
        return None
    inner: Any = _read_master_key(opened, where)
    return SealKey(_unb64(inner.encrypt, 32, where), _unb64(inner.mac.k, 16, where), _unb64(inner.mac.r, 16, where))


def find_master_key(ctx: Context, store: Store, password: str) -> SealKey:
    """Try the key files in turn. WRONG_PASSWORD where none opens, MISSING where there is none."""
    names = sorted(entry.name for entry in store.entries(ctx, Kind.KEY))
    if not names:
        raise RepositoryError("there is no key file: not a repository", cause=Cause.MISSING, remedy="initialise it first")
    trouble: RepositoryError | None = None
    for name in names[:TRIED_KEYS_MAX]:
        where, raw = label(Kind.KEY, name), store.get(ctx, Kind.KEY, name)
        try:
            if sha256(raw) != name:
                raise corrupt("its content is not what its name says", where)
            master = _open_key_file(raw, password, where)
        except RepositoryError as error:
            trouble = error  # another key file may do
            continue
        if master is not None:
            return master
    if trouble is not None:
        raise trouble
    raise RepositoryError(
        f"none of {min(len(names), TRIED_KEYS_MAX)} key files opens with the repository password",
        cause=Cause.WRONG_PASSWORD,
        remedy="use the password that the repository was made with",
    )
