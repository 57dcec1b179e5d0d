"""pytest fixtures for tests that need a cluster. The cluster itself is imported on first use, so that other suites do not pay for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seatrial.cluster.distmemory import DistMemory
    from seatrial.cluster.testing import DistCluster


@pytest.fixture
def dist_cluster_factory(request: pytest.FixtureRequest) -> Callable[..., DistCluster]:
    """``dist_cluster_factory(n, replication=3, **options)``: an in-process cluster that stops with the test."""

    def make(n: int, replication: int = 3, **options: Any) -> DistCluster:
        from seatrial.cluster.testing import setup_in_process_cluster_rf  # noqa: PLC0415 - see the module's docstring

        return setup_in_process_cluster_rf(n, replication, cleanup=request, **options)

    return make


@pytest.fixture
def dist_cluster(dist_cluster_factory: Callable[..., DistCluster]) -> DistCluster:
    """Three nodes, each of which owns every key."""
    return dist_cluster_factory(3)


@pytest.fixture
def dist_address() -> str:
    """A free ``127.0.0.1:port``."""
    from seatrial.cluster.testing import allocate_port  # noqa: PLC0415 - see the module's docstring

    return allocate_port()


@pytest.fixture
def dist_node(request: pytest.FixtureRequest) -> Callable[..., DistMemory]:
    """``dist_node(**options)``: a node that stops with the test."""

    def make(**options: Any) -> DistMemory:
        from seatrial.cluster.distmemory import DistMemory  # noqa: PLC0415 - see the module's docstring
        from seatrial.cluster.testing import stop_on_cleanup  # noqa: PLC0415 - see the module's docstring

        node = DistMemory(**options)
        stop_on_cleanup(request, node)
        return node

    return make
