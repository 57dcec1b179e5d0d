"""What each client did and what befell it, out of the records as they pass by."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from seatrial.history.events import ClientJoined, ClientLeft, Finding, Invoke, Record, Recovered, Resolved, Result
from seatrial.verdicts import Outcome
from seatrial_tui.source.moment import TimelineRow

KEPT_IN_TOTAL = 50_000
"""Rows of all clients; one row is about 250 bytes."""
KEPT_PER_CLIENT = 500
KEPT_AT_LEAST = 20
"""Of each client, however many there are."""
KEPT_UNKNOWN = 10_000
"""Operations whose outcome is unknown, to say of whom it is when they are resolved."""


class Timelines:
    """Rows by client, bounded by the number of clients there are. Threading: one owner."""

    def __init__(self) -> None:
        self._clients: dict[str, OrderedDict[str, TimelineRow]] = {}
        self._unknown: OrderedDict[str, str] = OrderedDict()

    def of(self, client: str) -> Sequence[TimelineRow]:
        """The newest first; none for a client nobody heard of."""
        rows = self._clients.get(client)
        return tuple(reversed(rows.values())) if rows else ()

    def apply(self, record: Record) -> None:
        """Take one record, in ``seq`` order."""
        event = record.event
        if isinstance(event, Invoke):
            self._put(event.client, event.op, _begun(event, record.at_ns))
        elif isinstance(event, Result):
            self._returned(event, record.at_ns)
        elif isinstance(event, ClientJoined | ClientLeft):
            self._befell(event.client, record, TimelineRow(at_ns=record.at_ns, action=_kind(event)))
        elif isinstance(event, Recovered):
            said = "its disk was full: emptied its data directory, restored a snapshot" if event.snapshot else "emptied its full disk"
            self._befell(event.client, record, TimelineRow(at_ns=record.at_ns, action=_kind(event), snapshot=event.snapshot, message=said))
        elif isinstance(event, Resolved):
            self._resolved(event, record)
        elif isinstance(event, Finding):
            row = TimelineRow(
                at_ns=record.at_ns, action=_kind(event), snapshot=event.snapshot, cause=event.damage or event.check, message=event.message
            )
            for client in {event.client, event.owner}:
                self._befell(client, record, row)

    def _returned(self, event: Result, at_ns: int) -> None:
        rows = self._clients.get(event.client)
        begun = rows.get(event.op) if rows else None
        # What found nothing to act on returns without having begun.
        began_ns = begun.at_ns if begun else at_ns - int(event.service_s * 1e9)
        self._put(
            event.client,
            event.op,
            TimelineRow(
                at_ns=began_ns,
                op=event.op,
                action=event.action,
                snapshot=event.snapshot or (begun.snapshot if begun else ""),
                outcome=event.outcome,
                noop=event.noop,
                cause=event.error.cause if event.error else "",
                message=event.error.message if event.error else "",
                service_s=event.service_s,
                queue_s=event.queue_s,
                bytes=event.bytes,
                files=event.files,
            ),
        )
        if event.outcome is Outcome.UNKNOWN:
            self._unknown[event.op] = event.client
            if len(self._unknown) > KEPT_UNKNOWN:
                self._unknown.popitem(last=False)

    def _resolved(self, event: Resolved, record: Record) -> None:
        row = TimelineRow(
            at_ns=record.at_ns,
            action=_kind(event),
            snapshot=event.snapshot,
            outcome=event.outcome,
            message=f"operation {event.op}: {event.how}",
        )
        self._befell(self._unknown.pop(event.op, ""), record, row)

    def _befell(self, client: str, record: Record, row: TimelineRow) -> None:
        # No operation is called like this, so that the two kinds of rows never meet.
        self._put(client, f"seq {record.seq}", row)

    def _put(self, client: str, key: str, row: TimelineRow) -> None:
        if not client:
            return
        rows = self._clients.get(client)
        if rows is None:
            rows = self._clients[client] = OrderedDict()
        rows[key] = row
        kept = max(KEPT_AT_LEAST, min(KEPT_PER_CLIENT, KEPT_IN_TOTAL // len(self._clients)))
        while len(rows) > kept:
            rows.popitem(last=False)


def _begun(event: Invoke, at_ns: int) -> TimelineRow:
    return TimelineRow(at_ns=at_ns, op=event.op, action=event.action, snapshot=event.snapshot, queue_s=event.queue_s)


def _kind(event: msgspec.Struct) -> str:
    """The word on disk."""
    return str(event.__struct_config__.tag)
