"""A node's log: every record carries the component and the node's id."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

_silent = logging.Logger("seatrial.cluster.silent")
_silent.addHandler(logging.NullHandler())
_silent.disabled = True


class NodeLog(logging.LoggerAdapter[logging.Logger]):
    """Adds ``component`` and ``node_id`` to what a call gives as ``extra``; silent without a logger. Threading: any thread."""

    def __init__(self, logger: logging.Logger | None, node_id: Callable[[], str]) -> None:
        super().__init__(logger or _silent)
        self._node_id = node_id

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {"component": "dist_memory", "node_id": self._node_id()} | dict(kwargs.get("extra") or {})
        return msg, kwargs
