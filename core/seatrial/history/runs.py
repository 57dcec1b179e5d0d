"""The run store: one directory per run, ``<runs>/<run-id>/``, found again by id, prefix of it, path or ``last``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import platformdirs

from seatrial.clock import SYSTEM_CLOCK, Clock, stamp
from seatrial.errors import SeatrialError, UsageError
from seatrial.history.events import PlanEvent, RunEnded
from seatrial.history.journal import is_running
from seatrial.history.reader import JournalFollower, decode_record
from seatrial.history.segments import MAX_LINE_BYTES, plain_path, segment_numbers
from seatrial.resources import is_marked, marked_directory, refuse_odd_name, remove_marked_tree
from seatrial.verdicts import Verdict

LAST = "last"
_TAIL_BYTES = 64 << 10
_TRIES = 100
_NAMED = 10
"""Of the runs that an ambiguous name may mean."""
_ID = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{4}")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")


class RunDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """One run's place."""

    run_id: str
    path: Path


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a list: from the first and the last line of its journal only."""

    run_id: str
    path: Path
    preset: str = ""
    target: str = ""
    seed: int = 0
    started_ns: int = 0
    """0 for a run whose journal was not begun."""
    last_ns: int = 0
    """Of its last record."""
    verdict: Verdict | None = None
    """None while it runs, and for a run that was killed."""
    running: bool = False
    """Its engine is there."""
    exit_code: int | None = None
    aborted: bool = False
    unreadable: str = ""
    """Why nothing more is known of it: another version, a damaged journal."""

    @property
    def duration_s(self) -> float:
        """From the first record to the last."""
        return (self.last_ns - self.started_ns) / 1e9


def runs_root(configured: str | Path = "") -> Path:
    """Where runs are kept: as configured, else ``seatrial/runs`` in the user's state directory.

    There is no silent fallback: evidence in a temporary directory would be gone when it is wanted. Raises ``UsageError`` where
    the user has no home.
    """
    if str(configured):
        return Path(configured).absolute()
    try:
        state = platformdirs.user_state_path("seatrial")
    except RuntimeError:  # newer versions raise where older ones return a path that begins with ~
        state = Path("~")
    if not state.is_absolute():
        raise UsageError("there is no home directory to keep runs in", where=str(state), remedy="set HOME, or name a place with --runs-dir")
    return state / "runs"


def create_run(runs_dir: Path, preset: str, clock: Clock = SYSTEM_CLOCK) -> RunDirectory:
    """A new run directory with our marker. Ids sort by time: ``YYYYMMDD-HHMMSS-<preset>-<4 hex>``, in UTC. Raises ``UsageError``."""
    name = _NOT_IN_NAMES.sub("-", preset.lower()).strip("-") or "run"
    refuse_odd_name(runs_dir)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            run_id = f"{stamp(clock.now_ns()).replace('_', '-')}-{name}-{os.urandom(2).hex()}"
            path = runs_dir / run_id
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return RunDirectory(run_id=run_id, path=marked_directory(path))
    except OSError as error:
        raise UsageError(
            f"no run directory can be made: {error.strerror}", where=str(runs_dir), remedy="name another place with --runs-dir"
        ) from error
    raise UsageError("too many runs begin in this second", where=str(runs_dir), remedy="try again")


def find_run(runs_dir: Path, name: str) -> RunDirectory:
    """The run that ``name`` means: a directory, an id, a unique prefix of an id, or ``last``. Raises ``UsageError``."""
    as_path = Path(name)
    if os.sep in name or name in {".", ".."}:
        if not as_path.is_dir():
            raise UsageError("no such directory", where=name, remedy="`seatrial runs` lists the runs there are")
        return _as_run(as_path)
    ids = _ids(runs_dir)
    if name == LAST:
        if not ids:
            raise UsageError("there is no run yet", where=str(runs_dir), remedy="start one with `seatrial run`")
        return RunDirectory(run_id=ids[-1], path=runs_dir / ids[-1])
    found = [name] if name in ids else [run_id for run_id in ids if name and run_id.startswith(name)]
    if len(found) == 1:
        return RunDirectory(run_id=found[0], path=runs_dir / found[0])
    if found:
        shown = ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
        raise UsageError(f"{name!r} may mean {len(found)} runs: {shown}", where=str(runs_dir), remedy="give more of the id")
    if as_path.is_dir():
        return _as_run(as_path)
    raise UsageError(f"no run is called {name!r}", where=str(runs_dir), remedy="`seatrial runs` lists the runs there are")


def list_runs(runs_dir: Path, prefix: str = "") -> Iterator[RunSummary]:
    """All runs whose id begins with ``prefix``, the newest first; a run that cannot be read says why instead of ending the list."""
    for run_id in reversed(_ids(runs_dir)):
        if run_id.startswith(prefix):
            yield summarize(RunDirectory(run_id=run_id, path=runs_dir / run_id))


def summarize(run: RunDirectory) -> RunSummary:
    """The first and the last record of a run."""
    empty = RunSummary(run_id=run.run_id, path=run.path)
    try:
        with JournalFollower(run.path) as follower:
            first = next(iter(follower.poll(1)), None)
        if first is None or not isinstance(first.event, PlanEvent):
            return empty
        running = is_running(run.path)
        last_ns, end = _end(run.path)
    except (SeatrialError, OSError) as error:
        return msgspec.structs.replace(empty, unreadable=str(error))
    return RunSummary(
        run_id=run.run_id,
        path=run.path,
        preset=first.event.preset,
        target=first.event.target,
        seed=first.event.seed,
        started_ns=first.at_ns,
        last_ns=max(last_ns, first.at_ns),
        verdict=end.verdict if end else None,
        exit_code=end.exit_code if end else None,
        aborted=end.aborted if end else False,
        running=running,
    )


def prune(
    runs_dir: Path, *, keep: int | None = None, older_than_s: float | None = None, dry_run: bool = False, clock: Clock = SYSTEM_CLOCK
) -> list[RunDirectory]:
    """Delete all but the newest ``keep`` runs, of those the ones older than ``older_than_s``; at least one of the two is given.

    Only directories that carry our marker and a run's name, and no run that is under way. Returns what was (or would be) deleted,
    the oldest first.
    """
    if keep is None and older_than_s is None:
        raise UsageError("nothing says which runs to delete", where="prune", remedy="give --keep or --older-than")
    ids = _ids(runs_dir)
    if keep is not None:
        ids = ids[: max(0, len(ids) - keep)]
    if older_than_s is not None:
        limit = stamp(clock.now_ns() - int(older_than_s * 1e9)).replace("_", "-")
        ids = [run_id for run_id in ids if run_id < limit]
    doomed = [RunDirectory(run_id=run_id, path=runs_dir / run_id) for run_id in ids]
    doomed = [run for run in doomed if is_marked(run.path) and not is_running(run.path)]
    if not dry_run:
        for run in doomed:
            remove_marked_tree(run.path)
    return doomed


def _ids(runs_dir: Path) -> list[str]:
    """Ascending, which is by time."""
    try:
        return sorted(path.name for path in runs_dir.iterdir() if _ID.fullmatch(path.name) and path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"the runs cannot be listed: {error.strerror}", where=str(runs_dir), remedy="name another --runs-dir") from error


def _as_run(path: Path) -> RunDirectory:
    if not segment_numbers(path):
        raise UsageError("the directory holds no journal of a run", where=str(path), remedy="`seatrial runs` lists the runs there are")
    absolute = path.absolute()
    return RunDirectory(run_id=absolute.resolve().name, path=absolute)


def _end(path: Path) -> tuple[int, RunEnded | None]:
    """When the last whole record was written, and the end if it is that; the last segment is never compressed."""
    for size in (_TAIL_BYTES, MAX_LINE_BYTES + _TAIL_BYTES):
        lines = _tail(path, size)
        if lines:
            record = decode_record(lines[-1])
            return record.at_ns, record.event if isinstance(record.event, RunEnded) else None
    return 0, None


def _tail(path: Path, size: int) -> list[bytes]:
    """The whole lines among the last ``size`` bytes of the last segment."""
    with plain_path(path, segment_numbers(path)[-1]).open("rb") as file:
        begin = max(0, file.seek(0, os.SEEK_END) - size)
        file.seek(begin)
        lines = file.read().split(b"\n")
    return lines[1 if begin else 0 : -1]
