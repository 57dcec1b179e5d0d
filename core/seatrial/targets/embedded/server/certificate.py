"""The server's certificate: self-signed, made once, pinned by its SHA-256, kept so that pins survive a crash."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seatrial.clock import Clock
from seatrial.errors import HarnessError
from seatrial.targets.private import write_private

_VALID_DAYS = 397
"""The most that strict TLS clients accept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """A certificate on disk; ``file`` holds the key too (mode 0600)."""

    file: Path
    fingerprint: str
    """SHA-256 of the DER form, lower-case hex."""

    def context(self) -> ssl.SSLContext:
        """A server's TLS context: TLS 1.2 and later, no session tickets (clients keep their connections)."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.num_tickets = 0
        made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        made.load_cert_chain(self.file)
        return made


def make_or_load(directory: Path, clock: Clock) -> Certificate:
    """The certificate kept in ``directory``; made at the first call. ``HarnessError`` when the file there is not one."""
    file = directory / "server.pem"
    if not file.exists():
        write_private(file, _make(clock))
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as error:
        raise HarnessError("not a certificate", where=str(file), remedy="delete it; clients then need the new fingerprint") from error
    der = found.public_bytes(serialization.Encoding.DER)
    return Certificate(file=file, fingerprint=hashlib.sha256(der).hexdigest())


def _make(clock: Clock) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "seatrial embedded server")])
    now = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a client's clock may be behind ours
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    x509.IPAddress(ipaddress.ip_address("::1")),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)  # restic --cacert wants its own issuer
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
