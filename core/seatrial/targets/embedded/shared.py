"""What the clients of one process know together of one repository: files that never change are read and parsed once.

Each client still sees only what the server listed for *it*; a client whose caches were dropped reads everything itself again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from weakref import WeakValueDictionary

from seatrial.targets.embedded.repository.index import IndexPool
from seatrial.targets.embedded.repository.locks import KnownLocks

KNOWN_SNAPSHOTS_MAX = 200_000


class KnownSnapshots:
    """The operation that made each snapshot read before. Threading: any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ops: OrderedDict[str, str] = OrderedDict()

    def get(self, name: str) -> str | None:
        with self._lock:
            return self._ops.get(name)

    def put(self, name: str, op: str) -> None:
        with self._lock:
            self._ops[name] = op
            if len(self._ops) > KNOWN_SNAPSHOTS_MAX:
                self._ops.popitem(last=False)


class Shared:
    """Of one repository. Lives as long as a client of it is connected. Threading: any thread."""

    def __init__(self) -> None:
        self.index = IndexPool()
        self.locks = KnownLocks()
        self.snapshots = KnownSnapshots()


class SharedRepositories:
    """By repository id, which is 32 random bytes. Threading: any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakValueDictionary[str, Shared] = WeakValueDictionary()

    def of(self, repository_id: str) -> Shared:
        """The one of this repository, made on first use."""
        with self._lock:
            shared = self._known.get(repository_id)
            if shared is None:
                shared = self._known[repository_id] = Shared()
            return shared


PROCESS = SharedRepositories()
"""Of this process."""
