"""The server's certificate as the program wants it: a file, with the one certificate in it whose fingerprint is known."""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.targets.private import write_private
from seatrial.targets.protocols import Access
from seatrial.verdicts import Outcome

_CONNECT_S = 5.0


def keep_certificate(ctx: Context, access: Access, file: Path) -> None:
    """Write the server's certificate to ``file`` (PEM), for ``--cacert``.

    ``OperationError``, FAILED: ``unreachable``, or ``denied`` where the server shows another one than ``access`` pins.
    """
    ctx.check()
    presented = _presented(ctx, access.url)
    digest = hashlib.sha256(presented).hexdigest()
    if digest != access.fingerprint:
        what = f"the server shows another certificate, with the fingerprint {digest}"
        raise OperationError(
            what, cause="denied", outcome=Outcome.FAILED, where=access.url, remedy=f"the one that is trusted has {access.fingerprint}"
        )
    write_private(file, ssl.DER_cert_to_PEM_cert(presented).encode())


def _presented(ctx: Context, url: str) -> bytes:
    """DER."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    looking = ssl.create_default_context()
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE  # it is looked at, not trusted
    limit_s = max(0.1, min(_CONNECT_S, ctx.remaining_s(_CONNECT_S)))
    try:
        with socket.create_connection((host, port), timeout=limit_s) as plain, looking.wrap_socket(plain, server_hostname=host) as tls:
            return tls.getpeercert(binary_form=True) or b""
    except OSError as error:
        what = f"no TLS connection: {error}"
        raise OperationError(what, cause="unreachable", outcome=Outcome.FAILED, where=f"{host}:{port}") from error
