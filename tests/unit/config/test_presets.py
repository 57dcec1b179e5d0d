"""The shipped presets are what issue and reference say."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.config.data import builtin, checkout
from seatrial.config.loader import LoadedConfig, load_config
from seatrial.config.model import GIB, KIB, MIB, ActionName, Preset
from seatrial.targets.registry import target_names

SHIPPED = (
    "smoke",
    "many-small-files",
    "one-large-file",
    "small-files-across-tree",
    "randomized-small",
    "maintenance",
    "delete-random-snapshot",
    "soak",
    "cluster-smoke",
    "swarm",
    "all-targets",
    "kopia-gc",
    "cross-restore",
)
REFERENCE = SHIPPED[1:7]
A = ActionName


@pytest.fixture
def loaded(alone: Path) -> LoadedConfig:
    return load_config(environ={})


def write_figures(preset: Preset) -> tuple[int, int, int, int, int, int]:
    write = preset.options.write
    return (
        write.min_num_files_per_write,
        write.max_num_files_per_write,
        write.min_file_size,
        write.max_file_size,
        write.max_dir_depth,
        write.repeat,
    )


def test_exactly_these_are_shipped_and_smoke_is_the_default(loaded: LoadedConfig) -> None:
    assert tuple(loaded.config.presets) == SHIPPED
    assert loaded.preset() == loaded.preset("smoke")


@pytest.mark.parametrize("name", SHIPPED)
def test_each_says_what_it_is_and_does_something_with_what_it_wrote(loaded: LoadedConfig, name: str) -> None:
    preset = loaded.preset(name)
    assert len(preset.description) > 20
    assert preset.expect == "pass"
    does = {*preset.steps, *(action for action, weight in preset.mix.items() if weight)}
    assert preset.swarm or {A.SNAPSHOT, A.WRITE} <= does


@pytest.mark.parametrize("name", REFERENCE)
def test_the_references_workloads_have_its_clients(loaded: LoadedConfig, name: str) -> None:
    assert loaded.preset(name).clients == (1 if name == "delete-random-snapshot" else 4)


def test_many_small_files(loaded: LoadedConfig) -> None:
    preset = loaded.preset("many-small-files")
    assert write_figures(preset) == (10_000, 10_000, 4 * KIB, 4 * KIB, 1, 1)
    assert preset.steps == [A.RESTORE_INTO_DATA, A.DELETE_SUBDIRECTORY, A.DELETE_FILES, A.WRITE, A.SNAPSHOT, A.RESTORE]
    assert preset.options.delete_files.delete_contents_percent == 50


def test_one_large_file(loaded: LoadedConfig) -> None:
    preset = loaded.preset("one-large-file")
    assert write_figures(preset)[:4] == (1, 1, 40 * MIB, 40 * MIB)
    assert preset.steps == [A.RESTORE_INTO_DATA, A.WRITE, A.SNAPSHOT, A.RESTORE]


def test_small_files_across_a_tree(loaded: LoadedConfig) -> None:
    preset = loaded.preset("small-files-across-tree")
    assert write_figures(preset) == (10, 10, 4 * KIB, 4 * KIB, 15, 100)
    assert preset.steps == loaded.preset("many-small-files").steps


def test_randomized_small(loaded: LoadedConfig) -> None:
    preset = loaded.preset("randomized-small")
    assert preset.duration_s == 300
    assert preset.steps == [A.RESTORE_INTO_DATA]
    assert preset.mix == {A.SNAPSHOT: 2, A.RESTORE: 2, A.DELETE_SNAPSHOT: 1, A.WRITE: 2, A.DELETE_SUBDIRECTORY: 1, A.DELETE_FILES: 1}
    write = preset.options.write
    assert (write.io_limit_per_write, write.max_num_files_per_write, write.max_file_size, write.max_dir_depth) == (
        512 * MIB,
        100,
        64 * MIB,
        3,
    )
    assert preset.options.delete_files.delete_contents_percent == 50


def test_maintenance_contends_while_clients_work(loaded: LoadedConfig) -> None:
    preset = loaded.preset("maintenance")
    assert preset.options.gc.mode == "contend"
    assert preset.mix[A.GC] > 0
    assert preset.mix[A.SNAPSHOT] > 0
    assert preset.mix[A.DELETE_SNAPSHOT] > 0


def test_delete_random_snapshot_deletes_one_of_two(loaded: LoadedConfig) -> None:
    steps = loaded.preset("delete-random-snapshot").steps
    assert steps.count(A.DELETE_SNAPSHOT) == 1
    assert steps.index(A.DELETE_SNAPSHOT) > [n for n, step in enumerate(steps) if step is A.SNAPSHOT][1]


def test_smoke_fits_half_a_minute_and_is_lively(loaded: LoadedConfig) -> None:
    preset = loaded.preset("smoke")
    assert preset.clients == 4
    assert preset.duration_s + preset.verify.budget_s <= 30
    assert {A.GC, A.LIST, A.RECONNECT, A.VERIFY_REPOSITORY, A.RESTORE, A.DELETE_SNAPSHOT} <= {
        name for name, weight in preset.mix.items() if weight
    }
    assert preset.options.gc.mode == "window"
    assert preset.options.write.oddities
    assert preset.options.write.max_num_files_per_write * preset.options.write.max_file_size <= 8 * MIB


def test_all_targets_are_those_of_ours_each_with_the_smoke_preset(loaded: LoadedConfig) -> None:
    preset = loaded.preset("all-targets")
    assert preset.all_targets == ("embedded", "kopia", "restic", "borg")
    assert set(preset.all_targets) <= set(target_names())
    assert preset.mix == loaded.preset("smoke").mix


def test_soak_is_a_working_day_and_keeps_off_a_full_disk(loaded: LoadedConfig) -> None:
    preset = loaded.preset("soak")
    assert preset.duration_s == 8 * 3600
    assert preset.options.write.io_limit_per_write
    assert preset.options.write.free_space_limit >= GIB
    assert preset.mix[A.DELETE_SNAPSHOT] >= preset.mix[A.SNAPSHOT]


def test_swarm_has_ranges(loaded: LoadedConfig) -> None:
    swarm = loaded.preset("swarm").swarm
    assert swarm
    assert swarm.clients[0] < swarm.clients[1]
    assert loaded.preset("swarm").duration_s > 0


def test_a_checkout_reads_its_own_files() -> None:
    root = checkout()
    assert root
    assert builtin("config.toml") == root / "config.toml"
    assert {entry.name for entry in builtin("themes").iterdir()} >= {"dark.toml", "light.toml"}
