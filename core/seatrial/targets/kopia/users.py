"""A user's password as kopia stores it, so that the password itself never stands on a command line."""

from __future__ import annotations

import base64
import hashlib
import secrets

import msgspec

_SCRYPT = 1
"""kopia's number for scrypt with N = 65536, r = 8, p = 1."""
_COST, _BLOCK, _PARALLEL = 65536, 8, 1
_SALT_BYTES = _KEY_BYTES = 32
_MEMORY_BYTES = 128 << 20
"""More than the 64 MiB that it takes."""


def password_hash(password: str) -> str:
    """What ``server user add --user-password-hash`` takes."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MEMORY_BYTES, dklen=_KEY_BYTES)
    profile = {"passwordHashVersion": _SCRYPT, "passwordHash": base64.b64encode(salt + key).decode()}
    return base64.b64encode(msgspec.json.encode(profile)).decode()
