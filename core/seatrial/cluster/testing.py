"""Helpers for tests that need a cluster.

    def test_reads_its_write(dist_cluster):
        dist_cluster.nodes[0].put("key", b"value")
        assert dist_cluster.nodes[1].get("key").value == b"value"

The fixture comes with the package's pytest plugin; without pytest, ``with setup_in_process_cluster(3) as cluster`` does the same.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from seatrial.clock import SYSTEM_CLOCK
from seatrial.cluster.attempts import attempt
from seatrial.cluster.distmemory import DistMemory
from seatrial.cluster.inprocess import InProcessTransport
from seatrial.cluster.membership import Membership
from seatrial.cluster.node import Node
from seatrial.cluster.ring import Ring

_CLEANUPS = ("addfinalizer", "callback", "addCleanup")
"""How a pytest request, an ExitStack and a unittest.TestCase take a clean-up."""


def allocate_port() -> str:
    """``127.0.0.1:N`` with a port that nobody else gets by chance for about a minute: a connection of it, closed here first, lingers.

    A listener that sets SO_REUSEADDR, as ours and most do, may take it at once.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()), listener.accept()[0]:
            return f"127.0.0.1:{listener.getsockname()[1]}"


def find_owner_key(node: DistMemory, prefix: str, desired: Sequence[str], limit: int) -> str | None:
    """The first of ``prefix0``, ``prefix1``, ... (``limit`` of them) whose owners are exactly ``desired``, in that order."""
    wanted = list(desired)
    candidates = (f"{prefix}{number}" for number in range(limit))
    return next((key for key in candidates if node.ring.lookup(key) == wanted), None)


def stop_on_cleanup(target: Any, node: DistMemory | None) -> None:
    """Stop ``node`` when ``target`` ends: a pytest request, an ExitStack or a unittest.TestCase. None does nothing."""
    if node is None:
        return
    register = next((getattr(target, name) for name in _CLEANUPS if hasattr(target, name)), None)
    if register is None:
        raise TypeError(f"{type(target).__name__} takes no clean-up; give a pytest request, an ExitStack or a unittest.TestCase")
    register(lambda: attempt(node.stop))


@dataclass
class DistCluster:
    """Nodes of one process over a shared membership. As a context manager it stops them all."""

    ring: Ring
    membership: Membership
    transport: InProcessTransport
    nodes: list[DistMemory] = field(default_factory=list)

    def by_id(self, id: str) -> DistMemory | None:  # noqa: A002 - the field's name
        """The node with that id now."""
        return next((node for node in self.nodes if node.local_node_id == id), None)

    def close(self) -> None:
        """Stop all nodes. Idempotent."""
        for node in self.nodes:
            node.stop()

    def __iter__(self) -> Iterator[DistMemory]:
        return iter(self.nodes)

    def __enter__(self) -> DistCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def setup_in_process_cluster(n: int, *, cleanup: Any = None, **options: Any) -> DistCluster:
    """``n`` nodes with three owners per key."""
    return setup_in_process_cluster_rf(n, 3, cleanup=cleanup, **options)


def setup_in_process_cluster_rf(n: int, replication: int, *, cleanup: Any = None, **options: Any) -> DistCluster:
    """``n`` nodes ``n1:0``, ``n2:0``, ... with ``replication`` owners per key; ``options`` are DistOptions for every node.

    ``cleanup`` is what ``stop_on_cleanup`` takes. Where a node cannot be made, those before it are stopped.
    """
    ring = Ring(replication=replication)
    cluster = DistCluster(ring, Membership(ring, clock=options.get("clock", SYSTEM_CLOCK)), InProcessTransport())
    try:
        for number in range(1, n + 1):
            local = Node.new("", f"n{number}:0")
            node = DistMemory(membership=cluster.membership, local_node=local, transport=cluster.transport, **options)
            cluster.nodes.append(node)
            cluster.transport.register(node)
    except BaseException:
        cluster.close()
        raise
    if cleanup is not None:
        for node in cluster:
            stop_on_cleanup(cleanup, node)
    return cluster
