"""A line on each event of the cluster on which a server keeps its blobs."""

from __future__ import annotations

from seatrial.history.events import ClusterEvent, NodeEvent
from seatrial.report.prose import plain, plural


def cluster_line(event: NodeEvent | ClusterEvent) -> str:
    """Without time; on one line."""
    if isinstance(event, NodeEvent):
        return plain(f"node {event.node} {event.state}" + (f": {event.detail}" if event.detail else ""))
    if event.ring:
        return plain(f"cluster: {event.ring}")
    done = [
        plural(event.hints_queued, "hint") + " queued" if event.hints_queued else "",
        plural(event.hints_replayed, "hint") + " replayed" if event.hints_replayed else "",
        f"{event.hints_waiting:,} waiting" if event.hints_waiting else "",
        plural(event.repairs, "copy", "copies") + " repaired" if event.repairs else "",
        plural(event.pulled, "key") + " pulled" if event.pulled else "",
        plural(event.quorum_failures, "write") + " without a quorum" if event.quorum_failures else "",
    ]
    return f"cluster: {', '.join(filter(None, done)) or 'nothing'}"
