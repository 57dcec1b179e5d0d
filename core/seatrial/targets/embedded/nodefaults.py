"""What a seed decides of the nodes' faults: which, in which order, and whom they strike. Pure."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Literal

import msgspec

from seatrial.config.model import EmbeddedSettings
from seatrial.seeds import stream

FaultName = Literal["stop-node", "drain-node", "split-nodes"]


class NodeFault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one node, or of several at once."""

    fault: FaultName
    nodes: tuple[str, ...]
    """By number."""


def planned_faults(settings: EmbeddedSettings, seed: int) -> tuple[NodeFault, ...]:
    """One after the other; no node is struck again before all others were."""
    draws = stream(seed, "nodes")
    numbers = cycle(draws.sample(range(1, settings.nodes + 1), settings.nodes))
    kinds: tuple[tuple[FaultName, int], ...] = (("stop-node", settings.stop_nodes), ("drain-node", settings.drain_nodes))
    faults = [NodeFault(fault=fault, nodes=(f"n{next(numbers)}",)) for fault, count in kinds for _ in range(count)]
    if settings.split_nodes:
        faults.append(NodeFault(fault="split-nodes", nodes=tuple(f"n{number}" for number in sorted(islice(numbers, settings.split_nodes)))))
    draws.shuffle(faults)
    return tuple(faults)
