"""How many actions at a time this machine stands."""

from __future__ import annotations

from seatrial.resources import available_memory_bytes, core_count
from seatrial.targets.protocols import Traits

PER_CORE = 8
MEMORY_SHARE = 0.5
"""Of what is available now; the rest is for the server, the page cache and everybody else."""


def actions_at_a_time(traits: Traits) -> int:
    """8 x cores, as long as so many clients at work fit into half of the available memory; at least one."""
    by_memory = int(available_memory_bytes() * MEMORY_SHARE) // max(1, traits.client_memory_bytes)
    return max(1, min(PER_CORE * core_count(), by_memory))
