"""A member of the cluster: identity, state, incarnation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from seatrial.clock import SYSTEM_CLOCK
from seatrial.cluster.errors import InvalidAddressError
from seatrial.cluster.hashing import node_id_for

NodeID = str


class NodeState(IntEnum):
    """What is believed of a member; ``str`` is its word on the wire."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> NodeState:
        """The state of a word; ALIVE for one that is not known."""
        return _STATES.get(text, cls.ALIVE)


_STATES = {str(state): state for state in NodeState}


@dataclass(slots=True)
class Node:
    """One member. Mutable: the membership that holds it is its owner and guards it.

    ``address`` is host:port; ``last_seen`` is in seconds of the monotonic clock.
    """

    id: str
    address: str
    state: NodeState = NodeState.ALIVE
    incarnation: int = 1
    last_seen: float = field(default_factory=SYSTEM_CLOCK.monotonic_s)

    @classmethod
    def new(cls, id: str, address: str) -> Node:  # noqa: A002 - the field's name
        """A live node of incarnation 1; an empty id is derived from the address, which is not checked."""
        return cls(id or node_id_for(address), address)

    def validate(self) -> None:
        """Raises InvalidAddressError unless the address is host:port."""
        host, colon, port = self.address.rpartition(":")
        if not colon or not port or (":" in host and not (host.startswith("[") and host.endswith("]"))):
            raise InvalidAddressError(f"{InvalidAddressError.text}: {self.address!r}")

    def clone(self) -> Node:
        """An independent copy."""
        return replace(self)


@dataclass(frozen=True, slots=True)
class GossipMember:
    """A member as gossip carries it; ``state`` is the state's word."""

    id: str
    address: str
    state: str
    incarnation: int

    @classmethod
    def of(cls, node: Node) -> GossipMember:
        """What to tell of ``node``."""
        return cls(node.id, node.address, str(node.state), node.incarnation)


def parse_seed_spec(raw: str) -> tuple[str, str]:
    """``id@address`` or ``address`` as (id, address); the first ``@`` divides, and without one the id is empty."""
    before, at, after = raw.partition("@")
    return (before, after) if at else ("", raw)
