"""A register per key against a cluster under losses, stops and restarts: what was acknowledged stays, what was deleted stays away."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seatrial.cluster import Chaos, ClusterError, Consistency, DistMemory, setup_in_process_cluster_rf

NODES = 5
KEYS = [f"key-{number}" for number in range(2)]
MISSING = None

keys = st.sampled_from(KEYS)
numbers = st.integers(0, NODES - 1)


class Registers(RuleBasedStateMachine):
    """Five nodes, three owners each, quorum writes and quorum reads; at most one node is away at a time.

    ``sure[key]`` is what was last acknowledged. ``maybe[key]`` holds what was tried and not acknowledged since all was well: like an
    operation of unknown outcome, it may take effect at any later time. ``calm`` says that nothing has been lost or cut since.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chaos = Chaos(seed=1)
        quorum = {"read_consistency": Consistency.QUORUM, "write_consistency": Consistency.QUORUM}
        self.cluster = setup_in_process_cluster_rf(NODES, 3, hint_ttl=3600, chaos=self.chaos, **quorum)
        self.sure: dict[str, Any] = dict.fromkeys(KEYS, MISSING)
        self.maybe: dict[str, set[Any]] = {key: set() for key in KEYS}
        self.away: int | None = None
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
                self.sure[key] = self.count

    @rule(key=keys, number=numbers)
    def delete(self, key: str, number: int) -> None:
        # A delete is acknowledged by its coordinator alone, so only one that all owners hear of is sure.
        sure = self.away is None and not self.lossy
        try:
            self._at(number).remove(key)
        except ClusterError:
            assert not sure
        if sure:
            self.sure[key] = MISSING
        else:
            self.maybe[key].add(MISSING)

    @rule(key=keys, number=numbers)
    def read(self, key: str, number: int) -> None:
        found = self._at(number).get(key)
        if found is not None:
            assert found.value in {self.sure[key]} | self.maybe[key]
        elif self.calm:  # else a quorum of holders may be out of reach: a miss, not a loss
            assert self.sure[key] is MISSING

    @rule(rate=st.sampled_from([0.1, 0.4]))
    def lose_calls(self, rate: float) -> None:
        self.chaos.set_drop_rate(rate)
        self.lossy, self.calm = True, False

    @rule()
    def lose_no_more(self) -> None:
        self.chaos.set_drop_rate(0)
        self.lossy = False

    @rule(number=numbers)
    def cut(self, number: int) -> None:
        if self.away is None:
            self.away, self.calm = number, False
            self.cluster.transport.unregister(self.cluster.nodes[number].local_node_id)

    @rule()
    def come_back(self) -> None:
        if self.away is not None:
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
        self.calm = True

    def _agreed(self, key: str) -> None:
        found = [node.get(key) for node in self.cluster]
        values = {MISSING if item is None else item.value for item in found}
        assert len(values) == 1, f"{key}: nodes disagree: {values}"
        assert values <= {self.sure[key]} | self.maybe[key], f"{key} is {values}, not {self.sure[key]} nor one of {self.maybe[key]}"
        owners = [self.cluster.by_id(owner) for owner in self.cluster.ring.lookup(key)]
        held = {item and (item.version, item.origin, item.value) for owner in owners if owner for item in owner.local_entry(key)[:1]}
        assert len(held) == 1, f"{key}: owners hold {held}"
        self.sure[key], self.maybe[key] = values.pop(), set()

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
