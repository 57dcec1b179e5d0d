"""What a write draws keeps to its options; duplicates are as many as asked for, and long enough to be found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.config.model import WriteOptions
from seatrial.errors import NoSpaceError
from seatrial.seeds import stream
from seatrial.workload.blocks import BLOCK_BYTES
from seatrial.workload.draws import Draw, PlannedFile, cut_io_limit, draw, make_pool, plan_files

CHUNK = 16 * BLOCK_BYTES
RUN = 8 * CHUNK


@given(st.integers(0, 2**63), st.integers(0, 20), st.integers(1, 50), st.integers(0, 50))
def test_numbers_are_within_their_options(seed: int, depth: int, low: int, more: int) -> None:
    options = WriteOptions(max_dir_depth=depth, min_num_files_per_write=low, max_num_files_per_write=low + more)
    drawn = draw(stream(seed), options, 0)
    assert 0 <= drawn.branch_depth <= drawn.depth <= depth
    assert low <= drawn.num_files <= low + more
    assert drawn == draw(stream(seed), options, 0)


@pytest.mark.parametrize(
    ("low", "high", "step", "possible"),
    [(0, 100, 25, {0, 25, 50, 75, 100}), (10, 60, 25, {25, 50}), (30, 40, 25, {30}), (20, 20, 20, {20}), (35, 90, 0, {35})],
)
def test_the_duplicate_percentage_is_a_multiple_of_its_step(low: int, high: int, step: int, possible: set[int]) -> None:
    options = WriteOptions(min_dedupe_percent=low, max_dedupe_percent=high, dedupe_percent=step)
    assert {draw(stream(seed), options, 0).dedupe_percent for seed in range(200)} == possible


def test_the_io_limit_is_cut_so_that_the_free_space_limit_stays_free() -> None:
    options = WriteOptions(io_limit_per_write=1000, free_space_limit=500)
    assert cut_io_limit(options, 10_000) == 1000
    assert cut_io_limit(options, 1500) == 1000
    assert cut_io_limit(options, 1499) == 999
    with pytest.raises(NoSpaceError, match="cannot perform I/O"):
        cut_io_limit(options, 500)


def test_no_io_limit_is_no_limit_but_never_fills_the_disk() -> None:
    options = WriteOptions(free_space_limit=500)
    assert cut_io_limit(options, 501) == 0
    with pytest.raises(NoSpaceError, match="cannot perform I/O"):
        cut_io_limit(options, 400)


def planned(percent: int, low: int, high: int, count: int, io_limit: int = 0, seed: int = 1) -> list[PlannedFile]:
    options = WriteOptions(min_file_size=low, max_file_size=high)
    drawn = Draw(depth=0, branch_depth=0, num_files=count, dedupe_percent=percent, io_limit=io_limit)
    return list(plan_files(stream(seed), drawn, options, make_pool(7, CHUNK), CHUNK))


@pytest.mark.parametrize("percent", [0, 25, 50, 75, 100])
@pytest.mark.parametrize(("low", "high"), [(4096, 4096), (0, 100_000), (1000, 5 * RUN), (10 * RUN, 20 * RUN)])
def test_the_percentage_is_met_in_sum(percent: int, low: int, high: int) -> None:
    files = planned(percent, low, high, 400)
    total, shared = sum(file.size for file in files), sum(file.pool_stop - file.pool_start for file in files)
    assert abs(shared - total * percent / 100) <= high + RUN
    assert all(low <= file.size <= high for file in files)


@given(st.integers(0, 100), st.integers(0, 3 * RUN), st.integers(0, 4 * RUN), st.integers(0, 2**32))
def test_a_run_is_a_whole_file_or_long_enough_and_begins_with_a_block(percent: int, low: int, more: int, seed: int) -> None:
    for file in planned(percent, low, low + more, 20, seed=seed):
        shared = file.pool_stop - file.pool_start
        assert 0 <= file.pool_start <= file.pool_stop <= file.size
        assert shared in {0, file.size} or shared >= RUN - BLOCK_BYTES >= CHUNK
        if shared:
            assert file.pool_start % BLOCK_BYTES == 0
            assert file.pool_stop in {file.size, file.pool_stop // BLOCK_BYTES * BLOCK_BYTES}


def test_small_duplicates_have_few_sizes_so_that_they_are_duplicates() -> None:
    shared = [file.size for file in planned(50, 1000, 100_000, 400) if file.pool_stop > file.pool_start]
    assert len(shared) > 150
    assert len(set(shared)) <= 4


@given(st.integers(1, 50_000), st.integers(0, 100))
def test_an_io_limit_is_kept_to_the_byte(io_limit: int, percent: int) -> None:
    files = planned(percent, 1000, 4000, 20, io_limit=io_limit)
    total = sum(file.size for file in files)
    assert total == io_limit or (len(files) == 20 and total < io_limit)
