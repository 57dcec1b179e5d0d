"""The program restic against our server: what speaks the protocol without knowing us must be content."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.embedded import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD, LiveServer

pytestmark = [pytest.mark.slow, pytest.mark.needs_program("restic")]
RETRY_S = 60


class Restic:
    """The program, as one user."""

    def __init__(self, server: LiveServer, home: Path, user: str, password: str) -> None:
        certificate = home / "ca.pem"
        pem = (server.home / "state" / "server.pem").read_bytes()
        certificate.write_bytes(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM))
        self._command = ["restic", "--cacert", str(certificate), "--no-cache"]
        self._environment = {
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "HOME": str(home),
            "RESTIC_REPOSITORY": f"rest:https://{user}:{password}@127.0.0.1:{server.port}/repository/",
            "RESTIC_PASSWORD": "of-the-repository",
        }

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._command, *args], env=self._environment, capture_output=True, text=True, timeout=RETRY_S, check=False)


def test_restic_backs_up_as_clients_prunes_as_administrator_and_finds_no_fault(
    make_server: Callable[..., LiveServer], tmp_path: Path
) -> None:
    server = make_server(fsync=True).start(create=False)
    admin = Restic(server, tmp_path, ADMIN, ADMIN_PASSWORD)
    assert admin("init").returncode == 0
    server.add_client()
    client = Restic(server, tmp_path, CLIENT, CLIENT_PASSWORD)
    sources = []
    for number in range(4):
        source = tmp_path / f"source-{number}"
        source.mkdir()
        for size in (0, 1, 5000, 3_000_000):
            (source / f"file-{size}").write_bytes(bytes([number]) * size + b"end" * (size > 0))
        sources.append(source)
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda source=source: results.append(client("backup", str(source)))) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0] * 4, [result.stderr for result in results]
    assert client("forget", "--keep-last", "1", "--prune", "--group-by", "host").returncode != 0  # a client may not rewrite the index
    assert admin("unlock", "--remove-all").returncode == 0
    kept = admin("forget", "--keep-last", "1", "--prune", "--group-by", "host", "--max-unused", "0")
    assert kept.returncode == 0, kept.stderr
    checked = admin("check", "--read-data")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert client("restore", "latest", "--target", str(tmp_path / "into")).returncode == 0
    assert len([path for path in (tmp_path / "into").rglob("file-*") if path.is_file()]) == 4
    assert server.stop() == 0
    assert "ERROR" not in server.log()
