"""What a run is going to need, said ahead."""

from __future__ import annotations

from seatrial.config.model import KIB, ActionName, ActionOptions, Preset, WriteOptions
from seatrial.engine.estimate import Estimate, Volume

WRITE = WriteOptions(
    min_num_files_per_write=10,
    max_num_files_per_write=20,
    min_file_size=KIB,
    max_file_size=3 * KIB,
    min_dedupe_percent=0,
    max_dedupe_percent=0,
)


def preset(**changes: object) -> Preset:
    fields: dict[str, object] = {"clients": 2, "steps": [ActionName.WRITE], "options": ActionOptions(write=WRITE)}
    return Preset(**{**fields, **changes})  # type: ignore[arg-type]  # fields by name


def test_steps_and_the_share_of_counted_random_actions_are_writes_of_every_client() -> None:
    mix = {ActionName.WRITE: 1.0, ActionName.SNAPSHOT: 3.0}
    assert Estimate.of(preset(rounds=3)).writes == 2 * 3
    assert Estimate.of(preset(rounds=3, actions_per_client=4, mix=mix)).writes == 2 * (3 + 4 / 4)
    assert Estimate.of(preset(repeat_action=5)).writes == 2 * 5


def test_the_disk_holds_what_is_written_what_is_stored_and_what_is_restored() -> None:
    assert Estimate.of(preset()).one_write == Volume(expected_bytes=15 * 2 * KIB, most_bytes=20 * 3 * KIB)
    assert Estimate.of(preset()).disk_bytes == 2 * 15 * 2 * KIB * 3
    assert Estimate.of(preset(steps=[])).disk_bytes == 0, "random writes of a run limited by time cannot be counted ahead"


def test_a_limit_of_one_write_bounds_what_it_is_taken_for() -> None:
    limited = WriteOptions(min_file_size=0, max_file_size=1 << 30, io_limit_per_write=64 * KIB, repeat=2)
    assert Volume.of_one_write(limited) == Volume(expected_bytes=2 * 64 * KIB, most_bytes=2 * 64 * KIB)
