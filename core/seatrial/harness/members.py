"""The clients of the chaos phase: who acts, who has done, who leaves, and what was asked of each."""

from __future__ import annotations

import threading
from enum import Enum, auto

from seatrial.context import Context, unwrap_context
from seatrial.errors import UsageError
from seatrial.history.tallies import pet_name

CLIENTS_MAX = 10_000
"""As many as a preset may ask for."""
_NAMED = 10
"""Of the clients that a name may mean."""


class Stage(Enum):
    """Of a client's way through the phase."""

    JOINS = auto()
    """It was added and has yet to be connected."""
    ACTS = auto()
    DONE = auto()
    """It has no actions left; it stays for the phases to come."""
    LEAVES = auto()
    """It goes as soon as its action under way has ended."""
    GONE = auto()


class Member:
    """One client. ``stage`` and ``snapshot_asked`` are guarded by the lock of ``Members``."""

    __slots__ = ("ctx", "newcomer", "snapshot_asked", "stage")

    def __init__(self, ctx: Context, *, newcomer: bool) -> None:
        self.ctx, self.newcomer = ctx, newcomer
        self.stage, self.snapshot_asked = Stage.JOINS if newcomer else Stage.ACTS, False


class Members:
    """Threading: any thread; ``_lock`` guards all fields and those of the members. Requests are refused with a ``UsageError``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[str, Member] = {}
        self._closed = False

    # -- what is asked from outside

    def find(self, name: str) -> str:
        """The id of the one client that ``name`` means: an id, a pet name, or a beginning of either that no other has."""
        with self._lock:
            self._check_open()
            here = [client for client, member in self._members.items() if member.stage is not Stage.GONE]
        found = [client for client in here if name in (client, pet_name(client))]
        found = found or [client for client in here if name and client.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{name!r} may mean {len(found)} clients: {_listing(found)}", remedy="give more of its name")
        raise UsageError(f"no client is called {name!r}", remedy=f"there are {_listing(here)}")

    def check_room(self) -> None:
        """Refuse one client more than there may be."""
        with self._lock:
            self._check_open()
            if sum(member.stage is not Stage.GONE for member in self._members.values()) >= CLIENTS_MAX:
                raise UsageError(f"there are {CLIENTS_MAX} clients already", remedy="remove one first")

    def ask_snapshot(self, client: str, *, check_only: bool = False) -> None:
        """At its next turn. ``check_only``: refuse what would be refused, change nothing."""
        with self._lock:
            member = self._acting(client)
            if member.snapshot_asked:
                raise UsageError(f"{pet_name(client)} has yet to take the snapshot that was asked for before", remedy="ask again later")
            member.snapshot_asked = not check_only

    def ask_to_leave(self, client: str, *, check_only: bool = False) -> None:
        """As soon as its action under way has ended; never the last one. ``check_only``: refuse what would be refused, change nothing."""
        with self._lock:
            member = self._acting(client)
            if not any(other is not member and other.stage in (Stage.ACTS, Stage.DONE) for other in self._members.values()):
                raise UsageError(f"{pet_name(client)} is the last client", remedy="add one first, or stop the run")
            if not check_only:
                member.stage = Stage.LEAVES

    # -- what the phase and the workers do

    def add(self, ctx: Context, *, newcomer: bool) -> None:
        with self._lock:
            self._members[unwrap_context(ctx).id] = Member(ctx, newcomer=newcomer)

    def of(self, ctx: Context) -> Member:
        with self._lock:
            return self._members[unwrap_context(ctx).id]

    def joined(self, member: Member) -> None:
        with self._lock:
            member.stage = Stage.ACTS

    def present(self) -> list[Context]:
        """Those that have joined and are not gone, in the order in which they came."""
        with self._lock:
            return [member.ctx for member in self._members.values() if member.stage not in (Stage.JOINS, Stage.GONE)]

    def close(self) -> None:
        """Nothing can be asked any more. Idempotent."""
        with self._lock:
            self._closed = True

    def take_snapshot_order(self, member: Member) -> bool:
        """Whether a snapshot was asked of it; once for each time."""
        with self._lock:
            asked, member.snapshot_asked = member.snapshot_asked, False
            return asked

    def leaves(self, member: Member) -> bool:
        with self._lock:
            return member.stage is Stage.LEAVES

    def done(self, member: Member) -> bool:
        """It has no actions left, and nothing more can be asked of it; False where there is a last snapshot to be taken."""
        with self._lock:
            if member.snapshot_asked:
                member.snapshot_asked = False
                return False
            if member.stage is Stage.ACTS:
                member.stage = Stage.DONE
            return True

    def gone(self, ctx: Context) -> None:
        with self._lock:
            self._members[unwrap_context(ctx).id].stage = Stage.GONE

    # -- with the lock held

    def _check_open(self) -> None:
        if self._closed or not self._members:
            raise UsageError("no client acts now", remedy="ask in the chaos phase")

    def _acting(self, client: str) -> Member:
        self._check_open()
        member = self._members[client]
        if member.stage is Stage.JOINS:
            raise UsageError(f"{pet_name(client)} has yet to join", remedy="ask again in a moment")
        if member.stage is Stage.DONE:
            raise UsageError(f"{pet_name(client)} has done all its actions", remedy="choose a client that still acts")
        if member.stage is not Stage.ACTS:
            raise UsageError(f"{pet_name(client)} leaves already", remedy="choose another client")
        return member


def _listing(clients: list[str]) -> str:
    names = ", ".join(pet_name(client) for client in clients[:_NAMED])
    return names + (f" and {len(clients) - _NAMED} more" if len(clients) > _NAMED else "")
