"""The test harness: everything that stands around the engine, set up in order and torn down in the reverse order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from seatrial.checker.checker import Checker
from seatrial.checker.findings import Findings
from seatrial.children import Children
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.config.model import Misfit, Preset
from seatrial.context import Context, new_client_contexts, unwrap_context
from seatrial.engine.engine import Engine
from seatrial.engine.gate import Gate
from seatrial.engine.plan import Plan, asked_for
from seatrial.engine.turn import Scene
from seatrial.engine.workers import run_clients
from seatrial.errors import UsageError
from seatrial.harness.capacity import actions_at_a_time
from seatrial.harness.dirs import dirs_to_log
from seatrial.harness.rubbish import Rubbish
from seatrial.harness.run_history import RunHistory
from seatrial.history.events import NotRun, StorageStats
from seatrial.multiclient.client import CheckedClientSnapshotter
from seatrial.multiclient.snapshotter import MultiClientSnapshotter
from seatrial.multiclient.writer import MultiClientFileWriter
from seatrial.observe.directories import storage_stats, write_storage_stats
from seatrial.resources import marked_directory, raise_open_files, remove_marked_tree
from seatrial.seeds import derive, new_root_seed
from seatrial.targets.protocols import Server, Surroundings, Target
from seatrial.targets.registry import target_named
from seatrial.workload.writers import writer_factory


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessSettings:
    """What a harness is set up for."""

    runs_dir: Path
    """A run directory of its own is made below it."""
    repo_path_prefix: Path | None = None
    """None for a prefix inside the run directory."""
    preset: Preset = Preset()
    """The default has the reference framework's sizes: up to 10,000 files of 1 GiB in a write."""
    preset_name: str = "custom"
    seed: int | None = None
    """None for one from the operating system."""
    target: Target | None = None
    """None for the registered one that the preset names."""
    command: tuple[str, ...] = ()
    """Runs the same plan again; for the journal."""

    def plan(self) -> Plan:
        """With everything drawn that the seed draws ahead. ``UsageError`` for a preset that cannot be run."""
        try:
            self.preset.check_nodes()
        except Misfit as error:
            raise UsageError(error.named, where=self.preset_name, remedy=error.remedy) from error
        return Plan.make(self.preset_name, self.preset, new_root_seed() if self.seed is None else self.seed)

    def find_target(self) -> Target:
        return self.target or target_named(self.preset.target)

    def begin(self, plan: Plan, clock: Clock) -> RunHistory:
        """Make the run directory and its journal."""
        return RunHistory(
            plan,
            self.find_target(),
            runs_dir=self.runs_dir,
            repo_path_prefix=self.repo_path_prefix,
            command=self.command,
            clock=clock,
        )


class TestHarness:
    """Sets up base directory, file writer, server and snapshotter, ledger and engine for a target; cleans all of it up.

    Needs a context with a client (``key not found`` without one), which it uses for what is nobody's in particular. The first
    failure of the set-up stops it and cleans up what was there. Threading: made and cleaned up by one thread; ``run``, ``run_n`` and
    the engine may be used meanwhile.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(
        self,
        ctx: Context,
        settings: HarnessSettings,
        *,
        history: RunHistory | None = None,
        plan: Plan | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``history`` and ``plan``: of a run that has begun already and is ended by whoever began it."""
        self.client = unwrap_context(ctx)
        self.settings, self.clock = settings, clock
        self.plan = plan or settings.plan()
        self.target = settings.find_target()
        raise_open_files()
        with ExitStack() as undo:
            self.history = history or undo.enter_context(settings.begin(self.plan, clock))
            self._set_up_places(undo)
            self._set_up_server(undo)
            self._engine = self._make_engine()
            self._recover(ctx)
            self._undo = undo.pop_all()

    # -- what there is

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def server(self) -> Server:
        return self._server

    def get_dirs_to_log(self, ctx: Context) -> list[str]:
        """Data repository, metadata repository, parent of the client's data directory, ledger, base, cache and its sub-directories."""
        data_directory = self._writer.data_directory(ctx)
        return [str(path) for _, path in dirs_to_log(self.history.prefix, data_directory.parent, self.base, self.snapshotter.caches())]

    def log_storage_stats(self, when: Literal["before", "after"]) -> None:
        """Sizes of the directories worth logging: into the journal and into a file below ``<prefix>/logs``."""
        prefix = self.history.prefix
        sizes = storage_stats(path for _, path in dirs_to_log(prefix, self.base, self.base, self.snapshotter.caches()))
        write_storage_stats(prefix.path, self.target.name, sizes, self.clock)
        self.history.emit(StorageStats(when=when, directories=sizes))

    # -- what it does

    def run(self, contexts: Sequence[Context], fn: Callable[[Context], object], *, cleanup: bool = False) -> None:
        """``fn`` once per context, all at the same time; waits for all, then cleans up the clients if asked.

        Raises what ``fn`` raised: one exception as it is, several as a group.
        """
        try:
            run_clients(contexts, fn)
        finally:
            if cleanup:
                for ctx in contexts:
                    self._engine.leave(ctx)

    def run_n(self, ctx: Context, n: int, fn: Callable[[Context], object]) -> None:
        """``run`` with ``n`` new clients that are cleaned up afterwards."""
        self.run(new_client_contexts(ctx, n), fn, cleanup=True)

    def cleanup(self, ctx: Context) -> None:
        """Shut the engine down (last snapshots, as long as the server lives), then give everything back. Idempotent."""
        undo, self._undo = self._undo, ExitStack()
        self._engine.gate.reopen()  # nobody is left who would
        with undo:
            command = self._server.server_cmd()
            if ctx.cancel.cancelled:
                self._server.cleanup()  # before its clients part from it: each of them would wait for one that hangs
            elif command is None or command.returncode is None:
                self._engine.shutdown([slot.ctx for slot in self._engine.clients.all()])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cleanup(Context(client=self.client))

    def settle(self, ctx: Context, op: str) -> list[str]:
        """List on the server's side, resolve what is UNKNOWN, report what is lost or back. No client may be acting meanwhile."""
        return self._engine.scene.checker.settle(lambda: self._server.snapshot_ids(ctx), op)

    def give_up_data(self, contexts: Sequence[Context]) -> None:
        """Begin to remove the data directories of clients that will not write any more; not where a last snapshot has yet to be taken."""
        for ctx in contexts:
            slot = self._engine.clients.of(unwrap_context(ctx).id)
            if slot is not None and not slot.wrote_since_snapshot:
                self._rubbish.do(partial(self._writer.cleanup, ctx))

    # -- set-up, in the order whose reverse undoes it

    def _set_up_places(self, undo: ExitStack) -> None:
        self.children = Children(clock=self.clock)
        undo.callback(self.children.close)
        self.base = marked_directory(Path(tempfile.mkdtemp(prefix="engine-data-", dir=self.history.directory)))
        undo.callback(remove_marked_tree, self.base)
        self._rubbish = Rubbish()
        undo.callback(self._rubbish.close)
        self.children.adopt_directory(self.base)
        preset, traits = self.plan.preset, self.target.traits
        new_writer = writer_factory(preset.writer, self.base / "data", traits, self.children, pool_seed=derive(self.plan.seed, "pool"))
        self._writer = MultiClientFileWriter(lambda ctx: new_writer(unwrap_context(ctx).id))
        undo.callback(self._writer.cleanup_all)

    def _set_up_server(self, undo: ExitStack) -> None:
        self._around = Surroundings(
            preset=self.plan.preset,
            repository=self.history.prefix.data,
            base=self.base,
            server_log=self.history.server_log,
            children=self.children,
            emit=self.history.emit,
            seed=self.plan.seed,
            discard=self._rubbish.discard,
        )
        self._server = self.target.make_server(self._around)
        self.snapshotter = MultiClientSnapshotter(self.base, self._new_client, self._server)
        undo.callback(self.snapshotter.cleanup)
        self.snapshotter.connect_or_create_repo(self.history.prefix.data)
        preset, absent = self.plan.preset, self._server.absent
        for name in sorted(asked_for(preset) & absent.keys()):
            self.history.emit(NotRun(action=name.value, why=absent[name], planned=name in preset.steps))

    def _new_client(self, ctx: Context, directory: Path) -> CheckedClientSnapshotter:
        return CheckedClientSnapshotter(
            ctx, self.target.make_client(self._around, directory), self._server.access, self.target.traits.keeps
        )

    def _make_engine(self) -> Engine:
        history, traits = self.history, self.target.traits
        checker = Checker(
            run_id=history.run_id,
            traits=traits,
            ledger=history.ledger,
            snapshotter=self.snapshotter,
            verifier=self.snapshotter.verify_repository,
            emit=history.emit,
            findings=Findings(history.emit, history.server_log_offset),
            evidence=history.directory / "evidence",
            strangers=self._server.server_cmd() is None,
        )
        scene = Scene(
            run_id=history.run_id,
            traits=traits,
            absent=self._server.absent,
            emit=history.emit,
            ledger=history.ledger,
            checker=checker,
            snapshotter=self.snapshotter,
            writer=self._writer,
            restores=marked_directory(self.base / "restores"),
        )
        gate = Gate(self.plan.preset.in_flight or actions_at_a_time(traits))
        return Engine(self.plan, scene, gate, partial(history.view, force=True), self.clock)

    def _recover(self, ctx: Context) -> None:
        """Hold what earlier runs have left against what the repository has, before anybody acts."""
        for problem in self.history.ledger.problems:
            self._engine.scene.checker.findings.incomplete(problem.what, where=problem.where, remedy=problem.remedy)
        if self._server.server_cmd() is None:
            self._refuse_strangers(ctx)
        self.settle(ctx, "start")

    def _refuse_strangers(self, ctx: Context) -> None:
        """On an attached server: a repository that others keep snapshots in is tested only when it was named."""
        address = self._server.access(self.client.id).url
        strangers = sum(not row.op for row in self._server.snapshot_ids(ctx))
        if strangers and self.plan.preset.repo.rstrip("/") != address.rstrip("/"):
            raise UsageError(
                f"there are snapshots in this repository that seatrial did not make ({strangers} of them)",
                where=address,
                remedy=f"to test it all the same, which leaves them alone, name it: --repo {address}",
            )
