"""Nodes that speak TLS: who is let in, who is not, and a hang-up in the middle."""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seatrial.cluster import TLSConfig
from tests.support.cluster_http import Start, ask, patient, two


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLSConfig:
    place = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster-test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (place / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (place / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return TLSConfig(str(place / "cert.pem"), str(place / "key.pem"), str(place / "cert.pem"))


def test_nodes_replicate_over_tls(start: Start, tls: TLSConfig) -> None:
    """Row 59."""
    a, b = two(start, http_limits=patient(tls=tls))
    a.put("k", "v")
    assert b.local_contains("k")


def test_a_connection_that_is_hung_up_between_two_reads_ends_in_peace(
    start: Start, tls: TLSConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start(http_limits=patient(tls=tls))
    read, died, about_to, hung_up = ssl.SSLSocket.read, list[object](), threading.Event(), threading.Event()

    def late(connection: ssl.SSLSocket, *args: Any) -> Any:
        if connection.server_side:
            about_to.set()
            hung_up.wait(60)
        return read(connection, *args)

    monkeypatch.setattr(threading, "excepthook", died.append)
    monkeypatch.setattr(ssl.SSLSocket, "read", late)
    client = http.client.HTTPSConnection(node.local_node_address, timeout=60, context=ssl.create_default_context(cafile=tls.cafile))
    client.connect()
    assert about_to.wait(60)
    serving = [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]
    node.stop(0)
    hung_up.set()
    for thread in serving:
        thread.join(60)
    client.close()
    assert died == []


def test_untrusting_and_plain_clients_fail_in_the_handshake(start: Start, tls: TLSConfig) -> None:
    """Row 60."""
    node = start(http_limits=patient(tls=tls))
    untrusting = http.client.HTTPSConnection(node.local_node_address, timeout=60, context=ssl.create_default_context())
    with pytest.raises(ssl.SSLError):
        untrusting.request("GET", "/health")
    untrusting.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(node, "GET", "/health")


def test_clients_without_a_certificate_are_kept_out_where_one_is_required(start: Start, tls: TLSConfig, tmp_path: Path) -> None:
    strict = TLSConfig(tls.certfile, tls.keyfile, tls.cafile, require_client_cert=True)
    a, b = two(start, http_limits=patient(tls=strict))
    a.put("k", "v")
    assert b.local_contains("k")
    bare = http.client.HTTPSConnection(a.local_node_address, timeout=60, context=ssl.create_default_context(cafile=tls.cafile))
    with pytest.raises(OSError):
        bare.request("GET", "/health")
        bare.getresponse()
    bare.close()
