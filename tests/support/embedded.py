"""The embedded server in tests: the real process, and ways to speak to it that no honest client has."""

from __future__ import annotations

import base64
import hashlib
import http.client
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import msgspec

from seatrial.targets.embedded.server.config import Admin, Limits, ServerConfig
from seatrial.targets.embedded.server.main import Ready
from seatrial.targets.embedded.server.users import digest_of
from tests.support.processes import SOURCE_ROOT
from tests.support.waiting import eventually

ADMIN, ADMIN_PASSWORD = "admin", "admin-password-of-a-test"
CLIENT, CLIENT_PASSWORD = "brave-otter-1", "client-password-of-a-test"
_COMMAND = [sys.executable, "-m", "seatrial.targets.embedded", "serve"]


def blob_name(data: bytes) -> str:
    """What the protocol calls a blob with this content."""
    return hashlib.sha256(data).hexdigest()


def basic(user: str, password: str) -> str:
    """An ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Reply:
    """One answer, read to its end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()


class Speaker:
    """One connection that stays open, and an identity on it. The certificate is pinned."""

    def __init__(self, server: LiveServer, user: str = ADMIN, password: str = ADMIN_PASSWORD) -> None:
        self._server, self._authorization = server, basic(user, password)
        self.connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.tls(), timeout=20)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request below the repository; a path that begins with ``!`` is taken as it is. ``body``: bytes, or an iterable for chunks."""
        target = path[1:] if path.startswith("!") else f"/repository/{path}"
        self.connection.putrequest(method, target, skip_accept_encoding=True)
        self.connection.putheader("Authorization", self._authorization)
        for name, value in headers.items():
            self.connection.putheader(name, value)
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            self.connection.putheader("Transfer-Encoding", "chunked")
        elif body is not None or method in ("POST", "PUT"):
            self.connection.putheader("Content-Length", str(len(body or b"")))
        self.connection.endheaders(body, encode_chunked=chunked)
        return Reply(self.connection.getresponse())

    def put(self, blob_type: str, data: bytes) -> str:
        """Upload a blob; its name."""
        name = blob_name(data)
        reply = self.ask("POST", f"{blob_type}/{name}", data)
        assert reply.status == 200, reply.body
        return name

    def names(self, blob_type: str) -> set[str]:
        """What a listing says is there."""
        reply = self.ask("GET", f"{blob_type}/", Accept="application/vnd.x.restic.rest.v2")
        assert reply.status == 200, reply.body
        return {entry["name"] for entry in msgspec.json.decode(reply.body)}

    def close(self) -> None:
        """Idempotent."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class LiveServer:
    """A server process on ``home``; ``start`` again after it has ended keeps everything."""

    def __init__(self, home: Path, *, limits: Limits | None = None, **config: Any) -> None:
        self.home, self.repository = home, home / "repository"
        self.log_file, self.access_log = home / "server.log", home / "access.log"
        self._ready_file = home / "ready.json"
        config.setdefault("fsync", False)
        self.config = ServerConfig(
            repository=str(self.repository),
            state_directory=str(home / "state"),
            access_log=str(self.access_log),
            ready_file=str(self._ready_file),
            admin=Admin(user=ADMIN, password_sha256=digest_of(ADMIN_PASSWORD)),
            limits=limits or Limits(failure_delay_s=0.0),
            **config,
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.fingerprint = ""
        self._tls: ssl.SSLContext | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process, do not wait for it."""
        self._ready_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                _COMMAND, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=SOURCE_ROOT, start_new_session=True
            )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(msgspec.json.encode(self.config))
        return self.process

    def start(self, *, create: bool = True) -> Self:
        """Start it and wait until it serves."""
        process = self.launch()
        assert eventually(lambda: self._ready_file.exists() or process.poll() is not None, 20), "neither ready nor dead"
        assert process.poll() is None, self.log()
        ready = msgspec.json.decode(self._ready_file.read_bytes(), type=Ready)
        assert ready.pid == process.pid
        self.port = int(ready.url.split(":")[2].split("/")[0])
        self.fingerprint = ready.fingerprint
        if create:
            with Speaker(self) as admin:
                assert admin.ask("POST", "?create=true").status == 200
        return self

    def add_client(self, user: str = CLIENT, password: str = CLIENT_PASSWORD) -> None:
        """Let a user in with the role of a client."""
        with Speaker(self) as admin:
            assert (
                admin.ask("PUT", f"!/.seatrial/users/{user}", msgspec.json.encode({"password_sha256": digest_of(password)})).status == 200
            )

    def speaker(self, user: str = ADMIN, password: str = ADMIN_PASSWORD) -> Speaker:
        """A new connection."""
        return Speaker(self, user, password)

    def tls(self) -> ssl.SSLContext:
        """Trusts this server only."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=str(self.home / "state" / "server.pem"))
            assert self._tls.verify_mode is ssl.CERT_REQUIRED
        return self._tls

    def raw(self, timeout_s: float = 20.0) -> ssl.SSLSocket:
        """A TLS connection for bytes of one's own."""
        return self.tls().wrap_socket(self.plain(timeout_s), server_hostname="127.0.0.1")

    def plain(self, timeout_s: float = 20.0) -> socket.socket:
        """A TCP connection without TLS."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def log(self) -> str:
        """The server log."""
        return self.log_file.read_text()

    def files(self) -> set[str]:
        """Every file under the repository, relative.

        A server that others spoke to may still hold what they broke off: a test that says "nothing is left" waits until there is no
        file that was not there before, and does not ask that all of those before are still there.
        """
        return {str(path.relative_to(self.repository)) for path in self.repository.rglob("*") if path.is_file()}

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes; what came before a reset or an alert counts."""
    data = b""
    try:
        while more := connection.recv(65536):
            data += more
    except (ConnectionError, ssl.SSLError):
        pass
    return data
