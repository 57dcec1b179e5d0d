"""Blobs on nodes that fail: what was acknowledged stays, what was deleted stays away, and what cannot be known is an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seatrial.cluster import ChaosDropError, DistMemory, DrainingError, Item
from seatrial.config.model import EmbeddedSettings, Preset
from seatrial.errors import UsageError
from seatrial.history.frames import ClusterFrame
from seatrial.targets.embedded.server.clusternodes import _LOOPS, ClusterNodes
from seatrial.targets.embedded.server.clusterstore import VALUE_BYTES, ClusterStore, Unreachable
from seatrial.targets.embedded.server.config import NodeOrder
from seatrial.targets.embedded.server.store import BlobEntry, BlobType, ExistingBlob, MissingBlob, NoRoom, UnknownNode
from tests.support.blob_store_suite import blob, listed, pieces, whole
from tests.support.cluster_stores import bring_back, cluster_store, take_away
from tests.support.waiting import eventually

DATA = BlobType.DATA
AWAY: tuple[NodeOrder, ...] = ("down", "drained", "split")
SETTINGS = [(5, 3, "quorum"), (5, 5, "quorum"), (4, 3, "all"), (3, 2, "all"), (3, 3, "one")]


@pytest.fixture
def no_auto_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that plant a lack and look at how it is filled: on a slow machine the nodes' own round of every five seconds is first."""
    monkeypatch.setitem(_LOOPS, "merkle_auto_sync_interval", 0.0)


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


def test_a_split_node_learns_nothing_until_it_is_joined_again_and_brings_nothing_deleted_back() -> None:
    with closing(cluster_store(nodes=3)) as store:
        blobs = fill(store, 20)
        gone = next(iter(blobs))
        apart = store.nodes.slot("n2").node
        assert apart is not None
        take_away(store, "split", "n2")
        known = set(apart.local_keys())
        blobs |= fill(store, 20, first=100)
        store.delete(DATA, gone)
        del blobs[gone]
        for slot in store.nodes.slots():
            assert slot.node is not None
            slot.node.replay_hints()
            slot.node.run_auto_sync_tick()
            slot.node.run_heartbeat_tick()
        assert set(apart.local_keys()) == known
        # A prober of a busy machine may suspect its peers for the moment in which it looks.
        assert eventually(lambda: [node.seen for node in store.frame().nodes] == ["alive", "suspect", "alive"])
        holds(store, blobs)
        bring_back(store, "n2")
        assert store.nodes.slot("n2").node is apart
        assert {f"blob/data/{name}" for name in blobs} == {key for key in apart.local_keys() if key.startswith("blob/data/")}
        take_away(store, "down", "n1")
        holds(store, blobs)


@pytest.mark.usefixtures("no_auto_sync")
def test_nodes_on_the_same_side_of_a_split_hear_of_one_another() -> None:
    with closing(cluster_store(nodes=5, replication=5)) as store:
        blobs = fill(store, 5)
        take_away(store, "split", "n1", "n4")
        holds(store, blobs)
        here, there, other = (store.nodes.slot(name).node for name in ("n1", "n4", "n2"))
        assert here and there and other
        here.debug_inject(Item("told", b"to the other side", version=10**6, origin="n1"))
        assert there.sync_with("n1", owned_only=True).pulled == 1
        with pytest.raises(ChaosDropError):
            other.sync_with("n1", owned_only=True)
        with pytest.raises(ChaosDropError):
            here.sync_with("n2", owned_only=True)
        bring_back(store, "n1", "n4")
        assert other.sync_with("n1", owned_only=True).pulled == 1


@pytest.mark.parametrize("wanted", AWAY)
def test_with_as_many_away_as_acknowledge_a_write_a_listing_is_an_error_whatever_keeps_them(wanted: NodeOrder) -> None:
    with closing(cluster_store()) as store:
        blobs = fill(store, 25)
        take_away(store, wanted, "n1", "n2")
        with pytest.raises(Unreachable):
            store.list(DATA)
        for name, data in blobs.items():
            with suppress(Unreachable):
                assert whole(store, DATA, name) == data


def only_copies(store: ClusterStore, owner: str) -> dict[str, bytes]:
    """Blobs, of which all that ``owner`` is to hold are nowhere else."""
    blobs = fill(store, 30)
    for key in (f"blob/data/{name}" for name in blobs):
        for other in store.nodes.owners(key):
            node = store.nodes.slot(other).node
            if owner in store.nodes.owners(key) and other != owner and node is not None:
                node.debug_drop_local(key)
    return blobs


@pytest.mark.usefixtures("no_auto_sync")
def test_a_drained_node_goes_when_others_hold_what_only_it_held() -> None:
    with closing(cluster_store(replication=2, write_consistency="one", read_consistency="all")) as store:
        blobs = only_copies(store, "n3")
        take_away(store, "drained", "n3")
        change = store.frame().changes[-1]
        assert (change.node, change.state) == ("n3", "down")
        assert change.detail.startswith("drained of ")
        bring_back(store, "n3")
        holds(store, blobs)


@pytest.mark.usefixtures("no_auto_sync")
@pytest.mark.parametrize("planted", ["stopped", "not handed over"])
def test_what_only_one_node_held_is_missed_where_it_goes_without_handing_it_over(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(cluster_store(replication=2, write_consistency="one", read_consistency="all")) as store:
        blobs = only_copies(store, "n3")
        if planted == "stopped":
            take_away(store, "down", "n3")
        else:
            with monkeypatch.context() as patch:
                patch.setattr(ClusterNodes, "_with_others", lambda *_: 0)
                take_away(store, "drained", "n3")
        bring_back(store, "n3")
        with pytest.raises((AssertionError, MissingBlob)):
            holds(store, blobs)


def test_a_node_that_drains_takes_no_writes_of_its_own_and_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    pull = ClusterNodes._with_others

    def wait_and_pull(nodes: ClusterNodes, *args: Any) -> int:
        going_on.wait(30)
        return pull(nodes, *args)

    with closing(cluster_store(nodes=3)) as store:
        blobs = fill(store, 5)
        with monkeypatch.context() as patch:
            patch.setattr(ClusterNodes, "_with_others", wait_and_pull)
            store.order("n1", "drained")
            try:
                slot = store.nodes.slot("n1")
                assert slot.state == "draining"
                assert slot.node is not None
                with pytest.raises(DrainingError):
                    slot.node.put("key", b"value")
                blobs |= fill(store, 10, first=100)
                holds(store, blobs)
                for wanted in AWAY[1:]:  # it goes its way
                    store.order("n1", wanted)
                assert store.nodes.slot("n1") is slot
            finally:
                going_on.set()
            assert eventually(lambda: store.nodes.slot("n1").state == "down", 30)
        holds(store, blobs)


@pytest.mark.parametrize("wanted", ["drained", "split"])
def test_no_call_is_under_way_through_a_node_when_it_is_cut_off_or_begins_to_drain(wanted: NodeOrder) -> None:
    with closing(cluster_store(nodes=3)) as store:
        first = store.nodes.owners("key")[0]
        cutter = threading.Thread(target=store.order, args=(first, wanted))
        with store.nodes.coordinator("key") as node:
            assert node.local_node_id == first
            cutter.start()
            assert not eventually(lambda: store.nodes.slot(first).state != "up", 0.2)
            node.put("key", b"acknowledged by all")
        cutter.join(30)
        with store.nodes.coordinator("key") as node:
            assert node.local_node_id != first


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


def test_what_nodes_have_counted_does_not_sink_while_one_of_them_is_being_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks takes the difference to the last time for news."""
    with closing(cluster_store(nodes=3)) as store:
        take_away(store, "down", "n1")
        fill(store, 10)
        before = store.frame()
        assert before.hints_queued > 0
        stop, meanwhile = DistMemory.stop, list[ClusterFrame]()

        def look_and_stop(node: DistMemory, timeout: float | None = None) -> None:
            meanwhile.append(store.frame())
            stop(node, timeout)

        with monkeypatch.context() as patch:
            patch.setattr(DistMemory, "stop", look_and_stop)
            take_away(store, "down", "n2", "n3")
        assert [frame.hints_queued for frame in (*meanwhile, store.frame())] == [before.hints_queued] * 3


@pytest.mark.usefixtures("no_auto_sync")
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
        assert store.stats().stored_bytes == len(data)
        store.delete(DATA, name)
        assert store.stats().stored_bytes == 0, "what was counted is given back, and no more"


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
    """Three nodes, three copies, quorums; one node at a time loses everything, is drained, or split from the others."""

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
    @rule(number=st.integers(1, 3), wanted=st.sampled_from(AWAY))
    def stop_drain_or_split(self, number: int, wanted: NodeOrder) -> None:
        self.away = f"n{number}"
        take_away(self.store, wanted, self.away)

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
