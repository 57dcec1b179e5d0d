"""What stands in front of the repository: a program that speaks restic's REST protocol over TLS, with users of its own."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import urllib3

from seatrial.children import Child
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.context import CancelToken, Context
from seatrial.errors import HarnessError, OperationError, TargetError
from seatrial.history.frames import ServerFrame
from seatrial.targets.embedded.outcomes import translated
from seatrial.targets.embedded.repository.repository import initialise
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.embedded.server import certificate
from seatrial.targets.embedded.server.store import BlobType
from seatrial.targets.private import make_private_directory, write_private
from seatrial.targets.programs.program import Found, Program
from seatrial.targets.programs.served import ServedProcess
from seatrial.targets.protocols import Access, Surroundings
from seatrial.targets.restic.locked import remove_dead_locks
from seatrial.targets.restic.program import RCLONE, REST_SERVER, WITHOUT
from seatrial.targets.secret import new_token, repository_secrets
from seatrial.verdicts import Outcome

_ADMIN = "admin"
_SETUP_S = 60.0
_STOP_GRACE_S = 5.0
_USERS_S = 10.0
"""Until a server has read its users again."""
_POLL_S = 0.02
_CONNECTIONS = 2
_ASK = urllib3.Timeout(connect=5.0, read=10.0)


class Front(Protocol):
    """The part of ``targets.protocols.Server`` that differs with what serves. ``EmbeddedServer`` is one. Threading: any thread."""

    def connect_or_create_repo(self, repo_path: Path) -> None: ...
    def restart(self) -> None: ...
    def authorize_client(self, user: str) -> None: ...
    def remove_client(self, user: str) -> None: ...
    def access(self, user: str) -> Access: ...

    def administrator(self) -> Access:
        """Of the one user who is there from the beginning."""

    def server_cmd(self) -> Child | None: ...
    def server_fingerprint(self) -> str: ...
    def frame(self) -> ServerFrame | None: ...
    def cleanup(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a program is told."""

    repository: Path
    address: str
    """Host and port; port 0 for any."""
    certificate: Path
    """With its key."""
    users: Path
    """In the format of ``htpasswd``, SHA-1."""
    access_log: Path
    append_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A program that serves: how it is told to, and how it tells that it does."""

    program: Program
    arguments: Callable[[Place], list[str]]
    ready: str
    """Regular expression that its log matches once it serves; one group, the port."""
    reads_users_at: signal.Signals | None = None
    """The signal at which it reads its users again; None where it looks at the file for each request."""


def _rest_server(place: Place) -> list[str]:
    return [
        *("--path", str(place.repository), "--listen", place.address),
        *("--tls", "--tls-cert", str(place.certificate), "--tls-key", str(place.certificate)),
        *("--htpasswd-file", str(place.users), "--log", str(place.access_log)),
        *(["--append-only"] if place.append_only else []),
    ]


def _rclone(place: Place) -> list[str]:
    return [
        *("serve", "restic", str(place.repository), "--addr", place.address, "--config", "", "-v"),
        *("--cert", str(place.certificate), "--key", str(place.certificate), "--htpasswd", str(place.users)),
        "--cache-objects=false",  # prune works on the directory, behind its back
        *(["--append-only"] if place.append_only else []),
    ]


SPEAKERS: Mapping[str, Speaker] = {
    speaker.program.name: speaker
    for speaker in (
        Speaker(
            program=REST_SERVER,
            arguments=_rest_server,
            ready=r"start server on \S+:(\d+)\n(?:.*\n)*TLS enabled",
            reads_users_at=signal.SIGHUP,
        ),
        Speaker(program=RCLONE, arguments=_rclone, ready=r"Serving restic REST API on \S*?:(\d+)/"),
    )
}
"""In the order in which ``auto`` prefers them."""


class ProgramFront:
    """A ``Front`` that is a program of somebody else's, on the repository as a directory.

    Threading: any thread. The lock guards the users and the file that has them, which is written under it; it is never held across a call
    to the server.
    """

    def __init__(self, around: Surroundings, speaker: Speaker, found: Found, clock: Clock = SYSTEM_CLOCK) -> None:
        self._around, self._speaker, self._found, self._clock = around, speaker, found, clock
        self._home = around.base / "server"
        self._process = ServedProcess(around, speaker.program.name, clock=clock)
        self._lock = threading.Lock()
        self._passwords = {_ADMIN: new_token()}
        self._certificate: certificate.Certificate | None = None
        self._pool: urllib3.HTTPSConnectionPool | None = None
        self._repository, self._repository_password, self._port = around.repository, "", 0

    def connect_or_create_repo(self, repo_path: Path) -> None:
        """Start the server on ``repo_path``, and through it make the repository where there is none.

        ``restic init`` knows only keys that cost half a second at each command; ours makes one that costs 3 ms.
        """
        self._repository_password = repository_secrets(repo_path).repository_password
        self._repository = repo_path
        existing = (repo_path / BlobType.CONFIG.value).exists()
        repo_path.mkdir(parents=True, exist_ok=True)
        make_private_directory(self._home)
        self._certificate = certificate.make_or_load(self._home, self._clock)
        self._write_users()
        self._start()
        ctx, admin = self._limited(), self.administrator()
        with translated():
            if existing:
                # All of them: this server knows no client yet, so no lock can have a holder.
                remove_dead_locks(ctx, admin, all_of_them=True)
                return
            store = RestStore(admin)
            try:
                initialise(ctx, store, self._repository_password)
            finally:
                store.close()

    def restart(self) -> None:
        if not self._port:
            raise HarnessError("restart before the first start", where=self._speaker.program.name)
        self._start()

    def authorize_client(self, user: str) -> None:
        with self._lock:
            password = self._passwords.setdefault(user, new_token())
            self._write_users()
        self._reread(user, password, admitted=True)

    def remove_client(self, user: str) -> None:
        with self._lock:
            password = self._passwords.pop(user, None)
            self._write_users()
        if password is not None:
            self._reread(user, password, admitted=False)

    def access(self, user: str) -> Access:
        with self._lock:
            password = self._passwords.get(user)
        if password is None:
            raise OperationError(f"{user} is not authorised", cause="denied", outcome=Outcome.FAILED, where=self._speaker.program.name)
        return Access(
            url=f"https://127.0.0.1:{self._port}/",
            fingerprint=self.server_fingerprint(),
            user=user,
            password=password,
            repository_password=self._repository_password,
        )

    def administrator(self) -> Access:
        return self.access(_ADMIN)

    def server_cmd(self) -> Child | None:
        return self._process.child

    def server_fingerprint(self) -> str:
        if self._certificate is None:
            raise HarnessError("the server has not been started", where=self._speaker.program.name)
        return self._certificate.fingerprint

    def frame(self) -> ServerFrame | None:
        return None

    def cleanup(self) -> None:
        self._process.stop(_STOP_GRACE_S)
        if self._pool is not None:
            self._pool.close()

    def _start(self) -> None:
        assert self._certificate is not None  # noqa: S101 (made before the first start)
        place = Place(
            repository=self._repository,
            address=f"127.0.0.1:{self._port}",
            certificate=self._certificate.file,
            users=self._users_file,
            access_log=self._around.server_log.with_name("access.log"),
            append_only=self._around.preset.restic.append_only,
        )
        log = self._around.server_log
        log_offset = log.stat().st_size if log.exists() else 0
        self._process.start(
            [str(self._found.path), *self._speaker.arguments(place)],
            is_ready=lambda: self._answer(log, log_offset),
            where=f"port {self._port}" if self._port else "",
            env={"HOME": str(self._home), "TMPDIR": str(self._home)},
            without=WITHOUT,
        )

    def _answer(self, log: Path, offset: int) -> str:
        with log.open("rb") as file:
            file.seek(offset)
            said = re.search(self._speaker.ready, file.read().decode(errors="replace"))
        if said is None:
            return ""
        self._port = int(said[1])
        if self._pool is not None:
            self._pool.close()
        self._pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1",
            self._port,
            maxsize=_CONNECTIONS,
            block=True,  # many threads share them; a further connection would be made and thrown away
            cert_reqs="CERT_NONE",  # the pin is stricter than any authority
            assert_fingerprint=self.server_fingerprint(),
            retries=False,
        )
        return f"https://127.0.0.1:{self._port}/"

    @property
    def _users_file(self) -> Path:
        return self._home / "users.htpasswd"

    def _write_users(self) -> None:
        """A fast digest is as good as a slow one: the passwords are 256-bit tokens."""
        lines = []
        for user, password in self._passwords.items():
            digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
            lines.append(f"{user}:{{SHA}}{base64.b64encode(digest).decode()}\n")
        write_private(self._users_file, "".join(lines).encode())

    def _reread(self, user: str, password: str, *, admitted: bool) -> None:
        """Make the server read its users again and wait until it has: until then it would turn a new client away."""
        child = self._process.child
        if child is None or child.returncode is not None:
            return  # it reads them when it starts again
        if self._speaker.reads_users_at is not None:
            child.signal(self._speaker.reads_users_at)
        give_up_at_s = self._clock.monotonic_s() + _USERS_S
        while self._admits(user, password) is not admitted:
            if self._clock.monotonic_s() > give_up_at_s:
                raise TargetError(f"it has not read its users again for {_USERS_S:.0f} s", where=self._speaker.program.name)
            self._clock.wait(self._process.gone.event, _POLL_S)

    def _admits(self, user: str, password: str) -> bool:
        assert self._pool is not None  # noqa: S101 (there since the first start)
        try:
            answer = self._pool.request("HEAD", "/config", headers=urllib3.make_headers(basic_auth=f"{user}:{password}"), timeout=_ASK)
        except urllib3.exceptions.HTTPError as error:
            where = self._speaker.program.name
            raise OperationError(f"the server does not answer: {error}", cause="unreachable", where=where) from error
        return answer.status not in (401, 403)

    def _limited(self) -> Context:
        return Context(clock=self._clock, cancel=self._gone()).within(_SETUP_S)

    def _gone(self) -> CancelToken:
        return self._process.gone
