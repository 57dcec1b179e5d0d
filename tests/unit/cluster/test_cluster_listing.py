"""Listings of the whole cluster's keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.cluster import BadPatternError, DistCluster, setup_in_process_cluster_rf

Make = Callable[[int, int], DistCluster]


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    return lambda n, replication: setup_in_process_cluster_rf(n, replication, cleanup=request)


@pytest.fixture
def fifty(make: Make) -> DistCluster:
    cluster = make(5, 3)
    for number in range(50):
        cluster.nodes[number % 5].put(f"k-{number}", number)
    return cluster


def test_a_listing_of_the_cluster_names_each_key_once(fifty: DistCluster) -> None:
    """Row 11."""
    listed = fifty.nodes[0].list_keys()
    assert listed.keys == sorted(f"k-{number}" for number in range(50))
    assert (listed.truncated, listed.partial_nodes) == (False, [])


def test_a_listing_of_more_than_asked_for_is_cut(fifty: DistCluster) -> None:
    """Row 14."""
    listed = fifty.nodes[3].list_keys("", 10)
    assert listed.truncated
    assert listed.keys == sorted(f"k-{number}" for number in range(50))[:10]


def test_exactly_as_many_keys_as_asked_for_is_not_cut(fifty: DistCluster) -> None:
    """Extra 9, F14."""
    assert not fifty.nodes[0].list_keys("", 50).truncated
    assert fifty.nodes[0].list_keys("", 49).truncated


def test_prefixes_and_globs_filter_a_listing(make: Make) -> None:
    """Rows 12, 13."""
    cluster = make(5, 3)
    for number in range(1, 16):
        cluster.nodes[0].put(f"first-{number}", 1)
    for number in range(5):
        cluster.nodes[0].put(f"second-{number}", 1)
    assert len(cluster.nodes[1].list_keys("second-").keys) == 5
    assert cluster.nodes[1].list_keys("first-?").keys == [f"first-{number}" for number in range(1, 10)]


def test_a_bad_pattern_is_refused_before_anybody_is_asked(fifty: DistCluster) -> None:
    """Row 15."""
    with pytest.raises(BadPatternError, match=r"^list-keys: invalid glob pattern: "):
        fifty.nodes[0].list_keys("[unclosed")


def test_an_unreachable_member_makes_a_listing_partial(fifty: DistCluster) -> None:
    gone = fifty.nodes[4].local_node_id
    fifty.transport.unregister(gone)
    listed = fifty.nodes[0].list_keys()
    assert listed.partial_nodes == [gone]
    assert len(listed.keys) == 50
