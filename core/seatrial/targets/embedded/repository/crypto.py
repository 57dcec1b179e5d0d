"""Sealing: AES-256-CTR for secrecy, Poly1305-AES for integrity. ``IV (16) || ciphertext || MAC (16)``."""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from seatrial.targets.embedded.repository.errors import corrupt
from seatrial.targets.embedded.repository.store import Bytes

OVERHEAD = 32
"""Bytes that sealing adds."""
_IV = _MAC = 16


def sha256(data: Bytes) -> str:
    """Lower-case hexadecimal digest: the name of a file, the id of a blob."""
    return hashlib.sha256(data).hexdigest()


class SealKey:
    """A key for encryption and one for authentication.

    Threading: one thread at a time. The contexts inside are made once: making them costs as much as sealing 4 KiB.
    """

    __slots__ = ("_ctr", "_ecb", "encrypt", "mac_k", "mac_r")

    def __init__(self, encrypt: bytes, mac_k: bytes, mac_r: bytes) -> None:
        self.encrypt, self.mac_k, self.mac_r = encrypt, mac_k, mac_r
        self._ctr = Cipher(algorithms.AES(encrypt), modes.CTR(bytes(_IV))).encryptor()
        # One AES block per nonce is what Poly1305-AES is made of: ECB of a single block leaks nothing.
        self._ecb = Cipher(algorithms.AES(mac_k), modes.ECB()).encryptor()  # noqa: S305  # the format's MAC is one block of it

    @classmethod
    def generate(cls) -> SealKey:
        """A new key from the operating system."""
        return cls(secrets.token_bytes(32), secrets.token_bytes(16), secrets.token_bytes(16))

    @classmethod
    def from_password(cls, password: str, salt: bytes, *, n: int, r: int, p: int) -> SealKey:
        """The key that scrypt makes of a password. ``ValueError`` for parameters that scrypt does not take."""
        raw = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=128 * r * (n + p + 2) + (1 << 20))
        return cls(raw[:32], raw[32:48], raw[48:64])

    def seal(self, plain: Bytes) -> bytes:
        """Encrypt and authenticate under a fresh IV."""
        iv = secrets.token_bytes(_IV)
        self._ctr.reset_nonce(iv)
        ciphertext = self._ctr.update(plain)
        return b"".join((iv, ciphertext, Poly1305.generate_tag(self.mac_r + self._ecb.update(iv), ciphertext)))

    def open(self, sealed: Bytes) -> bytes:
        """Verify and decrypt; CORRUPT where the seal does not hold."""
        view = memoryview(sealed)
        if len(view) < OVERHEAD:
            raise corrupt(f"{len(view)} bytes are too few for a seal")
        iv, ciphertext, tag = bytes(view[:_IV]), view[_IV:-_MAC], bytes(view[-_MAC:])
        if not any(iv):
            raise corrupt("an all-zero IV")
        try:
            Poly1305.verify_tag(self.mac_r + self._ecb.update(iv), ciphertext, tag)
        except InvalidSignature:
            raise corrupt("the seal is broken: these bytes are not what was written") from None
        self._ctr.reset_nonce(iv)
        return self._ctr.update(ciphertext)  # in counter mode both ways are the same
