"""Failure detection: probing members, asking others to probe, and forgetting the dead."""

from __future__ import annotations

import threading

from seatrial.cluster.attempts import attempt
from seatrial.cluster.core import NodeCore
from seatrial.cluster.node import Node, NodeState
from seatrial.cluster.transport import Transport


class Detector:
    """The prober of one node. Threading: any thread; ``_ticking`` lets one tick run at a time."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._ticking = threading.Lock()

    def tick(self) -> None:
        """Probe the members, or a sample of them. Does nothing without a transport."""
        core = self._core
        transport = core.transport
        if transport is None:
            return
        with self._ticking:
            now = core.clock.monotonic_s()
            peers = [node for node in core.membership.list() if node.id != core.id]
            sample = core.options.heartbeat_sample
            for peer in core.draws.sample(peers, sample) if 0 < sample < len(peers) else peers:
                if core.lifecycle.is_set():
                    return
                self._check(transport, peer, now)

    def reachable_through_others(self, target: str) -> bool:
        """Whether one of up to k other live members reaches ``target``."""
        core = self._core
        transport = core.transport
        if transport is None or core.options.indirect_probe_k <= 0:
            return False
        relays = [node.id for node in core.membership.list() if node.state == NodeState.ALIVE and node.id not in (core.id, target)]
        timeout = core.options.indirect_probe_timeout
        if timeout <= 0:
            timeout = core.options.heartbeat_interval / 2
        for relay in core.draws.sample(relays, min(core.options.indirect_probe_k, len(relays))):
            _, error = attempt(transport.indirect_health, relay, target, timeout if timeout > 0 else None)
            core.counters.add("indirect_probe_failure" if error else "indirect_probe_success")
            if error is None:
                return True
        return False

    def _check(self, transport: Transport, peer: Node, now: float) -> None:
        core, options = self._core, self._core.options
        elapsed = now - peer.last_seen
        if 0 < options.heartbeat_dead_after < elapsed:
            self._prune(peer, elapsed)
            return
        if 0 < options.heartbeat_suspect_after < elapsed and peer.state == NodeState.ALIVE:
            self._suspect(peer.id, "peer marked suspect (timeout)")
        timeout = options.heartbeat_interval / 2 if options.heartbeat_interval > 0 else None
        _, error = attempt(transport.health, peer.id, timeout)
        if error is None:
            core.counters.add("heartbeat_success")
            core.membership.mark(peer.id, NodeState.ALIVE)
            return
        core.counters.add("heartbeat_failure")
        if self.reachable_through_others(peer.id):
            core.counters.add("indirect_probe_refuted")
            core.log.info("peer probe refuted by indirect probe", extra={"peer_id": peer.id})
            core.membership.mark(peer.id, NodeState.ALIVE)
            return
        current = core.membership.get(peer.id)
        if current is not None and current.state == NodeState.ALIVE:
            self._suspect(peer.id, "peer marked suspect (probe failed)")

    def _suspect(self, peer_id: str, why: str) -> None:
        core = self._core
        if core.membership.mark(peer_id, NodeState.SUSPECT):
            core.counters.add("nodes_suspect")
            core.log.info(why, extra={"peer_id": peer_id})

    def _prune(self, peer: Node, elapsed: float) -> None:
        core = self._core
        if core.membership.remove(peer.id):
            core.counters.add("nodes_removed")
            core.counters.add("nodes_dead")
            extra = {"peer_id": peer.id, "peer_addr": peer.address, "elapsed_since_seen": elapsed}
            core.log.warning("peer pruned (dead)", extra=extra)
