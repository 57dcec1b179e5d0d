"""The helpers for other people's tests, and the pytest plugin."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest

from seatrial.cluster import DistMemory, InsecureAuthConfigError, allocate_port
from seatrial.cluster.options import HTTPAuth
from seatrial.cluster.testing import setup_in_process_cluster, setup_in_process_cluster_rf, stop_on_cleanup

STRANGER = """
def test_reads_its_write(dist_cluster):
    dist_cluster.nodes[0].put("key", b"value")
    assert dist_cluster.nodes[1].get("key").value == b"value"

kept = []

def test_a_factory_and_an_address(dist_cluster_factory, dist_address, dist_node):
    kept.extend(dist_cluster_factory(5, 2, hint_ttl=1))
    kept.append(dist_node(address=dist_address))
    assert kept[0].ring.replication == 2
    assert not any(node.lifecycle.is_set() for node in kept)

def test_all_were_stopped():
    assert len(kept) == 6
    assert all(node.lifecycle.is_set() for node in kept)
"""


def test_three_lines_in_a_strangers_test_file_are_enough(tmp_path: Path) -> None:
    (tmp_path / "test_stranger.py").write_text(STRANGER)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, cwd=tmp_path, env={"PATH": os.defpath}, capture_output=True, text=True, timeout=60, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_nodes_are_found_by_id_and_end_with_the_cluster() -> None:
    with setup_in_process_cluster(4) as cluster:
        assert cluster.ring.replication == 3
        assert [cluster.by_id(node.local_node_id) for node in cluster] == cluster.nodes
        assert cluster.by_id("nobody") is None
    assert all(node.lifecycle.is_set() for node in cluster)


def test_any_kind_of_cleanup_stops_a_node() -> None:
    with contextlib.ExitStack() as stack:
        node = DistMemory()
        stop_on_cleanup(stack, node)
        stop_on_cleanup(stack, None)
        assert not node.lifecycle.is_set()
    assert node.lifecycle.is_set()
    case = unittest.TestCase()
    other = setup_in_process_cluster_rf(1, 1, cleanup=case).nodes[0]
    case.doCleanups()
    assert other.lifecycle.is_set()
    with pytest.raises(TypeError, match="ExitStack"):
        stop_on_cleanup(object(), node)


def test_a_stop_that_fails_is_swallowed() -> None:
    class Broken(DistMemory):
        def stop(self, timeout: float | None = 5.0) -> None:
            super().stop(timeout)
            raise RuntimeError("broken")

    with contextlib.ExitStack() as stack:
        node = Broken()
        stop_on_cleanup(stack, node)
    assert node.lifecycle.is_set()


def test_a_cluster_that_cannot_be_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[DistMemory] = []
    original = DistMemory.__init__

    def third_fails(self: DistMemory, *args: Any, **options: Any) -> None:
        if len(made) == 2:
            options["http_auth"] = HTTPAuth(client_sign=lambda _headers, _method, _url: None)
        original(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(DistMemory, "__init__", third_fails)
    with pytest.raises(InsecureAuthConfigError):
        setup_in_process_cluster(3)
    assert len(made) == 2
    assert all(node.lifecycle.is_set() for node in made)


def test_ports_are_free_and_local() -> None:
    host, port = allocate_port().split(":")
    assert host == "127.0.0.1"
    assert 0 < int(port) < 65536


def test_a_port_is_kept_from_who_takes_any_and_open_to_who_asks_for_it() -> None:
    host, port = allocate_port().split(":")
    with socket.socket() as anybody, pytest.raises(OSError, match="in use"):
        anybody.bind((host, int(port)))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
