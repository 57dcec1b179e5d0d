"""What every target must hold when it is disturbed: a server that hangs, dies, is stopped; a repository that was damaged."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from seatrial.checker.compare import METADATA
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import Preset
from seatrial.context import CancelToken, Context
from seatrial.errors import CancelledError, OperationError
from seatrial.targets.protocols import Target
from seatrial.testing import sample
from seatrial.testing.rules import Kept, bring_back, keep, nothing_is_lost_or_added
from seatrial.testing.stage import Player, Stage, eventually, must
from seatrial.verdicts import Outcome

DEADLINE_S = 1.5
"""Of operations that cannot come to their end."""
GRACE_S = 10.0
"""After a deadline or a cancellation an operation has to be over, on a machine with something else to do."""
_TOLD_S = 10.0
"""Until the journal has been told of a death."""
_BEGUN_S = 1.0
_LOOK_AGAIN_S = 0.005
_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):(\d+)")

Damage = Callable[[Path], str]
"""Damages the repository; says how."""


# -- a server that hangs


def _hang(player: Player, source: Path, op: str, ctx: Context) -> OperationError | CancelledError | str:
    """What a create comes to that nobody answers; the id where it returned all the same."""
    try:
        return player.client.create(ctx, source, op)[0]
    except (OperationError, CancelledError) as error:
        return error


def ends_when_told(first: Player, second: Player) -> None:
    """A create that a hanging server never answers ends with its deadline, another with its cancellation: ``OperationError`` or
    ``CancelledError``. Once the server goes on, each is listed once with its operation or not at all; not at all where it was FAILED."""
    stage = first.stage
    sources = [sample.make_small(stage.new_source(), f"never answered {number}") for number in (1, 2)]
    ops = [stage.new_op(), stage.new_op()]
    token = CancelToken()
    contexts = (first.within(DEADLINE_S), Context(client=second.ctx.client, cancel=token))
    running = len(stage.processes())
    # The server goes on before the threads are waited for: what ignores its deadline comes to its end then.
    with ThreadPoolExecutor(2) as threads, stage.frozen():
        futures = [threads.submit(_hang, *each) for each in zip((first, second), sources, ops, contexts, strict=True)]
        # Somewhere in the middle, where that shows; it is right at any moment.
        eventually(lambda: contexts[1].progress.stage or len(stage.processes()) > running + 1, _BEGUN_S)
        token.cancel("the conformance suite cancels")
        eventually(lambda: all(future.done() for future in futures), DEADLINE_S + GRACE_S)
        late = [name for name, future in zip(("deadline", "cancellation"), futures, strict=True) if not future.done()]
        must(not late, f"a create had not ended {GRACE_S:.0f} s after its {' and its '.join(late)}")
    for player in (first, second):
        player.client.disconnect()
        player.connect()
    for ended, op in zip((future.result() for future in futures), ops, strict=True):
        _judge(first, ended, op)


def _judge(player: Player, ended: OperationError | CancelledError | str, op: str) -> None:
    """Hold what a create came to against what is listed afterwards; what is there is deleted."""
    ids = [snapshot for snapshot, made_by in player.listed().items() if made_by == op]
    must(len(ids) <= 1, f"one create made {len(ids)} snapshots: {ids}")
    if isinstance(ended, str):
        must(ids == [ended], f"a create returned {ended} while nobody answered, and {ids or 'nothing'} is listed")
    elif isinstance(ended, OperationError):
        must(ended.outcome is not Outcome.OK, "an OperationError cannot be OK")
        must(not (ids and ended.outcome is Outcome.FAILED), f"a create FAILED ({ended.cause}), and its snapshot is listed: {ids}")
    for snapshot in ids:
        player.delete(snapshot)


# -- a server that dies


def survives_the_servers_death(stage: Stage, player: Player, kept: Kept) -> None:
    """The server is killed: the client's call fails within its deadline, the journal is told. Started again on the same address,
    every access stays good, and what was acknowledged is there."""
    child = stage.server.server_cmd()
    must(child is not None, "server_cmd() is None: only an attached server has no process")
    died, access = len(stage.seen("died")), player.access
    child.kill()  # type: ignore[union-attr]  # must() has seen to it
    began_s = SYSTEM_CLOCK.monotonic_s()
    try:
        player.client.list(player.within(DEADLINE_S))
    except (OperationError, CancelledError):
        took_s = SYSTEM_CLOCK.monotonic_s() - began_s
        must(took_s < DEADLINE_S + GRACE_S, f"against a dead server a listing took {took_s:.0f} s, with a deadline of {DEADLINE_S} s")
    else:
        must(False, "against a dead server a listing returned")
    must(eventually(lambda: len(stage.seen("died")) > died, _TOLD_S), "the server was killed, and no ServerEvent said 'died'")
    stage.server.restart()
    must(player.access == access, "a restart changed what a client needs to get in")
    player.client.disconnect()
    player.connect()
    must(kept.id in player.listed(), f"{kept.id} was acknowledged before the server's death and is not listed after it")
    nothing_is_lost_or_added(bring_back(player, kept))


# -- secrets


@contextmanager
def _command_lines() -> Iterator[set[str]]:
    """All arguments of all our descendants while the body runs, as others on this machine see them."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        with suppress(psutil.Error):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    seen.update(process.cmdline())

    def watch() -> None:
        while not SYSTEM_CLOCK.wait(over, _LOOK_AGAIN_S):
            look()

    watcher = threading.Thread(target=watch, name="command-lines")
    watcher.start()
    try:
        yield seen
        look()
    finally:
        over.set()
        watcher.join()


def secrets_stay_off_command_lines(player: Player) -> None:
    """No password is an argument of any process, ours or one that ours start."""
    with _command_lines() as seen:
        player.client.disconnect()
        player.connect()
        keep(player, sample.make_small(player.stage.new_source(), "no secret"))
    shown = [*seen, *(argument for command in player.stage.children.commands for argument in command)]
    access = player.access
    for name in ("password", "repository_password"):
        secret = getattr(access, name)
        bad = [argument.replace(secret, "***") for argument in shown if secret and secret in argument]
        must(not bad, f"the {name.replace('_', ' ')} stands on a command line: {bad[:1]}")


# -- the end, and damage


def leaves_nothing(stage: Stage, player: Player) -> None:
    """Cleaning up twice is fine; afterwards no process, no file of the client's and no port is left, and the end was told."""
    for _ in range(2):
        player.client.cleanup()
    left = sorted(str(path.relative_to(player.directory)) for path in player.directory.rglob("*")) if player.directory.exists() else []
    must(not left, f"cleanup() of a client left files behind: {left[:5]}")
    for _ in range(2):
        stage.server.cleanup()
    child = stage.server.server_cmd()
    must(child is None or child.returncode is not None, "cleanup() left the server's process")
    must(eventually(lambda: not stage.processes(), GRACE_S), f"cleanup() left processes: {stage.processes()}")
    must(stage.seen("stopped") and not stage.seen("died"), "the server was stopped, and no ServerEvent said 'stopped'")
    address = _ADDRESS.search(stage.seen("ready")[-1].address)
    must(address is None or not _answers(address[1].strip("[]"), int(address[2])), f"cleanup() left {address} open")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=GRACE_S).close()
    except OSError:
        return False
    return True


def sees_damage(target: Target, place: Path, preset: Preset, damage: Damage) -> None:
    """A server is stopped, its repository damaged, another one started on it: a restore with nothing cached anywhere does not pass the
    damage off as content, and the target's own verification is not clean.

    Beforehand what ``leaves_nothing`` says must hold, and afterwards the new server must still list what is there.
    """
    place.mkdir()
    before = Stage(target, place / "before", preset).open()
    try:
        player = before.join()
        kept = keep(player, sample.make_sample(before.new_source(), target.traits))
        leaves_nothing(before, player)
    finally:
        before.close()
    how = damage(before.around.repository)
    after = Stage(target, place / "after", preset, prefix=before.prefix).open()
    try:
        player = after.join()
        must(kept.id in player.listed(), f"a new server on the repository does not list {kept.id} ({how})")
        _must_not_restore(player, kept, how)
        verification = after.server.verify(player.within())
        must(not verification.clean, f"{how}, and verify() says that the repository is clean")
    finally:
        after.close()


def _must_not_restore(player: Player, kept: Kept, how: str) -> None:
    try:
        returned = bring_back(player, kept)
    except OperationError:
        return
    must(returned.differences, f"{how}, and a restore with cold caches gave everything back as it was: from where?")
    first = min(returned.differences, key=lambda difference: difference.damage in METADATA)
    must(False, f"{how}, and a restore returned as if all were well, with {first.path}: {first.damage.value}")
