"""Rows that grow older while nothing else about them changes: what is under way, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R")

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_STEP_S = 5


class Aged(NamedTuple, Generic[R]):
    """A row and how long it has been so."""

    row: R
    seconds: int
    """``coarse``; -1 where that is of no interest: such a row stays the same object."""


class Ages(Generic[R]):
    """Makes ``Aged`` rows, the same objects as before where neither row nor seconds differ. Threading: one owner."""

    def __init__(self, key: Callable[[R], str], since_ns: Callable[[R], int | None]) -> None:
        """``since_ns``: None for a row that does not age."""
        self._key, self._since_ns = key, since_ns
        self._known: dict[str, Aged[R]] = {}

    def at(self, rows: Iterable[R], now_ns: int) -> Sequence[Aged[R]]:
        """The rows at that moment."""
        before, known = self._known, dict[str, Aged[R]]()
        for row in rows:
            key, since_ns = self._key(row), self._since_ns(row)
            seconds = -1 if since_ns is None else coarse(max(0, now_ns - since_ns) // 1_000_000_000)
            aged = before.get(key)
            known[key] = aged if aged is not None and aged.row is row and aged.seconds == seconds else Aged(row, seconds)
        self._known = known
        return tuple(known.values())


def coarse(seconds: int) -> int:
    """As exactly as it is of interest: by the second for a minute, then in steps of 5, after an hour of a minute. Else 200 clients that
    wait would be 200 lines to paint each second.
    """
    step = 1 if seconds < _MINUTE_S else _STEP_S if seconds < _HOUR_S else _MINUTE_S
    return seconds // step * step


def lasting(seconds: int) -> str:
    """In six cells at most: ``45 s``, ``2m05s``, ``3h07m``, ``12d04h``; nothing for less than nothing."""
    if seconds < 0:
        return ""
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S}m{seconds % _MINUTE_S:02d}s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S}h{seconds % _HOUR_S // _MINUTE_S:02d}m"
    return f"{seconds // _DAY_S}d{seconds % _DAY_S // _HOUR_S:02d}h"
