"""Which client to look at, where the selection follows what happens."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.history.view import ClientRow

TROUBLE_HELD_S = 5.0
"""A client with which something went wrong stays in front so long, unless something goes wrong with another."""
STEP_S = 2.0
"""Else the selection moves no more often than this: faster, nobody could read."""


class Following:
    """Goes to where something went wrong last: a failure, an unknown outcome, a finding; while all is well, to what returned last.

    Threading: one owner.
    """

    def __init__(self, clients: Iterable[ClientRow]) -> None:
        """What went wrong before counts no more."""
        self._wrongs = {row.id: _wrongs(row) for row in clients}
        self._quiet_until_ns = 0

    def next(self, clients: Iterable[ClientRow], now_ns: int) -> str | None:
        """Id of the client to look at from now on; None to stay."""
        troubled = latest = None
        for row in clients:
            wrongs = _wrongs(row)
            if wrongs > self._wrongs.get(row.id, 0) and (troubled is None or row.last_ns >= troubled.last_ns):
                troubled = row
            self._wrongs[row.id] = wrongs
            if row.last_ns and (latest is None or row.last_ns > latest.last_ns):
                latest = row
        if troubled is not None:
            return self._go(troubled, now_ns, TROUBLE_HELD_S)
        if latest is None or 0 <= self._quiet_until_ns - now_ns <= TROUBLE_HELD_S * 1e9:
            return None
        return self._go(latest, now_ns, STEP_S)

    def _go(self, row: ClientRow, now_ns: int, stay_s: float) -> str:
        self._quiet_until_ns = now_ns + int(stay_s * 1e9)
        return row.id


def _wrongs(row: ClientRow) -> int:
    return row.failed + row.unknown + row.findings
