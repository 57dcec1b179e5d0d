"""What one write draws: where, how many, how large, how much of it is duplicate. Formulas: the reference's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.config.model import WriteOptions
from seatrial.errors import NoSpaceError
from seatrial.seeds import Random, derive
from seatrial.workload.blocks import BLOCK_BYTES, Pool

_POOL_CHUNKS = 16
"""Length of a pool in smallest chunks: long enough that a content-defined chunker finds its boundaries in it (it is unlikely to
find none in 15 of the average), short enough that most of what is drawn from it has been stored before."""
_RUN_CHUNKS = 8
"""Shortest run of POOL blocks within a larger file, in smallest chunks: the chunks at its two ends are not duplicates."""
_POOL_SIZES = 4
"""Files of one pool that are smaller than a run have one of so many sizes: only a file of the same size is a duplicate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The numbers of one write, always the same count of draws."""

    depth: int
    branch_depth: int
    """Down to it existing directories are reused."""
    num_files: int
    dedupe_percent: int
    io_limit: int
    """Bytes, after the cut by free space; 0 for none."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of ``size`` bytes: POOL blocks in ``pool_start <= at < pool_stop``, OWN blocks elsewhere. The start is a block's."""

    size: int
    pool_start: int
    pool_stop: int

    def cut(self, size: int) -> PlannedFile:
        """The same file, ending early."""
        return PlannedFile(min(size, self.size), min(size, self.pool_start), min(size, self.pool_stop))


def draw(rng: Random, options: WriteOptions, io_limit: int) -> Draw:
    """Depth, branch depth, number of files, percentage, in this order."""
    depth = rng.randint(0, options.max_dir_depth)
    return Draw(
        depth=depth,
        branch_depth=rng.randint(0, depth),
        num_files=rng.randint(options.min_num_files_per_write, options.max_num_files_per_write),
        dedupe_percent=_percent(rng, options),
        io_limit=io_limit,
    )


def _percent(rng: Random, options: WriteOptions) -> int:
    low, high, step = options.min_dedupe_percent, options.max_dedupe_percent, options.dedupe_percent
    steps = range(-(-low // step), high // step + 1) if step else range(0)
    place = rng.random()
    return steps[int(place * len(steps))] * step if steps else low


def room_within(options: WriteOptions, free_bytes: int) -> int:
    """Bytes that may be written before ``free-space-limit`` is reached. ``NoSpaceError`` where nothing is left."""
    room = free_bytes - options.free_space_limit
    if room <= 0:
        raise NoSpaceError(
            f"cannot perform I/O: {free_bytes} bytes free, of which free-space-limit keeps {options.free_space_limit}",
            where="write-random-files",
        )
    return room


def cut_io_limit(options: WriteOptions, free_bytes: int) -> int:
    """The I/O limit, cut so that ``free-space-limit`` stays free; 0 for none. ``NoSpaceError`` where nothing is left.

    Unlike the reference, no limit given is no licence to fill the disk: the room left is checked then too.
    """
    room = room_within(options, free_bytes)
    return min(options.io_limit_per_write, room) if options.io_limit_per_write else 0


def make_pool(seed: int, chunk_bytes: int) -> Pool:
    """The pool shared by all writers of a run that use the same seed."""
    return Pool(seed=seed, blocks=max(1, _POOL_CHUNKS * chunk_bytes // BLOCK_BYTES))


class PoolShare:
    """Spreads the duplicate percentage over files, so that it is met in sum and each run is long enough for a target to find it.

    A file shorter than a run is POOL as a whole or not at all; what it gets too much or too little the next ones make up for.
    """

    def __init__(self, percent: int, chunk_bytes: int) -> None:
        self._percent, self.run_bytes = percent, max(BLOCK_BYTES, _RUN_CHUNKS * chunk_bytes)
        self._owed = 0
        """In hundredths of a byte; never further from 0 than half the largest file and a run."""

    def take(self, size: int) -> int:
        """How many bytes of a file of ``size`` bytes are POOL."""
        self._owed += size * self._percent
        part = min(size, self._owed // 100)
        if not self.run_bytes <= part < size:
            part = size if self._owed >= size * 50 else 0
        self._owed -= part * 100
        return part

    def resize(self, size: int, new_size: int) -> None:
        """A file taken as POOL has got another size."""
        self._owed += (new_size - size) * (self._percent - 100)


def plan_files(rng: Random, drawn: Draw, options: WriteOptions, pool: Pool, chunk_bytes: int) -> Iterator[PlannedFile]:
    """The files of one write in order, ending where the I/O limit does; two draws a file."""
    share = PoolShare(drawn.dedupe_percent, chunk_bytes)
    low, span = options.min_file_size, options.max_file_size - options.min_file_size + 1
    pool_sizes = [low + derive(pool.seed, "size", k) % span for k in range(_POOL_SIZES)]
    left = drawn.io_limit
    for _ in range(drawn.num_files):
        size, choice = low + int(rng.random() * span), rng.random()
        part = share.take(size)
        if 0 < part == size < share.run_bytes:
            size = pool_sizes[int(choice * _POOL_SIZES)]
            share.resize(part, size)
            part = size
        planned = _place(size, part, at_start=choice < 0.5)
        if drawn.io_limit:
            if not left:
                return
            planned = planned.cut(left)
            left -= planned.size
        yield planned


def _place(size: int, part: int, *, at_start: bool) -> PlannedFile:
    if not part:
        return PlannedFile(size, size, size)
    if at_start or part == size:
        return PlannedFile(size, 0, part if part == size else part // BLOCK_BYTES * BLOCK_BYTES)
    return PlannedFile(size, (size - part) // BLOCK_BYTES * BLOCK_BYTES, size)
