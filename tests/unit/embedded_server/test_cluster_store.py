"""Blobs on nodes that fail: what was acknowledged stays, what was deleted stays away, and what cannot be known is an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seatrial.cluster import Item
from seatrial.config.model import EmbeddedSettings, Preset
from seatrial.errors import UsageError
from seatrial.targets.embedded.server.clusternodes import ClusterNodes
from seatrial.targets.embedded.server.clusterstore import VALUE_BYTES, ClusterStore, Unreachable
from seatrial.targets.embedded.server.config import NodeOrder
from seatrial.targets.embedded.server.store import BlobEntry, BlobType, ExistingBlob, MissingBlob, NoRoom, UnknownNode
from tests.support.blob_store_suite import blob, listed, pieces, whole
from tests.support.cluster_stores import bring_back, cluster_store

DATA = BlobType.DATA
SETTINGS = [(5, 3, "quorum"), (5, 5, "quorum"), (4, 3, "all"), (3, 2, "all"), (3, 3, "one")]


def fill(store: ClusterStore, count: int, first: int = 0) -> dict[str, bytes]:
    made = dict(blob(number, 100 + number) for number in range(first, first + count))
    for name, data in made.items():
        store.put(DATA, name, [data])
    return made


def holds(store: ClusterStore, blobs: dict[str, bytes]) -> None:
    assert listed(store, DATA) == {(name, len(data)) for name, data in blobs.items()}
    for name, data in blobs.items():
        assert whole(store, DATA, name) == data


@pytest.mark.parametrize(("nodes", "replication", "write"), SETTINGS)
def test_nothing_acknowledged_is_lost_while_fewer_nodes_than_the_write_quorum_are_down(nodes: int, replication: int, write: str) -> None:
    read = "quorum" if write == "quorum" else "one" if write == "all" else "all"
    for first in range(nodes):
        with closing(cluster_store(nodes=nodes, replication=replication, write_consistency=write, read_consistency=read)) as store:
            blobs = fill(store, 25)
            for number in range(store.nodes.acks - 1):
                store.order(f"n{(first + number) % nodes + 1}", "down")
            holds(store, blobs)


@pytest.mark.parametrize(("nodes", "replication", "write"), SETTINGS)
def test_with_more_nodes_down_it_is_an_error_and_never_less_than_there_is(nodes: int, replication: int, write: str) -> None:
    with closing(cluster_store(nodes=nodes, replication=replication, write_consistency=write)) as store:
        blobs = fill(store, 25)
        for number in range(store.nodes.acks):
            store.order(f"n{number + 1}", "down")
        with pytest.raises(Unreachable):
            store.list(DATA)
        for name, data in blobs.items():
            with suppress(Unreachable):
                assert whole(store, DATA, name) == data


def test_each_node_in_turn_loses_everything_and_comes_back() -> None:
    with closing(cluster_store()) as store:
        blobs = fill(store, 20)
        deleted = []
        for number in range(1, 6):
            name = f"n{number}"
            store.order(name, "down")
            blobs |= fill(store, 10, first=100 * number)
            deleted.append(next(iter(blobs)))
            store.delete(DATA, deleted[-1])
            del blobs[deleted[-1]]
            holds(store, blobs)
            bring_back(store, name)
            holds(store, blobs)
        for gone in deleted:
            with pytest.raises(MissingBlob):
                store.open(DATA, gone)
        for node in store.frame().nodes:
            assert (node.state, node.starts) == ("up", 2)
            assert node.keys > 0
        frame = store.frame()
        assert frame.hints_queued > 0
        assert frame.pulled > 0


def test_a_node_that_has_yet_to_be_refilled_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClusterNodes, "_refill", lambda *_: None)
    with closing(cluster_store()) as store:
        blobs = fill(store, 40)
        store.order("n1", "down")
        store.order("n1", "up")
        assert store.nodes.slot("n1").state == "recovering"
        holds(store, blobs)
        with pytest.raises(MissingBlob):
            store.open(DATA, "f" * 64)
        # Now a second one is away, and the first has not what it lost.
        store.order("n2", "down")
        with pytest.raises(Unreachable):
            store.list(DATA)
        for name in blobs:
            with suppress(Unreachable):
                assert whole(store, DATA, name) == blobs[name]


def test_a_copy_that_is_lacking_is_put_back_by_a_read() -> None:
    with closing(cluster_store()) as store:
        name, data = next(iter(fill(store, 1).items()))
        key = f"blob/data/{name}"
        node = store.nodes.slot(store.nodes.owners(key)[0]).node
        assert node is not None
        node.debug_drop_local(key)
        assert whole(store, DATA, name) == data
        assert node.local_contains(key)
        assert store.frame().repairs > 0


def test_without_enough_nodes_nothing_is_acknowledged() -> None:
    with closing(cluster_store(nodes=3)) as store:
        store.order("n1", "down")
        store.order("n2", "down")
        with pytest.raises(OSError, match=r"owners|acknowledge"):
            store.put(DATA, *_upload(1))
        store.order("n3", "down")
        with pytest.raises(OSError, match=r"owners|no node"):
            store.put(DATA, *_upload(1))


def _upload(number: int, size: int = 1000) -> tuple[str, Iterator[bytes | bytearray | memoryview]]:
    name, data = blob(number, size)
    return name, pieces(data)


def test_a_nodes_memory_is_bounded_and_what_is_deleted_makes_room() -> None:
    limit = 20 << 20
    with closing(cluster_store(node_memory_bytes=limit)) as store:
        stored = []
        with pytest.raises(NoRoom, match="memory of node n"):
            for number in range(100):
                store.put(DATA, *_upload(number, 3 << 20))
                stored.append(blob(number, 3 << 20)[0])
        assert len(stored) >= 6
        for node in store.frame().nodes:
            assert node.size_bytes <= node.owned_bytes <= limit
        assert sum(node.size_bytes for node in store.frame().nodes) >= 3 * len(stored) * (3 << 20)
        for name in stored:
            store.delete(DATA, name)
        # What remains is the one small value that says that the repository was made.
        assert all(node.owned_bytes == 0 and node.size_bytes <= 1 for node in store.frame().nodes)
        with pytest.raises(NoRoom):
            store.put(DATA, *_upload(1, 64 << 20))
        assert all(node.owned_bytes == 0 and node.size_bytes <= 1 for node in store.frame().nodes)
        for number in range(len(stored)):
            store.put(DATA, *_upload(number, 3 << 20))


def test_no_value_on_any_node_is_longer_than_allowed() -> None:
    with closing(cluster_store(nodes=3)) as store:
        for number, size in enumerate((VALUE_BYTES - 28, VALUE_BYTES, 24 << 20)):
            store.put(DATA, *_upload(number, size))
        values = [len(item.value) for slot in store.nodes.slots() if slot.node for item in slot.node.list()]
        assert max(values) == VALUE_BYTES
        assert len(values) == 3 * (1 + 1 + 2 + 7)


def test_nodes_that_nobody_knows_are_not_stopped_and_settings_that_cannot_be_are_told() -> None:
    with closing(cluster_store(nodes=2, replication=2)) as store:
        for wanted in get_args(NodeOrder):
            with pytest.raises(UnknownNode):
                store.order("n3", wanted)
        store.order("n1", "up")
        assert store.nodes.slot("n1").starts == 1
    with pytest.raises(UsageError, match="replication"):
        cluster_store(nodes=2, replication=3)
    with pytest.raises(ValueError, match="replication"):
        EmbeddedSettings(store="cluster", nodes=2, replication=3)
    with pytest.raises(ValueError, match="stop_nodes"):
        Preset(embedded=EmbeddedSettings(stop_nodes=1))


def test_a_head_that_may_be_there_keeps_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of unknown outcome that turns up later must not be a blob with holes."""
    with closing(cluster_store()) as store:
        name, data = blob(1, 9 << 20)
        write = ClusterStore._write

        def acknowledge_nothing(self: ClusterStore, key: str, value: bytes) -> None:
            write(self, key, value)
            if key.startswith("blob/"):
                raise OSError("the cluster did not acknowledge a write")

        monkeypatch.setattr(ClusterStore, "_write", acknowledge_nothing)
        with pytest.raises(OSError, match="acknowledge"):
            store.put(DATA, name, pieces(data))
        monkeypatch.undo()
        assert whole(store, DATA, name) == data
        with pytest.raises(ExistingBlob):
            store.put(DATA, name, pieces(data))


class DroppingCluster(ClusterStore):
    """Acknowledges what one node has."""

    def _write(self, key: str, value: bytes) -> None:
        node = self.nodes.slot(self.nodes.owners(key)[0]).node
        assert node is not None
        node.debug_inject(Item(key, value, version=1, origin="n1"))


class CuttingCluster(ClusterStore):
    """Lists what it can see, and calls that all."""

    def list(self, blob_type: BlobType) -> list[BlobEntry]:
        prefix = f"blob/{blob_type.value}/"
        keys = {key for slot in self.nodes.slots() if slot.node for key in slot.node.local_keys() if key.startswith(prefix)}
        return [BlobEntry(key.removeprefix(prefix), 0) for key in keys]


def test_a_store_that_acknowledges_and_drops_is_caught() -> None:
    with closing(cluster_store(kind=DroppingCluster)) as store:
        blobs = fill(store, 25)
        store.order("n1", "down")
        with pytest.raises((AssertionError, MissingBlob, Unreachable)):
            holds(store, blobs)


def test_a_listing_that_is_cut_short_is_caught() -> None:
    with closing(cluster_store(kind=CuttingCluster, nodes=3, replication=2, write_consistency="one", read_consistency="all")) as store:
        store.order("n1", "down")
        with pytest.raises(pytest.fail.Exception), pytest.raises(Unreachable):  # what the honest store raises
            store.list(DATA)


class Blobs(RuleBasedStateMachine):
    """Three nodes, three copies, quorums; one node at a time loses everything."""

    def __init__(self) -> None:
        super().__init__()
        self.store = cluster_store(nodes=3)
        self.there: dict[str, bytes] = {}
        self.away = ""

    @rule(number=st.integers(0, 5))
    def put(self, number: int) -> None:
        name, data = blob(number)
        if name in self.there:
            with pytest.raises(ExistingBlob):
                self.store.put(DATA, name, [data])
        else:
            self.store.put(DATA, name, [data])
            self.there[name] = data

    @rule(number=st.integers(0, 5))
    def delete(self, number: int) -> None:
        name, _ = blob(number)
        if self.there.pop(name, None) is None:
            with pytest.raises(MissingBlob):
                self.store.delete(DATA, name)
        else:
            self.store.delete(DATA, name)

    @precondition(lambda self: not self.away)
    @rule(number=st.integers(1, 3))
    def stop(self, number: int) -> None:
        self.away = f"n{number}"
        self.store.order(self.away, "down")

    @precondition(lambda self: self.away)
    @rule()
    def start(self) -> None:
        bring_back(self.store, self.away)
        self.away = ""

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        holds(self.store, self.there)

    def teardown(self) -> None:
        self.store.close()


Blobs.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestBlobs = Blobs.TestCase
