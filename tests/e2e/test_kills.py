"""``kill -9`` at random moments: what was acknowledged is there afterwards, what was UNKNOWN is resolved, and nothing is left."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psutil
import pytest

from seatrial.history.events import Phase, RunEnded, ServerEvent
from seatrial.seeds import new_root_seed, stream
from seatrial.verdicts import ExitCode
from tests.e2e.audit import what_is_wrong
from tests.support.command import Command, World, world
from tests.support.waiting import eventually

MIX = {
    "write-random-files": 3,
    "snapshot-root": 4,
    "delete-random-snapID": 4,
    "restore-random-snapID": 1,
    "list-snapshots": 1,
    "reconnect": 0.5,
    "run-gc": 1,
}
WRITE = {"max-dir-depth": 2, "max-num-files-per-write": 8, "min-file-size": 0, "max-file-size": "64KiB"}
BUSY = {
    "clients": 3,
    "steps": ["write-random-files", "snapshot-root"],
    "duration_s": "1500ms",
    "mix": MIX,
    "options": {"write-random-files": WRITE, "run-gc": {"mode": "contend", "retry-lock-s": 1}},
}
"""Short, so that its later phases are killed too."""
LOOK = {"clients": 1}
"""Nobody acts: what is there is settled and verified."""
PHASES = ("start", "setup", "chaos", "chaos", "chaos", "quiesce", "verify", "report")
VICTIMS = ("engine", "server", "both")
LONG_NAME = "runs-whose-name-is-so-long-that-the-request-socket-must-lie-in-a-temporary-directory-of-its-own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Who is killed, and when: so long after a phase has begun (or the process was started)."""

    victims: str
    phase: str
    delay_s: float
    in_haste: bool
    """The next run is started at once, while what was killed is still being cleared away."""


def kills(seed: int, lane: int) -> Iterator[Kill]:
    rng = stream(seed, "kills", lane)
    while True:
        yield Kill(victims=rng.choice(VICTIMS), phase=rng.choice(PHASES), delay_s=rng.random() ** 2 * 1.5, in_haste=rng.random() < 0.3)


def killed(command: Command, kill: Kill) -> bool:
    """Kill at the moment drawn; False where the run was over before."""
    if kill.phase != "start" and not reached(command, kill.phase):
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.process.wait(kill.delay_s)
    servers = [event for event in command.events(ServerEvent) if event.pid]
    if command.over or command.events(RunEnded):
        return False
    if kill.victims != "engine":
        if not servers or servers[-1].state not in ("starting", "ready"):
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(servers[-1].pid).kill()
    if kill.victims != "server":
        command.signal(signal.SIGKILL)
    return True


def reached(command: Command, phase: str) -> bool:
    """Wait until ``phase`` has begun; False where the run ends first."""
    seen: list[Phase] = []

    def look() -> bool:
        seen.extend(event for event in command.events(Phase) if event.name == phase)
        return bool(seen) or command.over

    assert eventually(look, 30), f"{phase} was never reached:\n{command.out}{command.err}"
    return bool(seen)


def end_of_the_killed(command: Command, kill: Kill) -> list[str]:
    """What is wrong with how a run ended that was killed, or whose server was."""
    code = command.end()
    if kill.victims != "server":
        return [] if code == -signal.SIGKILL else [f"it was killed, and ended with {code}: {command.err}"]
    said = command.out + command.err
    if code == ExitCode.BROKEN and ("the server died" in said or "did not come up" in said):
        return []
    last = [event.state for event in command.events(ServerEvent)][-1]
    return [] if last == "stopped" and code == 0 else [f"its server was killed, and it ended with {code}: {command.out}{command.err}"]


def kill_and_verify(place: World, prefix: Path, kill: Kill) -> list[str] | None:
    """What is wrong after one kill; None where the run was over before the kill."""
    run = ("--repo-path-prefix", str(prefix), "--quiet")
    command = place.start("run", "busy", *run)
    if not killed(command, kill):
        command.end()
        return None
    wrong = end_of_the_killed(command, kill)
    if not kill.in_haste and not place.gone():
        wrong += [f"left after the kill: {what}" for what in place.left()]
    look = place.start("run", "look", *run)
    code = look.end()
    if code != ExitCode.PASS:
        wrong.append(f"the next run ended with {code}:\n{look.out}{look.err}")
    else:
        wrong += what_is_wrong(place.runs(), prefix)
    if not place.gone():
        wrong += [f"left after the next run: {what}" for what in place.left()]
    return wrong


def lane(root: Path, seed: int, number: int, count: int) -> list[Kill]:
    """So many kills on one prefix, one after another; returns them, and fails at the first after which something is wrong."""
    done: list[Kill] = []
    with world(root, runs=LONG_NAME) as place:
        place.config(busy=BUSY, look=LOOK)
        for kill in islice(kills(seed, number), 3 * count):
            wrong = kill_and_verify(place, root / "prefix", kill)
            assert not wrong, f"--kill-seed {seed}, lane {number}, after {len(done)} kills, {kill}:\n" + "\n".join(wrong)
            done += [kill] if wrong is not None else []
            if len(done) == count:
                break
    return done


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed where a test fails; it repeats who is killed and when, not what the run was doing then."""
    given: int | None = request.config.getoption("--kill-seed")
    return new_root_seed() if given is None else given


def test_the_audit_and_the_look_for_what_is_left_see_what_they_are_for(tmp_path: Path) -> None:
    with world(tmp_path / "w", runs=LONG_NAME) as place:
        place.config(busy=BUSY)
        command = place.start("run", "busy", "--repo-path-prefix", str(tmp_path / "prefix"), "--duration", "1s")
        command.chaos()
        assert {what.split()[0] for what in place.left()} == {"process", "port", "directory"}
        elsewhere = [what for what in place.left() if what.startswith("directory") and LONG_NAME not in what]
        assert elsewhere, "the request socket's own directory"
        assert command.end() == ExitCode.PASS
        assert what_is_wrong(place.runs(), tmp_path / "prefix") == []
        lost = next((tmp_path / "prefix" / "robustness-data" / "snapshots").iterdir())
        lost.unlink()
        assert what_is_wrong(place.runs(), tmp_path / "prefix") == [f"live, but not stored: {lost.name}"]


def test_after_two_kills_the_next_run_finds_all_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    assert len(lane(tmp_path / "0", seed, 0, 2)) == 2


def test_locks_of_a_machine_that_is_gone_block_nobody(tmp_path: Path) -> None:
    """As where each run has a container of its own, and only the prefix stays: nobody can tell whether their holder lives."""
    prefix = tmp_path / "prefix"
    run = ("--repo-path-prefix", str(prefix), "--quiet")
    with world(tmp_path / "w") as place:
        place.config(busy=BUSY | {"duration_s": "5m"}, look=LOOK)
        command = place.start("run", "busy", *run, prologue="import socket; socket.gethostname = lambda: 'gone-with-its-container'")
        server = psutil.Process(command.chaos().pid)
        assert eventually(lambda: held_with_locks(server, prefix / "robustness-data" / "locks"))
        server.kill()
        command.signal(signal.SIGKILL)
        command.end()
        assert list((prefix / "robustness-data" / "locks").iterdir())
        look = place.start("run", "look", *run)
        assert look.end() == ExitCode.PASS, look.out + look.err
        assert not what_is_wrong(place.runs(), prefix)


def held_with_locks(server: psutil.Process, locks: Path) -> bool:
    """Stop the server at a moment at which somebody holds a lock."""
    server.suspend()
    if any(locks.iterdir()):
        return True
    server.resume()
    return False


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_after_thirty_kills_nothing_acknowledged_was_lost_and_nothing_is_left(tmp_path: Path, seed: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        lanes = [pool.submit(lane, tmp_path / f"{number}", seed, number, 16) for number in range(2)]
        done = [kill for each in lanes for kill in each.result()]
    assert len(done) >= 30
    assert {kill.victims for kill in done} == set(VICTIMS), seed
    assert len({kill.phase for kill in done}) > 3, seed
