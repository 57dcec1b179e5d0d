"""What tests of clusters share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seatrial.cluster import DistCluster, setup_in_process_cluster_rf
from tests.support.cluster_http import Start, starter


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Callable[..., DistCluster]:
    """So many nodes in process, each key on so many of them."""

    def build(n: int, replication: int, **options: Any) -> DistCluster:
        return setup_in_process_cluster_rf(n, replication, cleanup=request, **options)

    return build


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    """A node that listens."""
    return starter(request)
