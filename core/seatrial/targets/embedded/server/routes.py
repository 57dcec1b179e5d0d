"""What a request's target means. Nothing but the fixed words and 64 hex digits passes, so no name can reach outside the repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from seatrial.targets.embedded.server.config import USER_NAME
from seatrial.targets.embedded.server.store import BlobType


class Place(Enum):
    """What a target names."""

    REPOSITORY = "repository"
    LIST = "list"
    BLOB = "blob"
    STATUS = "status"
    USER = "user"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Route:
    """A target, understood."""

    place: Place
    blob_type: BlobType = BlobType.CONFIG
    name: str = ""
    """Of the blob (empty for the config), of the user or of the node."""
    create: bool = False
    """``?create=true``."""

    @property
    def label(self) -> str:
        """For statistics: the type of blob, or the place."""
        return self.blob_type.value if self.place in (Place.BLOB, Place.LIST) else self.place.value


class BadTarget(Exception):
    """A target that no honest client sends."""


CONTROL_PREFIX = "/.seatrial"
_ODD = re.compile(r"[^A-Za-z0-9._@+/?=-]|//|/\.\.?(/|$|\?)")
"""Also every percent sign: no name of ours needs one, so there is nothing to decode and nothing to decode twice."""
_LISTED = "|".join(t.value for t in BlobType if t is not BlobType.CONFIG)
_BLOB = re.compile(rf"/(?:(?P<config>config)|(?P<type>{_LISTED})/(?P<name>[0-9a-f]{{64}})?)")
_USER = re.compile(rf"/users/(?P<user>{USER_NAME.strip('^$')})")
_NODE = re.compile(r"/nodes/(?P<node>n[0-9]{1,3})")
_TYPES = {t.value: t for t in BlobType}


class Routes:
    """Targets of the server that serves the repository ``name``. Threading: immutable."""

    def __init__(self, name: str) -> None:
        self._prefix = f"/{name}"

    def route(self, target: str) -> Route | None:
        """What ``target`` names; None for nothing here. Raises ``BadTarget``."""
        if not target.startswith("/") or _ODD.search(target):
            raise BadTarget
        path, _, query = target.partition("?")
        if query:
            return Route(Place.REPOSITORY, create=True) if (path, query) == (self._prefix + "/", "create=true") else None
        if path.startswith(CONTROL_PREFIX + "/"):
            return self._control(path[len(CONTROL_PREFIX) :])
        if not path.startswith(self._prefix + "/"):
            return None
        rest = path[len(self._prefix) :]
        if rest == "/":
            return Route(Place.REPOSITORY)
        found = _BLOB.fullmatch(rest)
        if not found:
            return None
        if found["config"]:
            return Route(Place.BLOB)
        blob_type = _TYPES[found["type"]]
        return Route(Place.BLOB, blob_type, found["name"]) if found["name"] else Route(Place.LIST, blob_type)

    @staticmethod
    def _control(rest: str) -> Route | None:
        if rest == "/status":
            return Route(Place.STATUS)
        if found := _NODE.fullmatch(rest):
            return Route(Place.NODE, name=found["node"])
        found = _USER.fullmatch(rest)
        return Route(Place.USER, name=found["user"]) if found else None
