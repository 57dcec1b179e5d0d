"""How many owners must answer, and what a peer says of a write."""

from __future__ import annotations

from enum import Enum

from seatrial.consistency import Consistency, required_acks

__all__ = ["ApplyResult", "Consistency", "required_acks"]


class ApplyResult(Enum):
    """What became of an item that a peer sent."""

    APPLIED = "applied"
    """Stored, or the same was there already."""
    STALE = "stale"
    """Something newer is there."""
    REFUSED = "refused"
    """The receiver is no owner by its own ring."""
