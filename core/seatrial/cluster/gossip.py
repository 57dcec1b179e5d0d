"""Gossip: telling one member what is believed of all, and judging what others tell."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from seatrial.cluster.attempts import attempt
from seatrial.cluster.core import NodeCore
from seatrial.cluster.node import GossipMember, Node, NodeState


class Gossip:
    """The gossiper of one node. Threading: any thread; ``_ticking`` lets one tick run at a time."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._ticking = threading.Lock()

    def tick(self) -> None:
        """Tell one random member."""
        core = self._core
        transport = core.transport
        members = core.membership.list()
        peers = [node.id for node in members if node.id != core.id]
        if transport is None or not peers:
            return
        with self._ticking:
            peer = core.draws.choice(peers)
            _, error = attempt(transport.gossip, peer, [GossipMember.of(node) for node in members])
            if error is not None:
                core.log.debug("gossip push failed", extra={"peer_id": peer, "err": str(error)})

    def accept(self, members: Iterable[Node | GossipMember]) -> None:
        """Take what is news; refute what is false of this node."""
        for member in members:
            state = member.state if isinstance(member, Node) else NodeState.parse(member.state)
            entry = Node(member.id, member.address, state, member.incarnation)
            if entry.id == self._core.id:
                self._defend(entry)
            elif not (entry.address and entry.address == self._core.local.address):  # else a ghost of this node
                for guessed in self._core.membership.learn(entry) or ():
                    self._core.hints.move(guessed, entry.id)

    def _defend(self, claim: Node) -> None:
        core = self._core
        if claim.state == NodeState.ALIVE or claim.incarnation < core.local.incarnation:
            return
        core.membership.refute(core.id, claimed=claim.incarnation)
        extra = {"claim_incarnation": claim.incarnation, "claim_state": str(claim.state)}
        core.log.info("self-refuted suspect/dead claim from peer", extra=extra)
