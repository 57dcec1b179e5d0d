"""Listing keys of the whole cluster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from seatrial.cluster.attempts import side_by_side
from seatrial.cluster.core import NodeCore
from seatrial.cluster.node import NodeState
from seatrial.cluster.patterns import build_key_matcher

DEFAULT_MAX_RESULTS = 10_000


@dataclass(frozen=True, slots=True)
class ListKeysResult:
    """Sorted keys; whether there are more; the ids of members that could not be asked."""

    keys: list[str]
    truncated: bool
    partial_nodes: list[str]


def list_keys(core: NodeCore, pattern: str, max_results: int) -> ListKeysResult:
    """Ask all live members at once; the smallest ``max_results`` keys. Raises BadPatternError before anybody is asked."""
    matches = build_key_matcher(pattern)
    limit = max_results if max_results > 0 else DEFAULT_MAX_RESULTS
    keys = {key for key in core.shards.keys() if matches(key)}  # noqa: SIM118 - not a dict
    peers = [node.id for node in core.membership.list() if node.state == NodeState.ALIVE and node.id != core.id]
    transport = core.transport
    if transport is None:
        missing = peers
    else:
        missing = []
        for index, found, error in side_by_side([partial(transport.list_keys, peer, pattern) for peer in peers]):
            if error is not None:
                missing.append(peers[index])
            keys.update(found or ())
    ordered = sorted(keys)
    return ListKeysResult(ordered[:limit], len(ordered) > limit, sorted(missing))
