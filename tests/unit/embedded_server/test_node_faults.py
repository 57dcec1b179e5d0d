"""What the seed decides of the nodes' faults, and that they take place in this order, one after the other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import EmbeddedSettings
from seatrial.context import Context
from seatrial.history.events import Event, NotRun
from seatrial.targets.embedded.nodefaults import planned_faults
from seatrial.targets.embedded.outages import Outages

SETTINGS = EmbeddedSettings(store="cluster", nodes=9, replication=5, stop_nodes=3, drain_nodes=2, split_nodes=2)


@given(st.integers(0, 2**63 - 1))
def test_a_seed_plans_all_that_is_asked_for_and_the_same_each_time(seed: int) -> None:
    faults = planned_faults(SETTINGS, seed)
    assert faults == planned_faults(SETTINGS, seed)
    assert Counter(fault.fault for fault in faults) == {"stop-node": 3, "drain-node": 2, "split-nodes": 1}
    struck = [name for fault in faults for name in fault.nodes]
    assert len(set(struck)) == len(struck) == 7
    assert set(struck) <= {f"n{number}" for number in range(1, 10)}


def test_another_seed_strikes_others_in_another_order() -> None:
    plans = [planned_faults(SETTINGS, seed) for seed in range(20)]
    assert len({tuple(fault.fault for fault in plan) for plan in plans}) > 5
    assert len({tuple(fault.nodes for fault in plan) for plan in plans}) > 15


@pytest.mark.parametrize("settings", [EmbeddedSettings(), EmbeddedSettings(store="cluster")])
def test_nothing_asked_for_is_nothing_planned(settings: EmbeddedSettings) -> None:
    assert planned_faults(settings, 1) == ()


def test_faults_whose_turn_never_came_are_told_by_name() -> None:
    told: list[Event] = []
    unasked: Any = None
    faults = planned_faults(SETTINGS, 1)
    outages = Outages(faults, 3600.0, unasked, unasked, told.append, SYSTEM_CLOCK)
    outages.begin()
    outages.heal(Context())
    assert [event.action for event in told if isinstance(event, NotRun)] == [fault.fault for fault in faults]
    assert all(isinstance(event, NotRun) and ", ".join(fault.nodes) in event.why for event, fault in zip(told, faults, strict=True))
