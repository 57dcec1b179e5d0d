"""What the cluster refuses or fails at. ``str(error)`` is exactly the text that peers and tests compare."""

from __future__ import annotations

from seatrial.errors import SeatrialError


class ClusterError(SeatrialError):
    """Root of the cluster's errors; ``text`` is the class's own text."""

    text = "cluster error"

    def __init__(self, what: str = "") -> None:
        super().__init__(what or self.text)


class InvalidAddressError(ClusterError):
    """A node's address is empty or has no host and port."""

    text = "invalid node address"


class InvalidKeyError(ClusterError):
    """A key is empty or white space."""

    text = "invalid key"


class NilValueError(ClusterError):
    """A value is None."""

    text = "nil value"


class InvalidExpirationError(ClusterError):
    """An expiration is below zero; the item's has been reset to 0."""

    text = "expiration cannot be negative"


class NotOwnerError(ClusterError):
    """Nobody owns the key, or this node does not and cannot reach who does."""

    text = "not ring owner"


class QuorumFailedError(ClusterError):
    """Too few owners acknowledged a write; what was written stays, and hints for the others are queued."""

    text = "consistency quorum not achieved"


class DrainingError(ClusterError):
    """The node takes no more writes of its own."""

    text = "dist node is draining"


class TransportError(ClusterError):
    """A peer could not be asked."""

    text = "transport failed"


class BackendNotFoundError(TransportError):
    """The transport knows no such peer, or the peer answered 404."""

    text = "backend not found"


class NoTransportError(TransportError):
    """The operation needs a transport and the node has none."""

    text = "no transport"


class ChaosDropError(TransportError):
    """Chaos swallowed the call."""

    text = "dist transport: chaos drop"


class ResponseTooLargeError(TransportError):
    """A peer's answer is above the response limit."""

    text = "response body exceeds the limit"


class UnauthorizedError(ClusterError):
    """A request's bearer token or signature is not accepted."""

    text = "unauthorized"


class InsecureAuthConfigError(ClusterError):
    """Requests would be signed, yet anybody's would be accepted."""

    text = "client_sign without token or server_verify accepts anonymous requests; set one, or allow_anonymous_inbound"


class BadPatternError(ValueError, ClusterError):
    """A glob pattern is malformed."""

    text = "list-keys: invalid glob pattern"

    def __init__(self, why: str) -> None:
        ClusterError.__init__(self, f"{self.text}: {why}")
