"""A pytest plugin for soaking: tests in another order each time, and no socket may be left at the end.

``-p tests.support.shuffled --order-seed N``; the order is decided by the seed and by which tests there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from seatrial import seeds
from tests.support.waiting import eventually


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order-seed", type=int, default=0, help="decides the order of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid)
    seeds.stream(config.getoption("--order-seed"), "tests", "order").shuffle(items)


def sockets() -> list[str]:
    """Open internet sockets of this process, listening or connected."""
    return [f"{each.status} {each.laddr}" for each in psutil.Process().net_connections("inet") if each.status != "NONE"]


@pytest.fixture(scope="session", autouse=True)
def no_socket_is_left(nothing_is_left: None) -> Iterator[None]:
    """Torn down before the threads and children are counted."""
    before = len(sockets())
    yield
    assert eventually(lambda: len(sockets()) <= before), f"sockets outlived the tests: {sockets()}"
