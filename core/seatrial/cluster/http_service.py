"""A node's listener and the HTTP transport that it makes for itself."""

from __future__ import annotations

import threading

from seatrial.cluster.core import NodeCore
from seatrial.cluster.http_client import HTTPTransport
from seatrial.cluster.http_routes import Routes
from seatrial.cluster.http_server import Listener
from seatrial.cluster.peer_calls import PeerCalls


class HTTPService:
    """Owns the listener and the auto-created transport. Threading: any thread; ``_lock`` guards both."""

    def __init__(self, core: NodeCore, node: PeerCalls) -> None:
        self._core = core
        self._routes = Routes(core, node)
        self._lock = threading.Lock()
        self._listener: Listener | None = None
        self._transport: HTTPTransport | None = None

    def start(self) -> None:
        """Listen, and reach peers over HTTP unless another transport is set. A failure to bind is logged, and the node lives on."""
        core, options = self._core, self._core.options
        address = options.bind_address or core.address
        with self._lock:
            if self._listener is not None or not address or core.lifecycle.is_set():
                return
            try:
                self._listener = Listener(address, self._routes, options.http_limits)
            except (OSError, ValueError, OverflowError) as error:
                core.log.error("dist HTTP listener bind failed", extra={"addr": address, "err": str(error)})
                return
            if core.transport is None:
                self._transport = self._transport or HTTPTransport(
                    self._resolve, limits=options.http_limits, auth=options.http_auth, clock=core.clock
                )
                core.reach_through(self._transport)
        auth = bool(options.http_auth.token or options.http_auth.server_verify)
        core.log.info("dist HTTP listener started", extra={"addr": address, "tls": options.http_limits.tls is not None, "auth": auth})

    def stop_listening(self, timeout: float | None) -> None:
        """Free the port; the transport stays. Idempotent."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close(timeout, self._core.clock)

    def close(self, timeout: float | None) -> None:
        """Free the port and the pooled connections. Idempotent."""
        self.stop_listening(timeout)
        with self._lock:
            transport = self._transport
        if transport is not None:
            transport.close()

    def _resolve(self, node_id: str) -> str | None:
        node = self._core.membership.get(node_id) or (self._core.local if node_id == self._core.id else None)
        if node is None:
            return None
        return f"{'https' if self._core.options.http_limits.tls else 'http'}://{node.address}"
