"""Requests by kind: counts as the server tells them, rates from several of its frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from seatrial.history.frames import Frame, ServerFrame

WINDOW_NS = 5_000_000_000
"""Rates are over so long: one second jumps, ten tell of what is past."""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request."""

    kind: str
    count: int
    """Since the server's start."""
    per_second: float | None
    """None where too little is known."""
    latency_s_p95: float | None


class _Told(NamedTuple):
    at_ns: int
    requests: dict[str, int]


class Requests:
    """Remembers what a server told over the last seconds.

    Owner: the pane. A frame from before the last one (somebody went back in time), a hole longer than the window and a server that
    counts anew make a new beginning.
    """

    def __init__(self) -> None:
        self._told: deque[_Told] = deque()
        self._rows: dict[str, RequestRow] = {}
        self.total = 0
        self.per_second: float | None = None
        """Of all kinds."""

    def tell(self, frame: Frame) -> Sequence[RequestRow]:
        """One row for each kind; the same object as before where nothing changed. ``frame`` has a ``server``."""
        server = frame.server or ServerFrame()
        self._remember(_Told(frame.at_ns, server.requests))
        before = self._told[0]
        past_s = (frame.at_ns - before.at_ns) / 1e9

        def rate(now: int, then: int) -> float | None:
            return (now - then) / past_s if past_s > 0 else None

        self.total = sum(server.requests.values())
        self.per_second = rate(self.total, sum(before.requests.values()))
        rows = {}
        for kind, count in server.requests.items():
            latency_ms = server.latency_ms_p95.get(kind)
            row = RequestRow(
                kind=kind,
                count=count,
                per_second=rate(count, before.requests.get(kind, 0)),
                latency_s_p95=None if latency_ms is None else latency_ms / 1000,
            )
            known = self._rows.get(kind)
            rows[kind] = known if known == row else row
        self._rows = rows
        return list(rows.values())

    def _remember(self, told: _Told) -> None:
        if self._told and told.at_ns == self._told[-1].at_ns:
            return
        if self._told and not self._goes_on(self._told[-1], told):
            self._told.clear()
        self._told.append(told)
        while told.at_ns - self._told[0].at_ns > WINDOW_NS:
            self._told.popleft()

    @staticmethod
    def _goes_on(last: _Told, told: _Told) -> bool:
        near = 0 < told.at_ns - last.at_ns <= WINDOW_NS
        return near and all(told.requests.get(kind, 0) >= count for kind, count in last.requests.items())
