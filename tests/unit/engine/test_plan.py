"""The plan: the same seed draws the same, and one client's draws are its own."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.config.model import ActionName, Preset
from seatrial.engine.plan import Draws, Plan, pick_action, weights_of
from seatrial.errors import UsageError


@given(seed=st.integers(0, 2**63 - 1), client=st.integers(0, 1000), action=st.integers(0, 10**6))
def test_draws_depend_on_seed_client_action_and_purpose_only(seed: int, client: int, action: int) -> None:
    draws = Draws(seed, client, action)
    again = Draws(seed, client, action)
    assert (draws.action, draws.snapshot, draws.workload) == (again.action, again.snapshot, again.workload)
    others = [
        Draws(seed, client + 1, action).action,
        Draws(seed, client, action + 1).action,
        draws.snapshot,
        Draws(seed + 1, client, action).action,
    ]
    assert draws.action not in others


def test_picks_follow_the_weights() -> None:
    weights = {ActionName.SNAPSHOT: 3.0, ActionName.RESTORE: 1.0, ActionName.GC: 0.0}
    counts = Counter(pick_action(weights, Draws(7, 0, n).action) for n in range(8000))
    assert set(counts) == {ActionName.SNAPSHOT, ActionName.RESTORE}
    assert 0.72 < counts[ActionName.SNAPSHOT] / 8000 < 0.78


@given(draw=st.integers(0, 2**64 - 1))
def test_any_draw_picks_an_action_with_a_weight(draw: int) -> None:
    weights = {ActionName.LIST: 0.1, ActionName.WRITE: 0.7}
    assert pick_action(weights, draw) in weights


def test_nothing_to_pick_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="positive weight"):
        pick_action({ActionName.WRITE: 0.0}, 1)


def test_no_mix_means_every_action_but_those_that_need_asking() -> None:
    weights = weights_of(Preset())
    assert set(ActionName) - set(weights) == {ActionName.RESTORE_INTO_DATA, ActionName.REMOVE_CLIENT}
    assert weights_of(Preset(mix={ActionName.WRITE: 2.0, ActionName.GC: 0.0})) == {ActionName.WRITE: 2.0}


def test_a_plan_can_be_read_back_from_its_settings() -> None:
    import msgspec

    plan = Plan.make("mine", Preset(clients=3, mix={ActionName.WRITE: 1.0}), 42)
    assert msgspec.convert(plan.settings(), Preset) == plan.preset
    assert plan.draws(1, 2) == Draws(42, 1, 2)
