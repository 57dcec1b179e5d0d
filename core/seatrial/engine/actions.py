"""The twelve actions. Each is one function: choose, state the invoke, do, say what was done.

An action with nothing to act on raises ``NoOp`` before its invoke: it is counted, and nothing else. Names, options and defaults are the
reference framework's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from seatrial.config.model import ActionName, ActionOptions
from seatrial.engine.turn import Done, Perform, Scene, Turn
from seatrial.errors import NoOp, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of the table."""

    name: ActionName
    perform: Perform
    mutates: bool = False
    """It changes the repository: interrupted, its outcome is UNKNOWN."""

    on_the_server: bool = False
    """It acts on the server's repository: whoever asks for it needs no connection."""

    apart: bool = False
    """It touches the client's own files only: whoever has the repository alone need not wait for it, nor it for them."""

    def alone(self, scene: Scene, options: ActionOptions) -> bool:
        """Whether it waits until no other action is under way: exclusive on this target, and not told to contend."""
        if self.name not in scene.traits.exclusive:
            return False
        return not (self.name is ActionName.GC and options.gc.mode == "contend")


def _snapshot_root(scene: Scene, turn: Turn) -> Done:
    options = turn.options.snapshot
    source = _below(scene.writer.data_directory(turn.ctx), options.sub_path)
    turn.invoke(options=msgspec.to_builtins(options))
    taken = scene.checker.take_snapshot(turn.ctx, source, turn.op)
    return Done(snapshot=taken.id, root=taken.root, files=taken.stats.files, bytes=taken.stats.bytes_read)


def _below(directory: Path, sub_path: str) -> Path:
    source = directory / sub_path
    if not source.resolve().is_relative_to(directory.resolve()):
        raise UsageError(f"{sub_path!r} leads out of the data directory", where="snapshot-root.sub-path", remedy="name a path below it")
    if not source.is_dir():
        raise NoOp(f"no directory {sub_path!r} to snapshot")
    return source


def _restore_random(scene: Scene, turn: Turn) -> Done:
    with scene.ledger.pinned(turn.draws.snapshot, turn.options.restore.snapshot_id) as row:
        turn.invoke(snapshot=row.id)
        with turn.private_directory(scene.restores) as into:
            restored = scene.checker.restore_and_compare(turn.ctx, row, into, turn.op)
    return Done(snapshot=row.id, root=restored.root, equal=True, files=restored.files, bytes=restored.bytes)


def _restore_into_data(scene: Scene, turn: Turn) -> Done:
    with scene.ledger.pinned(turn.draws.snapshot, turn.options.restore_into_data.snapshot_id) as row:
        turn.invoke(snapshot=row.id)
        scene.writer.delete_everything(turn.ctx)
        restored = scene.checker.restore_and_compare(turn.ctx, row, scene.writer.data_directory(turn.ctx), turn.op)
    return Done(snapshot=row.id, root=restored.root, equal=True, files=restored.files, bytes=restored.bytes)


def _delete_random(scene: Scene, turn: Turn) -> Done:
    row = scene.ledger.take_for_delete(turn.draws.snapshot, turn.options.delete_snapshot.snapshot_id)
    try:
        turn.invoke(snapshot=row.id)
    except BaseException:
        scene.ledger.put_back(row.id)  # without an invoke in the journal nothing has begun
        raise
    scene.snapshotter.delete_snapshot(turn.ctx, row.id)
    return Done(snapshot=row.id)


def _write(scene: Scene, turn: Turn) -> Done:
    turn.invoke(options=msgspec.to_builtins(turn.options.write))
    used = scene.writer.write_random_files(turn.ctx, turn.options.write, turn.draws.workload)
    return Done(options_used=used, files=used.get("files-written", 0), bytes=used.get("bytes-written", 0))


def _delete_subdirectory(scene: Scene, turn: Turn) -> Done:
    turn.invoke(options=msgspec.to_builtins(turn.options.delete_subdirectory))
    return Done(options_used=scene.writer.delete_random_subdirectory(turn.ctx, turn.options.delete_subdirectory, turn.draws.workload))


def _delete_files(scene: Scene, turn: Turn) -> Done:
    turn.invoke(options=msgspec.to_builtins(turn.options.delete_files))
    return Done(options_used=scene.writer.delete_directory_contents(turn.ctx, turn.options.delete_files, turn.draws.workload))


def _run_gc(scene: Scene, turn: Turn) -> Done:
    turn.invoke(options=msgspec.to_builtins(turn.options.gc))
    stats = scene.snapshotter.run_gc(turn.ctx, turn.options.gc)
    return Done(options_used=msgspec.to_builtins(stats), freed_bytes=stats.freed_bytes)


def _list(scene: Scene, turn: Turn) -> Done:
    turn.invoke()
    return Done(listed=scene.checker.observe(turn.ctx, turn.op))


def _verify_repository(scene: Scene, turn: Turn) -> Done:
    turn.invoke()
    return Done(equal=scene.checker.verify_repository(turn.ctx, turn.op).clean)


def _reconnect(scene: Scene, turn: Turn) -> Done:
    turn.invoke()
    scene.snapshotter.reconnect(turn.ctx)
    return Done()


def _remove_client(scene: Scene, turn: Turn) -> Done:
    """Its snapshots stay; its data goes. Its next action makes it anew under the same identity."""
    turn.invoke()
    scene.checker.judge_removal(turn.op, turn.ctx, still_admitted=scene.snapshotter.remove_client(turn.ctx))
    scene.writer.cleanup(turn.ctx)
    return Done()


ACTIONS: Mapping[ActionName, Action] = {
    action.name: action
    for action in (
        Action(name=ActionName.SNAPSHOT, perform=_snapshot_root, mutates=True),
        Action(name=ActionName.RESTORE, perform=_restore_random),
        Action(name=ActionName.DELETE_SNAPSHOT, perform=_delete_random, mutates=True),
        Action(name=ActionName.WRITE, perform=_write, apart=True),
        Action(name=ActionName.DELETE_SUBDIRECTORY, perform=_delete_subdirectory, apart=True),
        Action(name=ActionName.DELETE_FILES, perform=_delete_files, apart=True),
        Action(name=ActionName.RESTORE_INTO_DATA, perform=_restore_into_data),
        Action(name=ActionName.GC, perform=_run_gc, mutates=True, on_the_server=True),
        Action(name=ActionName.LIST, perform=_list),
        Action(name=ActionName.VERIFY_REPOSITORY, perform=_verify_repository, on_the_server=True),
        Action(name=ActionName.RECONNECT, perform=_reconnect),
        Action(name=ActionName.REMOVE_CLIENT, perform=_remove_client),
    )
}
