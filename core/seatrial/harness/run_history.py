"""The history of one run while it is being made: its directory, journal, fold, ledger, and its prefix."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from seatrial.checker.nodes import child_ids
from seatrial.clock import Clock
from seatrial.engine.plan import Plan
from seatrial.harness.identity import plan_event
from seatrial.harness.prefix import Prefix
from seatrial.history.events import Event, FormerRuns, Record
from seatrial.history.fold import RunFold
from seatrial.history.journal import Journal
from seatrial.history.ledger import Ledger
from seatrial.history.runs import create_run
from seatrial.history.view import RunView
from seatrial.resources import remove_marked_tree
from seatrial.targets.protocols import Target


class RunHistory:
    """Made before anything else of a run, closed after everything else; its first event is the plan.

    Threading: ``emit`` and ``view`` from any thread. Raises ``UsageError`` where the prefix is not ours or in use.
    """

    def __init__(
        self, plan: Plan, target: Target, *, runs_dir: Path, repo_path_prefix: Path | None, command: Sequence[str], clock: Clock
    ) -> None:
        with ExitStack() as undo:
            self.run = create_run(runs_dir, plan.preset_name, clock)
            # A run that cannot even begin its journal has nothing to say: no empty directory stays behind.
            in_vain = undo.enter_context(ExitStack())
            in_vain.callback(remove_marked_tree, self.run.path)
            self.prefix = Prefix.prepare(repo_path_prefix or self.run.path / "repository")
            self.ledger = Ledger(self.prefix.metadata, child_ids, clock)
            undo.callback(self.ledger.close)
            former = self.ledger.cumulative()
            self.journal = Journal(self.run.path, clock)
            undo.callback(self.journal.close)
            in_vain.pop_all()
            self.fold = RunFold(clock)
            self.journal.subscribe(self.fold.apply)
            self.ledger.attach(self.run.run_id, self.journal)
            self.emit(plan_event(plan, self.run.run_id, target, self.prefix.path, command))
            if former.runs:
                self.emit(FormerRuns(runs=former.runs, actions=list(former.actions)))
            self._undo = undo.pop_all()

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.run.path

    @property
    def server_log(self) -> Path:
        return self.directory / "server.log"

    def server_log_offset(self) -> int:
        """Bytes of the server's log so far."""
        try:
            return self.server_log.stat().st_size
        except OSError:
            return 0

    def emit(self, event: Event) -> Record:
        """Write one fact into the journal."""
        return self.journal.append(event)

    def view(self, *, force: bool = False) -> RunView:
        """The run as it is now."""
        return self.fold.view(force=force)

    def close(self) -> None:
        """Flush and let go of everything. Idempotent."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
