"""Who may do what. Users are kept as digests only, in a file that survives a kill."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
from enum import Enum
from pathlib import Path

import msgspec

from seatrial.errors import HarnessError
from seatrial.targets.embedded.server.config import Admin, Digest, UserName
from seatrial.targets.private import write_private

_NOBODY = "0" * 64
"""Compared against for an unknown user, so that it takes as long as a known one."""
_LONGEST_HEADER = 1024


class Role(Enum):
    """What a user is."""

    CLIENT = "client"
    """Reads all, creates packs, indexes, snapshots and locks, deletes locks and snapshots; no config, no keys, no control."""
    ADMIN = "admin"
    """Everything."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    clients: dict[UserName, Digest]


def digest_of(password: str) -> str:
    """SHA-256 of a password, lower-case hex."""
    return hashlib.sha256(password.encode()).hexdigest()


class Users:
    """All users: the administrator, who comes with the configuration, and the clients.

    Threading: any thread. The table is replaced whole under the lock, so that the many readers need none.
    """

    def __init__(self, admin: Admin, file: Path) -> None:
        self._admin, self._file = admin, file
        self._lock = threading.Lock()
        self._clients: dict[str, str] = _load(file)

    def check(self, authorization: bytes) -> tuple[str, Role] | None:
        """User and role of an ``Authorization`` header; None unless name and password are right. Always the same small cost."""
        name, password = _credentials(authorization)
        is_admin = name == self._admin.user
        expected = self._admin.password_sha256 if is_admin else self._clients.get(name, _NOBODY)
        if not hmac.compare_digest(hashlib.sha256(password).hexdigest(), expected):
            return None
        return name, Role.ADMIN if is_admin else Role.CLIENT

    def put(self, name: str, password_sha256: str) -> bool:
        """Add a client or change its password; False for the administrator's name, which is not to be had."""
        if name == self._admin.user:
            return False
        with self._lock:
            self._save({**self._clients, name: password_sha256})
        return True

    def delete(self, name: str) -> None:
        """Forget a client; an unknown one is fine."""
        with self._lock:
            if name in self._clients:
                self._save({user: digest for user, digest in self._clients.items() if user != name})

    def __len__(self) -> int:
        return len(self._clients) + 1

    def _save(self, clients: dict[str, str]) -> None:
        write_private(self._file, msgspec.json.encode(_File(clients=clients)))
        self._clients = clients  # only what a restart would find


def _load(file: Path) -> dict[str, str]:
    try:
        return dict(msgspec.json.decode(file.read_bytes(), type=_File).clients)
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, OSError) as error:
        raise HarnessError(f"the list of users cannot be read: {error}", where=str(file), remedy="delete it; clients join again") from error


def _credentials(authorization: bytes) -> tuple[str, bytes]:
    scheme, _, token = authorization[:_LONGEST_HEADER].partition(b" ")
    if scheme.lower() != b"basic":
        return "", b""
    try:
        name, _, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        return name.decode("ascii"), password
    except (binascii.Error, ValueError):
        return "", b""
