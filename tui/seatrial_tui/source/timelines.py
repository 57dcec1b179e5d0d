"""What each client did and what befell it, out of the records as they pass by."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from sys import intern
from typing import Any

import msgspec

from seatrial.history.events import ClientJoined, ClientLeft, Finding, Invoke, Record, Recovered, Resolved, Result
from seatrial.verdicts import Outcome
from seatrial_tui.source.moment import TimelineRow

KEPT_IN_TOTAL = 20_000
"""Rows of all clients; one row is about 700 bytes."""
KEPT_PER_CLIENT = 500
KEPT_AT_LEAST = 20
"""Of each client, however many there are."""
KEPT_UNKNOWN = 10_000
"""Operations whose outcome is unknown, to say of whom it is when they are resolved."""

_Rows = OrderedDict[str, TimelineRow]
_Packed = dict[str, list[tuple[str, TimelineRow]]]


class Timelines:
    """Rows by client, fewer of each the more clients there are. Threading: one owner."""

    def __init__(self) -> None:
        self._clients: dict[str, _Rows] = {}
        self._kept = KEPT_PER_CLIENT
        self._unknown: OrderedDict[str, str] = OrderedDict()
        self._handlers = self._make_handlers()

    def of(self, client: str) -> Sequence[TimelineRow]:
        """The newest first; none for a client nobody heard of."""
        rows = self._clients.get(client)
        return tuple(reversed(rows.values())) if rows else ()

    def apply(self, record: Record) -> None:
        """Take one record, in ``seq`` order."""
        handler = self._handlers.get(type(record.event))
        if handler is not None:
            handler(record.event, record)

    def __getstate__(self) -> tuple[bytes, OrderedDict[str, str]]:
        """The rows in one piece: pickled one by one they take ten times as long, and the interpreter with them."""
        packed: _Packed = {client: list(rows.items()) for client, rows in self._clients.items()}
        return msgspec.msgpack.encode(packed), self._unknown

    def __setstate__(self, state: tuple[bytes, OrderedDict[str, str]]) -> None:
        self.__init__()  # type: ignore[misc]  # what a new one has, then its contents
        self._clients = {client: OrderedDict(rows) for client, rows in msgspec.msgpack.decode(state[0], type=_Packed).items()}
        self._unknown = state[1]
        self._share_out()

    def _make_handlers(self) -> dict[type, Callable[[Any, Record], None]]:
        return {
            Invoke: self._begun,
            Result: self._returned,
            ClientJoined: self._came_or_went,
            ClientLeft: self._came_or_went,
            Recovered: self._recovered,
            Resolved: self._resolved,
            Finding: self._found,
        }

    def _begun(self, event: Invoke, record: Record) -> None:
        self._put(
            event.client,
            event.op,
            TimelineRow(at_ns=record.at_ns, op=event.op, action=intern(event.action), snapshot=event.snapshot, queue_s=event.queue_s),
        )

    def _returned(self, event: Result, record: Record) -> None:
        rows = self._clients.get(event.client)
        begun = rows.get(event.op) if rows else None
        row = TimelineRow(
            # What found nothing to act on returns without having begun.
            at_ns=begun.at_ns if begun else record.at_ns - int(event.service_s * 1e9),
            op=event.op,
            action=intern(event.action),
            snapshot=event.snapshot or (begun.snapshot if begun else ""),
            outcome=event.outcome,
            noop=event.noop,
            cause=intern(event.error.cause) if event.error else "",
            message=event.error.message if event.error else "",
            service_s=event.service_s,
            queue_s=event.queue_s,
            bytes=event.bytes,
            files=event.files,
        )
        self._put(event.client, event.op, row)
        if event.outcome is Outcome.UNKNOWN:
            self._unknown[event.op] = event.client
            if len(self._unknown) > KEPT_UNKNOWN:
                self._unknown.popitem(last=False)

    def _came_or_went(self, event: ClientJoined | ClientLeft, record: Record) -> None:
        self._befell(event.client, record, TimelineRow(at_ns=record.at_ns, action=_kind(event)))

    def _recovered(self, event: Recovered, record: Record) -> None:
        then = "restored a live snapshot into it" if event.snapshot else "no snapshot was live to restore"
        said = f"the disk was full: emptied its data directory, {then}"
        self._befell(event.client, record, TimelineRow(at_ns=record.at_ns, action=_kind(event), snapshot=event.snapshot, message=said))

    def _resolved(self, event: Resolved, record: Record) -> None:
        row = TimelineRow(
            at_ns=record.at_ns,
            action=_kind(event),
            snapshot=event.snapshot,
            outcome=event.outcome,
            message=f"operation {event.op}: {event.how}",
        )
        self._befell(self._unknown.pop(event.op, ""), record, row)

    def _found(self, event: Finding, record: Record) -> None:
        row = TimelineRow(
            at_ns=record.at_ns, action=_kind(event), snapshot=event.snapshot, cause=event.damage or event.check, message=event.message
        )
        for client in {event.client, event.owner}:
            self._befell(client, record, row)

    def _befell(self, client: str, record: Record, row: TimelineRow) -> None:
        # No operation is called like this, so that the two kinds of rows never meet.
        self._put(client, f"seq {record.seq}", row)

    def _put(self, client: str, key: str, row: TimelineRow) -> None:
        if not client:
            return
        rows = self._clients.get(client)
        if rows is None:
            rows = self._clients[client] = OrderedDict()
            self._share_out()
        rows[key] = row
        while len(rows) > self._kept:
            rows.popitem(last=False)

    def _share_out(self) -> None:
        self._kept = max(KEPT_AT_LEAST, min(KEPT_PER_CLIENT, KEPT_IN_TOTAL // max(1, len(self._clients))))


def _kind(event: msgspec.Struct) -> str:
    """The word on disk."""
    return str(event.__struct_config__.tag)
