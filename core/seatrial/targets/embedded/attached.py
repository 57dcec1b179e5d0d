"""A server that is there already and speaks restic's REST protocol: ours or another, spoken to as one of its users.

``--server https://user@host:port/path/?fingerprint=<SHA-256 of the certificate>``. The passwords come in the variables in which restic
looks for them, ``RESTIC_REST_PASSWORD`` and ``RESTIC_PASSWORD``, and nowhere else: a URL stands in the journal and on command lines.
"""

from __future__ import annotations

import hashlib
import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, unquote, urlsplit

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.loader import other_variable
from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.errors import OperationError, TargetError, UsageError
from seatrial.targets.attached import Attached
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.outcomes import translated
from seatrial.targets.embedded.repository.repository import initialise
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.embedded.shared import SharedRepositories
from seatrial.targets.protocols import Access, ListedSnapshot, Surroundings

USER, PASSWORD, REPOSITORY_PASSWORD = "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD", "RESTIC_PASSWORD"
_WHERE = "--server"
_EXAMPLE = "say https://user@host:8000/path/?fingerprint=<SHA-256 of the certificate>"
_CONNECT_S, _SETUP_S = 5.0, 60.0
_FINGERPRINT_DIGITS = 64
_WHY = "others may be using this repository, and it is not seatrial's to lock them out"


def access_of(server: str) -> Access:
    """All that a client needs, out of the URL and the environment. Raises ``UsageError``; asks the server only where its certificate is
    not pinned, to say which one it has."""
    parts = urlsplit(server.removeprefix("rest:"))
    try:
        port = parts.port or 443
    except ValueError as error:
        raise UsageError(f"{error}", where=_WHERE, remedy=_EXAMPLE) from error
    if parts.password is not None:
        raise UsageError("a password in the URL would stand in the journal and on the command line", where=_WHERE, remedy=f"set {PASSWORD}")
    if parts.scheme != "https" or not parts.hostname:
        raise UsageError(f"{server!r} is no https URL of a repository", where=_WHERE, remedy=_EXAMPLE)
    passwords = {name: other_variable(name) for name in (PASSWORD, REPOSITORY_PASSWORD)}
    for name, value in passwords.items():
        if not value:
            raise UsageError(f"{name} is not set", where=_WHERE, remedy="the server's password and the repository's come by environment")
    return Access(
        url=f"https://{parts.netloc.rpartition('@')[2]}{parts.path or '/'}",
        fingerprint=_pinned(parse_qs(parts.query).get("fingerprint", [""])[0], parts.hostname, port),
        user=unquote(parts.username or "") or other_variable(USER),
        password=passwords[PASSWORD],
        repository_password=passwords[REPOSITORY_PASSWORD],
    )


def _pinned(given: str, host: str, port: int) -> str:
    fingerprint = given.replace(":", "").lower()
    if len(fingerprint) == _FINGERPRINT_DIGITS and not fingerprint.strip("0123456789abcdef"):
        return fingerprint
    if fingerprint:
        raise UsageError(f"{given!r} is no SHA-256 in hex", where=_WHERE, remedy=_EXAMPLE)
    try:
        presented = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, port), timeout=_CONNECT_S))
    except (OSError, ValueError) as error:
        raise UsageError(f"{host}:{port} does not answer as an https server does: {error}", where=_WHERE, remedy=_EXAMPLE) from error
    digest = hashlib.sha256(presented).hexdigest()
    raise UsageError(
        "the server's certificate is not pinned", where=_WHERE, remedy=f"if it is the one you trust, add ?fingerprint={digest} to the URL"
    )


class AttachedServer(Attached):
    """``targets.protocols.Server`` for such a server. All clients act as the one user that we were given.

    Nothing is started, stopped, unlocked or collected there; what is deleted, the clients delete. Threading: any thread; listings are
    made one at a time by the harness.
    """

    absent: Mapping[ActionName, str] = MappingProxyType(
        {ActionName.GC: _WHY, ActionName.VERIFY_REPOSITORY: _WHY, ActionName.REMOVE_CLIENT: "the user is not seatrial's to remove"}
    )

    def __init__(self, around: Surroundings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(access_of(around.preset.server), around.emit)
        self._clock = clock
        self._home = around.base / "attached"
        self._observer = EmbeddedClient(around, self._home, SharedRepositories())
        """Lists for the harness, and shares nothing with the clients."""

    def connect_or_create_repo(self, _repo_path: Path) -> None:
        """Open the repository there, or make one where nothing is. ``TargetError`` where the server does not let us in."""
        ctx = Context(clock=self._clock).within(_SETUP_S)
        try:
            self._make_unless_there(ctx)
            self._home.mkdir(mode=0o700, exist_ok=True)
            self._observer.connect(ctx, self._access)
        except OperationError as error:
            raise TargetError(
                f"the server does not let us in: {error.what}",
                where=self._access.url,
                remedy=f"check the URL, the fingerprint, {PASSWORD} and {REPOSITORY_PASSWORD}",
            ) from error
        self._tell_ready()

    def _make_unless_there(self, ctx: Context) -> None:
        store = RestStore(self._access)
        try:
            with translated():
                if store.size(ctx, Kind.CONFIG, "") is None:
                    store.create(ctx)
                    if store.entries(ctx, Kind.KEY):
                        raise TargetError(
                            "there are keys and no repository: what it was is for its owner to say",
                            where=self._access.url,
                            remedy="name an empty place, or a repository",
                        )
                    initialise(ctx, store, self._access.repository_password)
        finally:
            store.close()

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        self._observer.drop_caches()
        return self._observer.list(ctx)

    def cleanup(self) -> None:
        """Leave; the server stays."""
        self._observer.cleanup()
        shutil.rmtree(self._home, ignore_errors=True)
