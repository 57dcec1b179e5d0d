"""What a seed draws out of ranges: inside them, the same each time, and something else for another seed."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from seatrial.config.model import ActionName, Preset, SwarmSettings, WriteOptions
from seatrial.config.swarm import AT_LEAST_ONE, NEVER_DRAWN, resolve

SEEDS = st.integers(0, 2**63 - 1)
FROM_SEED_7 = (9, 53, 1, 7)
"""Clients, least number of files, greatest size, depth: a change here breaks the reruns of old swarm runs."""


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda pair: (min(pair), max(pair)))


RANGES = st.builds(
    SwarmSettings,
    clients=pairs(1, 100),
    num_files=pairs(1, 10_000),
    file_size=pairs(0, 1 << 40),
    dir_depth=pairs(0, 100),
    weight=pairs(0, 50).filter(lambda pair: pair[1] > 0),
)


@given(RANGES, SEEDS)
def test_every_drawn_value_is_within_its_range(ranges: SwarmSettings, seed: int) -> None:
    drawn = resolve(Preset(swarm=ranges), seed)
    write = drawn.options.write
    assert ranges.clients[0] <= drawn.clients <= ranges.clients[1]
    assert ranges.num_files[0] <= write.min_num_files_per_write <= write.max_num_files_per_write <= ranges.num_files[1]
    assert ranges.file_size[0] <= write.min_file_size <= write.max_file_size <= ranges.file_size[1]
    assert ranges.dir_depth[0] <= write.max_dir_depth <= ranges.dir_depth[1]
    assert all(ranges.weight[0] <= weight <= ranges.weight[1] for weight in drawn.mix.values())
    assert drawn.mix.keys() == set(ActionName) - NEVER_DRAWN
    assert all(drawn.mix[name] >= 1 for name in AT_LEAST_ONE)


@given(RANGES, SEEDS)
def test_a_resolved_preset_is_a_plain_one_that_survives_the_journal(ranges: SwarmSettings, seed: int) -> None:
    drawn = resolve(Preset(swarm=ranges), seed)
    assert resolve(drawn, seed + 1) is drawn
    assert msgspec.convert(msgspec.to_builtins(drawn), Preset) == drawn


def test_the_same_seed_draws_the_same_on_any_machine() -> None:
    drawn = resolve(Preset(swarm=SwarmSettings()), 7)
    assert drawn == resolve(Preset(swarm=SwarmSettings()), 7)
    write = drawn.options.write
    assert (drawn.clients, write.min_num_files_per_write, write.max_file_size, write.max_dir_depth) == FROM_SEED_7


def test_seeds_differ_and_reach_both_ends() -> None:
    drawn = [resolve(Preset(swarm=SwarmSettings(clients=(1, 3), weight=(0, 2))), seed) for seed in range(100)]
    assert {preset.clients for preset in drawn} == {1, 2, 3}
    assert {preset.mix[ActionName.GC] for preset in drawn} == {0.0, 1.0, 2.0}
    assert min(preset.options.write.min_file_size for preset in drawn) < 64
    assert max(preset.options.write.max_file_size for preset in drawn) > 1 << 20


def test_an_own_mix_says_which_actions_are_drawn() -> None:
    own = {ActionName.WRITE: 1.0, ActionName.REMOVE_CLIENT: 1.0, ActionName.GC: 0.0}
    drawn = resolve(Preset(mix=own, swarm=SwarmSettings(weight=(2, 3))), 1)
    assert drawn.mix.keys() == {ActionName.WRITE, ActionName.REMOVE_CLIENT}


def test_a_draw_of_nothing_but_zeros_draws_everything() -> None:
    own = {ActionName.LIST: 1.0, ActionName.RECONNECT: 1.0}
    drawn = [resolve(Preset(mix=own, swarm=SwarmSettings(weight=(0, 1))), seed).mix for seed in range(50)]
    assert all(any(mix.values()) for mix in drawn)
    assert any(0.0 in mix.values() for mix in drawn)


def test_what_is_not_drawn_stays() -> None:
    preset = Preset(duration_s=9, swarm=SwarmSettings())
    preset = msgspec.structs.replace(
        preset, options=msgspec.structs.replace(preset.options, write=WriteOptions(oddities=True, io_limit_per_write=5))
    )
    drawn = resolve(preset, 3)
    assert (drawn.duration_s, drawn.options.write.oddities, drawn.options.write.io_limit_per_write) == (9, True, 5)


def test_a_preset_without_ranges_is_left_alone() -> None:
    preset = Preset(clients=5)
    assert resolve(preset, 1) is preset
