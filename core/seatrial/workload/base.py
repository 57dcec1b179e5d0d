"""What all file writers share: draws, directories, deletions, locks and the free-space guard. How files are written is theirs."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.config.model import DeleteFilesOptions, DeleteSubdirectoryOptions, WriteOptions
from seatrial.context import Context
from seatrial.errors import HarnessError, NoOp, NoSpaceError, UsageError
from seatrial.seeds import Random, stream
from seatrial.workload import tree
from seatrial.workload.blocks import Own, Stream, header_path, printable
from seatrial.workload.draws import Draw, cut_io_limit, draw, room_within
from seatrial.workload.locks import PathLock
from seatrial.workload.oddities import Oddities, make_oddities


@dataclass(slots=True)
class Written:
    """What one write did. Owner: the write."""

    files: int = 0
    bytes: int = 0
    pool_bytes: int = 0
    """Of these, how many are duplicates on purpose."""
    oddities: Oddities = field(default_factory=Oddities)


class RandomFileWriter(ABC):
    """A ``FileWriter`` over one directory, which it makes; one that has something in it already is refused, for it will be deleted.

    ``client_id`` names the owner in what is written. ``loses``: odd things that are not made, because the target does not keep them
    (``Traits.not_written``). ``locks`` may be shared with whoever reads the directory meanwhile. Threading: one thread at a time, except
    ``data_directory``.
    """

    def __init__(
        self,
        directory: Path,
        client_id: str,
        *,
        loses: frozenset[str] = frozenset(),
        locks: PathLock | None = None,
        free_bytes: Callable[[Path], int] = tree.free_bytes,
    ) -> None:
        self._directory = directory.absolute()
        self._client_id, self._loses = client_id, loses
        self._locks, self._free_bytes = locks or PathLock(), free_bytes
        with _our_errors(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            if next(self._directory.iterdir(), None) is not None:
                raise UsageError(
                    "is not empty", where=str(self._directory), remedy="a data directory is deleted at the end; name a new one"
                )

    def data_directory(self, ctx: Context) -> Path:
        return self._directory

    def write_random_files(self, ctx: Context, options: WriteOptions, seed: int) -> dict[str, Any]:
        """See ``FileWriter``. Of several writes (``repeat``) drawn numbers that differ are given as sorted lists, counts as sums."""
        used, total = _Used(), Written()
        for index in range(options.repeat):
            ctx.check()
            rng = stream(seed, "write", index)
            drawn = draw(rng, options, cut_io_limit(options, self._free_bytes(self._directory)))
            directory = tree.branch(rng, self._directory, drawn.depth, drawn.branch_depth)
            with self._locks.hold(ctx, directory), _our_errors(directory):
                tree.make(self._directory, directory)
                generation = self._next_generation()
                written = self._write(ctx, directory, generation, rng, drawn, options)
                if options.oddities:
                    written.oddities = self._make_oddities(directory, generation)
            used.add(
                {
                    "dir-depth": drawn.depth,
                    "num-files": drawn.num_files,
                    "dedupe-percent": drawn.dedupe_percent,
                    "io-limit-per-write": drawn.io_limit,
                }
            )
            _sum(total, written)
        return used.merged() | _options_used(options, total)

    @abstractmethod
    def _write(self, ctx: Context, directory: Path, generation: int, rng: Random, drawn: Draw, options: WriteOptions) -> Written:
        """Write ``drawn.num_files`` files into ``directory``, which exists and is locked."""

    def delete_random_subdirectory(self, ctx: Context, options: DeleteSubdirectoryOptions, seed: int) -> dict[str, Any]:
        rng = stream(seed, "delete-subdirectory")
        depth = rng.randint(1, options.max_dir_depth)
        directory = self._find(rng, depth)
        with self._locks.hold(ctx, directory), _our_errors(directory):
            tree.remove(directory)
        return {"dir-depth": depth, "deleted": self._relative(directory)}

    def delete_directory_contents(self, ctx: Context, options: DeleteFilesOptions, seed: int) -> dict[str, Any]:
        rng = stream(seed, "delete-contents")
        depth = rng.randint(0, options.max_dir_depth)
        directory = self._find(rng, depth)
        with self._locks.hold(ctx, directory), _our_errors(directory):
            names = sorted(os.listdir(directory)) if directory.is_dir() else []  # noqa: PTH208 - names, not paths
            doomed = [name for name in names if rng.random() * 100 < options.delete_contents_percent]
            for name in doomed:
                ctx.check()
                tree.remove(directory / name)
        return {
            "dir-depth": depth,
            "delete-contents-percent": options.delete_contents_percent,
            "directory": self._relative(directory),
            "entries": len(names),
            "deleted": len(doomed),
        }

    def delete_everything(self, ctx: Context) -> None:
        with self._locks.hold(ctx, self._directory), _our_errors(self._directory):
            for path in self._directory.iterdir():
                tree.remove(path)

    def cleanup(self, ctx: Context) -> None:
        with _our_errors(self._directory):
            tree.remove(self._directory)

    def _find(self, rng: Random, depth: int) -> Path:
        found = tree.find_at_depth(rng, self._directory, depth)
        if found is None:
            raise NoOp(f"no directory {depth} deep", where=str(self._directory))
        return found

    def _relative(self, path: Path) -> str:
        return printable(os.fsencode(path.relative_to(self._directory)))

    def _make_oddities(self, directory: Path, generation: int) -> Oddities:
        prefix = self._prefix(directory)
        return make_oddities(directory, lambda name: self._own(prefix + name, generation), loses=self._loses)

    def _prefix(self, directory: Path) -> bytes:
        """What stands before the name of a file in ``directory``, relative to the data directory."""
        relative = os.fsencode(directory.relative_to(self._directory))
        return b"" if relative == b"." else relative + b"/"

    def _own(self, path: bytes, generation: int) -> Stream:
        return Stream(Own(client=self._client_id, path=header_path(path), generation=generation))

    def _guard(self, options: WriteOptions) -> int:
        """Bytes that may be written now; ``NoSpaceError`` once no more than the free-space limit is free. For long writes, on the way."""
        return room_within(options, self._free_bytes(self._directory))

    def _next_generation(self) -> int:
        """Kept beside the directory: a client that leaves and comes back under its identity must not use a number twice.

        Written anew and moved into place: on a full disk the last number stays.
        """
        counter = self._directory.with_name(f"{self._directory.name}.generation")
        last = int(counter.read_text()) if counter.exists() else 0
        following = counter.with_name(f"{counter.name}.new")
        following.write_text(str(last + 1))
        following.replace(counter)
        return last + 1


class _Used:
    """Drawn numbers of several writes: one value where they agree."""

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = {}

    def add(self, drawn: dict[str, int]) -> None:
        for name, value in drawn.items():
            self._seen.setdefault(name, set()).add(value)

    def merged(self) -> dict[str, Any]:
        return {name: sorted(values) if len(values) > 1 else min(values) for name, values in self._seen.items()}


def _sum(total: Written, one: Written) -> None:
    total.files += one.files
    total.bytes += one.bytes
    total.pool_bytes += one.pool_bytes
    total.oddities = one.oddities


def _options_used(options: WriteOptions, total: Written) -> dict[str, Any]:
    used: dict[str, Any] = {
        "min-file-size": options.min_file_size,
        "max-file-size": options.max_file_size,
        "files-written": total.files,
        "bytes-written": total.bytes,
        "duplicate-bytes": total.pool_bytes,
    }
    if options.repeat > 1:
        used["repeat"] = options.repeat
    if options.oddities:
        used |= {"oddities": total.oddities.made, "oddities-skipped": total.oddities.skipped}
    return used


@contextmanager
def _our_errors(where: Path) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except OSError as error:
        # Files are made relative to their directory's descriptor.
        text = printable(os.path.join(os.fsencode(where), os.fsencode(error.filename or b"")))  # noqa: PTH118 - bytes
        if error.errno in tree.FULL:
            raise NoSpaceError("no space left on device", where=text) from error
        raise HarnessError(f"the data directory cannot be changed: {error.strerror}", where=text) from error
