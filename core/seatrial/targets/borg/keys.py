"""Keys for ssh, made in this process: no program is started for them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class KeyPair:
    """An Ed25519 key as OpenSSH's files have it."""

    private: str
    """The private key's file, not encrypted."""
    public: str
    """``ssh-ed25519 <base64>``, without a comment."""


def new_key() -> KeyPair:
    """A key of its own."""
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
        public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    )


def fingerprint_of(public: str) -> str:
    """SHA-256 of the key as it goes over the wire, lower-case hex."""
    return hashlib.sha256(base64.b64decode(public.split()[1])).hexdigest()
