"""One action's turn: what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.checker.checker import Checker
from seatrial.config.model import ActionName, ActionOptions
from seatrial.context import Context, unwrap_context
from seatrial.engine.plan import Draws
from seatrial.errors import NoSpaceError, UsageError
from seatrial.history.events import Invoke
from seatrial.history.ledger import Ledger
from seatrial.multiclient.snapshotter import MultiClientSnapshotter
from seatrial.multiclient.writer import MultiClientFileWriter
from seatrial.resources import marked_directory, no_room, remove_marked_tree
from seatrial.targets.protocols import EventSink, Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What every action of a run may use."""

    run_id: str
    traits: Traits
    absent: Mapping[ActionName, str]
    """What cannot be asked of this server, and why: it never takes place."""
    emit: EventSink
    ledger: Ledger
    checker: Checker
    snapshotter: MultiClientSnapshotter
    writer: MultiClientFileWriter
    restores: Path
    """Private directories of restores are made below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an action did; becomes the ``Result``."""

    options_used: dict[str, Any] = field(default_factory=dict)
    snapshot: str = ""
    root: str = ""
    equal: bool | None = None
    listed: list[str] | None = None
    freed_bytes: int = 0
    files: int = 0
    bytes: int = 0


class Turn:
    """One action of one client. Threading: used by the client's worker only."""

    def __init__(
        self,
        *,
        ctx: Context,
        op: str,
        action: ActionName,
        mutates: bool,
        action_index: int,
        options: ActionOptions,
        draws: Draws,
        queue_s: float,
        emit: EventSink,
    ) -> None:
        self.ctx, self.op, self.options, self.draws = ctx, op, options, draws
        self._action, self._mutates, self._action_index, self.queue_s, self._emit = action, mutates, action_index, queue_s, emit
        self.invoked = False
        self.snapshot = ""
        """The one it acts on, once invoked."""

    def invoke(self, *, snapshot: str = "", options: dict[str, Any] | None = None) -> None:
        """State what is about to happen. On disk when this returns: call it before the first byte of a mutating action."""
        self.invoked, self.snapshot = True, snapshot
        self._emit(
            Invoke(
                op=self.op,
                client=unwrap_context(self.ctx).id,
                action=self._action.value,
                index=self._action_index,
                mutates=self._mutates,
                options=options or {},
                snapshot=snapshot,
                queue_s=self.queue_s,
            )
        )

    @contextmanager
    def private_directory(self, below: Path) -> Iterator[Path]:
        """An empty directory of this operation's own; gone afterwards. The marker lies beside it, not in it.

        Raises ``NoSpaceError`` where the disk is full.
        """
        marked = below / self.op
        directory = marked / "tree"
        try:
            marked_directory(marked)
            directory.mkdir()
        except (UsageError, OSError) as error:
            if no_room(error) or no_room(error.__cause__):
                raise NoSpaceError("no space left for a directory to restore into", where=str(marked)) from error
            raise
        try:
            yield directory
        finally:
            remove_marked_tree(marked)


Perform = Callable[[Scene, Turn], Done]
