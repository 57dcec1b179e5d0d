"""TLS between nodes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """PEM files, and whom to trust: ``cafile`` None trusts the system's authorities.

    ``require_client_cert`` admits only clients whose certificate ``cafile`` vouches for. ``server_hostname`` is the name expected in peers'
    certificates where it is not their address.
    """

    certfile: str
    keyfile: str
    cafile: str | None = None
    require_client_cert: bool = False
    server_hostname: str | None = None

    def server_context(self) -> ssl.SSLContext:
        """For the listener; TLS 1.2 or newer, HTTP/1.1 only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._common(context)
        if self.require_client_cert:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """For calls to peers; presents this node's own certificate."""
        context = ssl.create_default_context(cafile=self.cafile)
        self._common(context)
        return context

    def _common(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.certfile, self.keyfile)
        if self.cafile:
            context.load_verify_locations(self.cafile)
