"""A kopia repository server that is there already: spoken to as one of its users, never started, stopped or maintained."""

from __future__ import annotations

import shutil
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
from seatrial.targets.kopia.client import KopiaClient
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import Access, ListedSnapshot, Surroundings

_WHERE = "--server"
_EXAMPLE = "say https://user%40host@address:51515?fingerprint=<SHA-256 of the certificate>"
_PASSWORD, _FINGERPRINT = "KOPIA_PASSWORD", "KOPIA_SERVER_CERT_FINGERPRINT"
_WHY = "only on the server's own side, which is not ours"
_LIMIT_S = 60.0


def access_of(server: str) -> Access:
    """Out of the URL: address, user (``user@host``, the ``@`` as ``%40``) and, as ``?fingerprint=``, the certificate's SHA-256.

    The password is in ``KOPIA_PASSWORD``, where kopia itself looks for it, and nowhere else: a URL stands in the journal. The
    fingerprint may be in ``KOPIA_SERVER_CERT_FINGERPRINT``; without one the certificate must be one that the system trusts. Raises
    ``UsageError``.
    """
    parts = urlsplit(server)
    user = unquote(parts.username or "")
    if parts.scheme != "https" or not parts.hostname or user.count("@") != 1:
        raise UsageError(f"{server!r} is no kopia server with a user", where=_WHERE, remedy=_EXAMPLE)
    if parts.password is not None:
        raise UsageError("a password in the URL would stand in the journal", where=_WHERE, remedy=f"set {_PASSWORD} instead")
    if not (password := other_variable(_PASSWORD)):
        raise UsageError(f"the password of {user} is missing", where=_WHERE, remedy=f"set {_PASSWORD}")
    fingerprint = parse_qs(parts.query).get("fingerprint", [""])[0] or other_variable(_FINGERPRINT)
    return Access(
        url=f"https://{parts.netloc.rpartition('@')[2]}",
        fingerprint=fingerprint.replace(":", "").lower(),
        user=user,
        password=password,
        repository_password="",
    )


class AttachedKopiaServer(Attached):
    """``targets.protocols.Server`` over one user of a server that is not ours: all clients are this user, each with a source of its own.

    Threading: any thread; listings are made one at a time by the harness.
    """

    absent: Mapping[ActionName, str] = MappingProxyType(
        {ActionName.GC: _WHY, ActionName.VERIFY_REPOSITORY: _WHY, ActionName.REMOVE_CLIENT: "users are added and removed " + _WHY}
    )

    def __init__(self, around: Surroundings, found: Found, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(access_of(around.preset.server), around.emit)
        self._clock = clock
        self._home = around.base / "attached"
        self._observer = KopiaClient(around, found, self._home, clock)
        """Lists for the harness, with a connection of its own."""

    def connect_or_create_repo(self, _repo_path: Path) -> None:
        """See that the server answers and knows the user."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._observer.connect(Context(clock=self._clock).within(_LIMIT_S), self._access)
        except OperationError as error:
            remedy = f"check the URL, {_PASSWORD} and the fingerprint"
            raise TargetError(f"the server does not let us in: {error.what}", where=self._access.url, remedy=remedy) from error
        self._tell_ready()

    def snapshot_ids(self, ctx: Context) -> list[ListedSnapshot]:
        return self._observer.list(ctx)

    def drop_caches(self, ctx: Context) -> None:
        """Its cache is out of reach: what it has lost may still come out of it."""
        self._observer.drop_caches()

    def cleanup(self) -> None:
        self._observer.cleanup()
        shutil.rmtree(self._home, ignore_errors=True)
