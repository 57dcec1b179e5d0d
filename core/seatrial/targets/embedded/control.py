"""The administrator's side of the server's control path: users, nodes and status."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import msgspec
import urllib3

from seatrial.errors import OperationError
from seatrial.history.frames import ServerFrame
from seatrial.targets.embedded.server.config import NodeOrder
from seatrial.targets.embedded.server.routes import CONTROL_PREFIX
from seatrial.targets.embedded.server.users import digest_of
from seatrial.targets.protocols import Access
from seatrial.verdicts import Outcome

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_STATUS_TIMEOUT = urllib3.Timeout(total=0.9)
"""A frame may not take longer than a second."""
_CONNECTIONS = 4


class Control:
    """Speaks to one server as its administrator, with the certificate pinned. Threading: any thread."""

    def __init__(self, access: Access) -> None:
        parts = urlsplit(access.url)
        self._where = f"{parts.hostname}:{parts.port}"
        self._headers = urllib3.make_headers(basic_auth=f"{access.user}:{access.password}")
        self._pool = urllib3.HTTPSConnectionPool(
            parts.hostname or "",
            parts.port,
            maxsize=_CONNECTIONS,
            block=True,  # many threads share them; a further connection would be made and thrown away
            cert_reqs="CERT_NONE",  # the pin below is stricter than any authority
            assert_fingerprint=access.fingerprint,
            retries=False,
        )

    def put_user(self, user: str, password: str) -> None:
        """Add ``user`` or change the password. Raises ``OperationError``."""
        self._call("PUT", f"/users/{quote(user, safe='')}", msgspec.json.encode({"password_sha256": digest_of(password)}))

    def delete_user(self, user: str) -> None:
        """Forget ``user`` and cut its connections; an unknown one is fine. Raises ``OperationError``."""
        self._call("DELETE", f"/users/{quote(user, safe='')}")

    def order_node(self, name: str, wanted: NodeOrder) -> None:
        """Have a node of the server's cluster be as ``wanted``; returns while it is on its way. Raises ``OperationError``."""
        self._call("PUT", f"/nodes/{name}", msgspec.json.encode({"wanted": wanted}))

    def status(self, *, patient: bool = False) -> ServerFrame:
        """What the server tells of itself; within a second, unless ``patient``. Raises ``OperationError``."""
        data = self._call("GET", "/status", timeout=_TIMEOUT if patient else _STATUS_TIMEOUT)
        try:
            return msgspec.json.decode(data, type=ServerFrame)
        except msgspec.MsgspecError as error:
            raise OperationError(f"the server's status cannot be read: {error}", cause="protocol", where=self._where) from error

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._pool.close()

    def _call(self, method: str, path: str, body: bytes | None = None, timeout: urllib3.Timeout = _TIMEOUT) -> bytes:
        try:
            answer = self._pool.request(method, CONTROL_PREFIX + path, body=body, headers=self._headers, timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            raise OperationError(f"the server does not answer: {error}", cause="unreachable", where=self._where) from error
        if answer.status != 200:
            said = answer.data.decode(errors="backslashreplace").strip()
            raise OperationError(f"{method} {path}: {answer.status} {said}", cause="refused", outcome=Outcome.FAILED, where=self._where)
        return answer.data
