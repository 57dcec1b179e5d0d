"""What tests of nodes over HTTP share."""

from __future__ import annotations

import pytest

from tests.support.cluster_http import Start, starter


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    return starter(request)
