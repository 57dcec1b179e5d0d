"""Each thing that can go wrong with borg, brought about with the real program on a stage of the conformance suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from seatrial.config.model import GcOptions
from seatrial.errors import OperationError
from seatrial.faults.at_rest import flip_bit
from seatrial.targets.borg.keys import new_key
from seatrial.testing.stage import Stage, eventually
from seatrial.verdicts import Outcome

Provocation = Callable[[Stage], object]
"""Does what must fail, and leaves the stage's server as good as it was."""


def a_tree(stage: Stage, size_bytes: int = 50_000) -> Path:
    """A source that is like no other."""
    source = stage.new_source()
    source.mkdir()
    (source / "file").write_bytes(os.urandom(size_bytes))
    return source


def segments(stage: Stage) -> list[Path]:
    """The files that hold the repository's data, the largest first."""
    return sorted((stage.around.repository / "data").glob("*/*"), key=lambda path: -path.stat().st_size)


@contextmanager
def damaged(stage: Stage, damage: Callable[[Path], object], known: Collection[Path]) -> Iterator[None]:
    """The largest segment that is not one of the ``known`` ones is damaged for a while."""
    segment = next(path for path in segments(stage) if path not in known)
    content = segment.read_bytes()
    damage(segment)
    try:
        yield
    finally:
        segment.write_bytes(content)


@contextmanager
def configured(stage: Stage, key: str, value: str) -> Iterator[None]:
    """The repository is told so for a while."""
    stage.server.run("config", "::", key, value)
    try:
        yield
    finally:
        stage.server.run("config", "--delete", "::", key)


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """Somebody holds the repository's lock."""
    ready = stage.place / "locked"
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(stage.server.run, "with-lock", "::", "sh", "-c", f"touch {ready}; while test -e {ready}; do sleep 0.05; done")
        assert eventually(ready.exists, 30)
        try:
            yield
        finally:
            ready.unlink()
            held.result()


def delete_missing(stage: Stage) -> object:
    return stage.join().delete("seatrial-op=nobody:0-0")


def restore_missing(stage: Stage) -> object:
    return stage.join().restore("seatrial-op=nobody:0-0")


def create_twice(stage: Stage) -> object:
    player, op = stage.join(), stage.new_op()
    player.create(a_tree(stage), op)
    return player.create(a_tree(stage), op)


def list_removed(stage: Stage) -> object:
    player = stage.join()
    stage.server.remove_client(player.name)
    return player.listed()


def connect_to_another_key(stage: Stage) -> object:
    player = stage.join()
    address, _, _ = player.access.server_key.partition(" ")
    access = msgspec.structs.replace(player.access, server_key=f"{address} {new_key().public}")
    return player.client.connect(player.within(), access)


def list_another_repository(stage: Stage) -> object:
    player = stage.join()
    player.client.connect(player.within(), msgspec.structs.replace(player.access, url=f"{player.access.url}-2"))
    return player.listed()


def list_with_another_passphrase(stage: Stage) -> object:
    player = stage.join()
    player.client.connect(player.within(), msgspec.structs.replace(player.access, repository_password="another"))
    return player.listed()


def list_a_dead_server(stage: Stage) -> object:
    player, child = stage.join(), stage.server.server_cmd()
    assert child is not None
    child.kill()
    try:
        return player.listed()
    finally:
        stage.server.restart()


def list_without_repository(stage: Stage) -> object:
    player, away = stage.join(), stage.place / "away"
    stage.around.repository.rename(away)
    try:
        return player.listed()
    finally:
        away.rename(stage.around.repository)


def compact_while_locked(stage: Stage) -> object:
    player = stage.join()
    with locked(stage):
        return stage.server.run_gc(player.within(), GcOptions(retry_lock_s=0))


def create_over_the_quota(stage: Stage) -> object:
    player = stage.join()
    with configured(stage, "storage_quota", "10M"):
        return player.create(a_tree(stage, 20_000_000), stage.new_op())


def create_without_room(stage: Stage) -> object:
    player = stage.join()
    with configured(stage, "additional_free_space", "900T"):
        return player.create(a_tree(stage), stage.new_op())


def restore_flipped(stage: Stage) -> object:
    player, known = stage.join(), segments(stage)
    made = player.create(a_tree(stage, 3_000_000), stage.new_op())
    with damaged(stage, flip_bit, known):
        return player.restore(made)


def restore_without_segment(stage: Stage) -> object:
    player, known = stage.join(), segments(stage)
    made = player.create(a_tree(stage, 3_000_000), stage.new_op())
    with damaged(stage, Path.unlink, known):
        return player.restore(made)


def create_while_the_server_dies(stage: Stage) -> object:
    player, child = stage.join(), stage.server.server_cmd()
    assert child is not None
    source, before = a_tree(stage, 60_000_000), sum(path.stat().st_size for path in segments(stage))
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(player.create, source, stage.new_op())
        assert eventually(lambda: sum(path.stat().st_size for path in segments(stage)) > before + 1_000_000, 30)
        child.kill()
        try:
            return future.result()
        finally:
            stage.server.restart()


PROVOKED: dict[str, tuple[Provocation, str, Outcome]] = {
    "delete-missing": (delete_missing, "missing", Outcome.FAILED),
    "restore-missing": (restore_missing, "missing", Outcome.FAILED),
    "create-exists": (create_twice, "exists", Outcome.FAILED),
    "list-denied": (list_removed, "denied", Outcome.FAILED),
    "list-path-not-allowed": (list_another_repository, "denied", Outcome.FAILED),
    "connect-untrusted": (connect_to_another_key, "untrusted", Outcome.FAILED),
    "list-passphrase": (list_with_another_passphrase, "passphrase", Outcome.FAILED),
    "list-unreachable": (list_a_dead_server, "unreachable", Outcome.FAILED),
    "list-no-repository": (list_without_repository, "no-repository", Outcome.FAILED),
    "gc-contended": (compact_while_locked, "contended", Outcome.FAILED),
    "create-quota": (create_over_the_quota, "no-space", Outcome.FAILED),
    "create-no-room": (create_without_room, "no-space", Outcome.FAILED),
    "restore-corrupt": (restore_flipped, "corrupt", Outcome.FAILED),
    "restore-missing-data": (restore_without_segment, "missing-data", Outcome.FAILED),
    "create-cut-off": (create_while_the_server_dies, "unreachable", Outcome.UNKNOWN),
}
"""By name of the transcript: how, and what it must be judged as."""


def raised_by(provoke: Provocation, stage: Stage) -> OperationError:
    """What the target raises."""
    try:
        provoke(stage)
    except OperationError as error:
        return error
    raise AssertionError("nothing was raised")
