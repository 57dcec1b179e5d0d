"""What is the same of every server that is there already: it is spoken to, and never started, stopped, maintained or administered."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.children import Child
from seatrial.config.model import GcOptions
from seatrial.context import Context
from seatrial.errors import HarnessError
from seatrial.history.events import ServerEvent
from seatrial.history.frames import CacheFrame, ServerFrame
from seatrial.targets.protocols import Access, EventSink, GcStats, Verification


class Attached:
    """The part of ``targets.protocols.Server`` in which such servers do not differ: all clients come as the one user that we were given.

    Threading: any thread; immutable.
    """

    def __init__(self, access: Access, emit: EventSink) -> None:
        self._access, self._emit = access, emit

    def restart(self) -> None:
        raise self._not_ours("started again")

    def authorize_client(self, _user: str) -> None:
        """It is the one user that we were given."""

    def remove_client(self, _user: str) -> None:
        """The user stays: there is but one."""

    def access(self, _user: str) -> Access:
        return self._access

    def run(self, *args: str) -> tuple[str, str]:
        raise self._not_ours(f"told to {' '.join(args)}")

    def run_gc(self, _ctx: Context, _options: GcOptions) -> GcStats:
        raise self._not_ours("cleaned up")

    def verify(self, _ctx: Context) -> Verification:
        raise self._not_ours("verified")

    def drop_caches(self, _ctx: Context) -> None:
        """What it caches is its own."""

    def server_cmd(self) -> Child | None:
        return None

    def server_fingerprint(self) -> str:
        return self._access.fingerprint

    def caches(self) -> Sequence[CacheFrame]:
        return ()

    def frame(self) -> ServerFrame | None:
        return None

    def cleanup(self) -> None:
        """Leave; the server stays."""

    def _tell_ready(self) -> None:
        self._emit(ServerEvent(state="ready", address=self._access.url, detail="attached: it was there before us and stays"))

    def _not_ours(self, what: str) -> HarnessError:
        return HarnessError(f"a server that is not ours cannot be {what}", where=self._access.url)
