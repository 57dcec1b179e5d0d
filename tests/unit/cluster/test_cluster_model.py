"""A register per key against a cluster under losses, delays, stops, restarts: what was acknowledged stays, what was deleted stays away."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seatrial.cluster import Chaos, ClusterError, Consistency, DistMemory, Node, setup_in_process_cluster_rf
from seatrial.cluster.attempts import side_by_side

NODES = 5
KEYS = [f"key-{number}" for number in range(2)]
MISSING = None
QUORUM = {"read_consistency": Consistency.QUORUM, "write_consistency": Consistency.QUORUM}

keys = st.sampled_from(KEYS)
numbers = st.integers(0, NODES - 1)


class Registers(RuleBasedStateMachine):
    """Five nodes, three owners each, quorum writes and quorum reads.

    What it may suffer is what quorums are for: one node at a time is away, cut off with its memory (``cut``) or stopped without
    (``stop``). Until all is well again (``heal``), the one that lost its memory (``emptied``) is the only one that may be away, and no call
    is lost beside it: two owners that lack a write are more than a quorum bears.

    ``sure[key]`` holds the acknowledged values of which one is there: one, or several where they were written at the same time.
    ``maybe[key]`` holds what was tried and not acknowledged since all was well: like an operation of unknown outcome, it may take effect
    at any later time. ``calm`` says that nothing has been lost, cut or stopped since.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chaos = Chaos(seed=1)
        self.options: dict[str, Any] = {"hint_ttl": 3600, "chaos": self.chaos, **QUORUM}
        self.cluster = setup_in_process_cluster_rf(NODES, 3, **self.options)
        self.sure: dict[str, set[Any]] = {key: {MISSING} for key in KEYS}
        self.maybe: dict[str, set[Any]] = {key: set() for key in KEYS}
        self.away: int | None = None
        self.emptied: int | None = None
        self.lossy = False
        self.calm = True
        self.count = 0

    @initialize(seed=st.integers(0, 2**32))
    def seed_chaos(self, seed: int) -> None:
        self.chaos._draws.seed(seed)

    def _at(self, number: int) -> DistMemory:
        return self.cluster.nodes[(number + 1) % NODES if number == self.away else number]

    @rule(key=keys, number=numbers, times=st.integers(1, 4))
    def write(self, key: str, number: int, times: int) -> None:
        for _ in range(times):  # several, so that the clocks of nodes drift apart
            self.count += 1
            try:
                self._at(number).put(key, self.count)
            except ClusterError:
                assert not self.calm
                self.maybe[key].add(self.count)
            else:
                self.sure[key] = {self.count}

    @rule(key=keys, where=st.lists(numbers, min_size=2, max_size=3))
    def write_at_once_with_delays(self, key: str, where: list[int]) -> None:
        self.chaos.set_latency(0.0003, 0.5)
        values = [self.count + 1 + index for index in range(len(where))]
        self.count += len(where)
        acknowledged = set()
        for index, _, error in side_by_side(
            [partial(self._at(number).put, key, value) for number, value in zip(where, values, strict=True)]
        ):
            if error is None:
                acknowledged.add(values[index])
                continue
            assert isinstance(error, ClusterError)
            assert not self.calm
            self.maybe[key].add(values[index])
        self.chaos.set_latency(0, 0)
        self.sure[key] = acknowledged or self.sure[key]

    @rule(key=keys, number=numbers)
    def delete(self, key: str, number: int) -> None:
        # A delete is acknowledged by its coordinator alone, so only one that all owners hear of is sure.
        sure = self.away is None and not self.lossy
        try:
            self._at(number).remove(key)
        except ClusterError:
            assert not sure
        if sure:
            self.sure[key] = {MISSING}
        else:
            self.maybe[key].add(MISSING)

    @rule(key=keys, number=numbers)
    def read(self, key: str, number: int) -> None:
        found = self._at(number).get(key)
        if found is not None:
            assert found.value in self.sure[key] | self.maybe[key]
        elif self.calm:  # else a quorum of holders may be out of reach: a miss, not a loss
            assert MISSING in self.sure[key]

    @precondition(lambda self: self.emptied is None)
    @rule(rate=st.sampled_from([0.1, 0.4]))
    def lose_calls(self, rate: float) -> None:
        self.chaos.set_drop_rate(rate)
        self.lossy, self.calm = True, False

    @rule()
    def lose_no_more(self) -> None:
        self.chaos.set_drop_rate(0)
        self.lossy = False

    @precondition(lambda self: self.away is None)
    @rule(number=numbers)
    def cut(self, number: int) -> None:
        if self.emptied in (None, number):
            self.away, self.calm = number, False
            self.cluster.transport.unregister(self.cluster.nodes[number].local_node_id)

    @precondition(lambda self: self.away is None and not self.lossy)
    @rule(number=numbers)
    def stop(self, number: int) -> None:
        if self.emptied in (None, number):
            self.away = self.emptied = number
            self.calm = False
            self.cluster.transport.unregister(self.cluster.nodes[number].local_node_id)
            self.cluster.nodes[number].stop()

    @rule()
    def come_back(self) -> None:
        if self.away is None:
            return
        if self.cluster.nodes[self.away].lifecycle.is_set():
            local = Node.new("", f"n{self.away + 1}:0")
            self.cluster.nodes[self.away] = DistMemory(
                membership=self.cluster.membership, local_node=local, transport=self.cluster.transport, **self.options
            )
        self.cluster.transport.register(self.cluster.nodes[self.away])
        self.away = None

    @rule()
    def heal(self) -> None:
        self.lose_no_more()
        self.come_back()
        for node in self.cluster:
            node.replay_hints()
        for _ in range(2):
            for node in self.cluster:
                node.run_auto_sync_tick()
        for key in KEYS:
            self._agreed(key)
        self.calm, self.emptied = True, None

    def _agreed(self, key: str) -> None:
        found = [node.get(key) for node in self.cluster]
        values = {MISSING if item is None else item.value for item in found}
        assert len(values) == 1, f"{key}: nodes disagree: {values}"
        allowed = self.sure[key] | self.maybe[key]
        assert values <= allowed, f"{key} is {values}, not one of {self.sure[key]} nor of {self.maybe[key]}"
        owners = [self.cluster.by_id(owner) for owner in self.cluster.ring.lookup(key)]
        held = {item and (item.version, item.origin, item.value) for owner in owners if owner for item in owner.local_entry(key)[:1]}
        assert len(held) == 1, f"{key}: owners hold {held}"
        self.sure[key], self.maybe[key] = values, set()

    @invariant()
    def no_key_is_item_and_tombstone_at_once(self) -> None:
        for node in self.cluster:
            assert not set(node.local_keys()) & set(node.local_tombstones())

    def teardown(self) -> None:
        try:
            self.heal()
        finally:
            self.cluster.close()


Registers.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestRegisters = Registers.TestCase
