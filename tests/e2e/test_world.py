"""Bad input and faults of the world: each is a clear message with its remedy and the right exit code; nothing is lost, nothing left."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seatrial.clock import SYSTEM_CLOCK
from seatrial.history.events import Finding, Phase, Recovered, Result, RunEnded, ServerEvent
from seatrial.history.segments import plain_path
from seatrial.verdicts import ExitCode, Verdict
from tests.e2e.test_kills import BUSY, LOOK
from tests.support.command import Command, World, world

AS_A_USER = """
import ctypes, os, sys
for capability in (1, 2, 3):  # what lets root pass over permissions: DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
    if ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")
os.execv(sys.executable, [sys.executable, "-m", "seatrial.cli.main", *sys.argv[1:]])
"""
"""Root without its privileges over files; the new program gets what is left of them."""
NOBODY_KNOWN = """
import pwd
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
"""
"""A user without an entry in the user database, as in many containers."""
SERVER_IS = """
import sys
from seatrial.targets.embedded import process
from seatrial.targets.programs import served
process.EmbeddedServer.__init__.__kwdefaults__["program"] = (sys.executable, "-c", {program!r})
served.READY_S = 1.0
"""
NOTICED_S = 2.0
NO_LIMIT_OF_OURS = ("--set", "options.write-random-files.free-space-limit=0")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.config(busy=BUSY, look=LOOK)
        yield made


@pytest.fixture
def as_a_user() -> str:
    """A prologue after which permissions count."""
    if os.geteuid() == 0 and not sys.platform.startswith("linux"):
        pytest.skip("needs an ordinary user: here root cannot give its privileges away")
    return AS_A_USER if os.geteuid() == 0 else ""


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[None]:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", at], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", at], check=True)


def ends(place: World, command: Command, code: ExitCode, *said: str) -> str:
    """It ends with this code, says all that on standard error and leaves nothing; returns standard error."""
    assert command.end() == code, command.out + command.err
    for words in said:
        assert words in command.err, command.err
    assert "Traceback" not in command.err
    assert not list(place.temporary.glob("seatrial-crash-*")), command.err
    assert place.gone(), place.left()
    return command.err


def ended(command: Command) -> RunEnded:
    """The last event of its journal."""
    last = command.records()[-1].event
    assert isinstance(last, RunEnded), last
    return last


# -- the server


def test_a_port_in_use_is_named_with_its_remedy(place: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = place.start("run", "look", "--set", f"embedded.port={port}")
        assert run.end() == ExitCode.BROKEN
    ends(place, run, ExitCode.BROKEN, f"port {port}", "did not come up", "port in use", "choose another port")
    assert ended(run).exit_code == ExitCode.BROKEN


def test_a_server_that_does_not_come_up_is_shown_with_its_last_lines(place: World) -> None:
    program = "print('first words'); print('last words'); raise SystemExit(7)"
    run = place.start("run", "look", prologue=SERVER_IS.format(program=program))
    assert "first words\nlast words\n" in ends(place, run, ExitCode.BROKEN, "did not come up", "exit code 7")
    assert str(run.directory / "server.log") in run.err


def test_a_server_that_never_gets_ready_is_given_up(place: World) -> None:
    program = "import threading; print('thinking', flush=True); threading.Event().wait(600)"
    run = place.start("run", "look", prologue=SERVER_IS.format(program=program))
    ends(place, run, ExitCode.BROKEN, "did not come up", "not ready within 1 s", "thinking")


@pytest.mark.parametrize("phase", ["setup", "chaos", pytest.param("verify", marks=pytest.mark.slow)])
def test_a_server_that_dies_is_noticed_at_once_and_named_and_the_evidence_is_kept(place: World, phase: str) -> None:
    run = place.start("run", "busy", "--clients", "8", "--duration", "5m" if phase == "chaos" else "1s")
    run.wait_for(Phase, name=phase, state="begin")
    server = run.wait_for(ServerEvent, state="ready")
    killed_ns = SYSTEM_CLOCK.now_ns()
    os.kill(server.pid, signal.SIGKILL)
    run.wait_for(ServerEvent, state="died")
    run.end(10)
    died = next(each for each in run.records() if isinstance(each.event, ServerEvent) and each.event.state == "died")
    assert (died.at_ns - killed_ns) / 1e9 < NOTICED_S
    ends(place, run, ExitCode.BROKEN, "the server died in the middle of the run", "ready url=", str(run.directory / "server.log"))
    end = ended(run)
    assert (end.exit_code, end.verdict, "the server died" in end.reason) == (ExitCode.BROKEN, Verdict.INCONCLUSIVE, True)
    assert "ready url=" in (run.directory / "server.log").read_text()
    assert "the server died with signal 9 (SIGKILL)" in (run.directory / "report.txt").read_text()
    assert "server died, pid" in run.out
    assert not run.events(Finding), "what the server could not answer is no finding"
    code, out, _ = place.do("report", str(run.directory))
    assert (code, "the server died" in out) == (ExitCode.BROKEN, True)


# -- what is there already


def test_a_run_directory_of_another_version_is_refused_and_listed(place: World) -> None:
    run = place.start("run", "look")
    assert run.end() == ExitCode.PASS
    journal = plain_path(run.directory, 1)
    journal.write_bytes(journal.read_bytes().replace(b'"kind":"plan"', b'"kind":"plan","format":99', 1))
    ends(place, place.start("report", str(run.directory)), ExitCode.USAGE, "format 99", "use the version of seatrial that wrote it")
    code, out, _ = place.do("runs", "--runs-dir", str(place.runs_dir))
    assert (code, "format 99" in out) == (ExitCode.PASS, True)


def test_a_ledger_of_another_version_is_refused(place: World) -> None:
    prefix = place.root / "prefix"
    assert place.start("run", "look", "--repo-path-prefix", str(prefix)).end() == ExitCode.PASS
    with sqlite3.connect(prefix / "robustness-metadata" / "ledger.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    ends(place, place.start("run", "look", "--repo-path-prefix", str(prefix)), ExitCode.USAGE, "version 99", "ledger.sqlite", "delete it")
    (prefix / "robustness-metadata" / "ledger.sqlite").unlink()
    ends(place, place.start("run", "look", "--repo-path-prefix", str(prefix)), ExitCode.PASS)


def test_a_prefix_that_is_not_ours_is_refused_and_left_alone(place: World) -> None:
    foreign = place.root / "photos"
    foreign.mkdir()
    (foreign / "summer.jpg").write_bytes(b"precious")
    run = place.start("run", "look", "--repo-path-prefix", str(foreign))
    ends(place, run, ExitCode.USAGE, str(foreign), "seatrial did not make it", "name an empty or a new one")
    assert {path.name: path.read_bytes() for path in foreign.iterdir()} == {"summer.jpg": b"precious"}
    assert not place.runs(), "a run that could not begin leaves no directory"


def test_a_repository_that_is_not_ours_is_refused_and_left_alone(place: World) -> None:
    prefix = place.root / "prefix"
    assert place.start("run", "look", "--repo-path-prefix", str(prefix)).end() == ExitCode.PASS
    (prefix / "robustness-metadata" / "server-secrets.json").unlink()
    before = sorted(path for path in (prefix / "robustness-data").rglob("*"))
    run = place.start("run", "look", "--repo-path-prefix", str(prefix))
    ends(place, run, ExitCode.USAGE, "this repository was not made by seatrial", "--repo-path-prefix")
    assert sorted(path for path in (prefix / "robustness-data").rglob("*")) == before


def test_a_prefix_in_use_is_refused_and_its_run_goes_on(place: World) -> None:
    prefix = str(place.root / "prefix")
    first = place.start("run", "busy", "--duration", "5m", "--repo-path-prefix", prefix)
    first.chaos()
    second = place.start("run", "look", "--repo-path-prefix", prefix)
    assert second.end() == ExitCode.USAGE
    assert "another process works under this prefix" in second.err
    assert "choose another --repo-path-prefix" in second.err
    assert len(place.runs()) == 1
    assert place.do("stop", str(first.directory))[0] == ExitCode.PASS
    ends(place, first, ExitCode.PASS)


# -- who we are


@pytest.mark.parametrize("which", ["runs", "prefix", "below"])
def test_a_place_that_may_not_be_written_is_named_with_its_remedy(place: World, as_a_user: str, which: str) -> None:
    closed = place.root / "closed"
    closed.mkdir(mode=0o555)
    wanted = closed / "new" if which == "below" else closed
    if which == "prefix":
        run = place.start("run", "look", "--repo-path-prefix", str(wanted), prologue=as_a_user)
    else:
        run = place.start("run", "look", runs_dir=wanted, prologue=as_a_user)
    ends(place, run, ExitCode.USAGE, str(wanted), "Permission denied", "place")


def test_what_may_not_be_read_is_named_with_its_remedy_and_nothing_is_lost(place: World, as_a_user: str) -> None:
    prefix = place.root / "prefix"
    look = ("run", "look", "--repo-path-prefix", str(prefix))
    assert place.start(*look, prologue=as_a_user).end() == ExitCode.PASS
    for what, code in {
        "robustness-data": ExitCode.USAGE,
        "robustness-metadata": ExitCode.USAGE,
        "robustness-metadata/ledger.sqlite": ExitCode.BROKEN,
        "robustness-data/snapshots": ExitCode.BROKEN,
    }.items():
        mode = (prefix / what).stat().st_mode
        (prefix / what).chmod(0)
        try:
            ends(place, place.start(*look, prologue=as_a_user), code, str(prefix / what.split("/")[0]), "choose another")
        finally:
            (prefix / what).chmod(mode)
    ends(place, place.start(*look, prologue=as_a_user), ExitCode.PASS)


def test_a_run_that_may_not_be_read_is_named_and_hides_no_other(place: World, as_a_user: str) -> None:
    runs = [place.start("run", "look", prologue=as_a_user) for _ in range(2)]
    assert [run.end() for run in runs] == [ExitCode.PASS, ExitCode.PASS]
    closed, other = place.runs()
    closed.chmod(0)
    try:
        refused = place.start("report", str(closed), prologue=as_a_user)
        listed = place.start("runs", "--runs-dir", str(place.runs_dir), prologue=as_a_user)
        assert (refused.end(), listed.end()) == (ExitCode.USAGE, ExitCode.PASS)
    finally:
        closed.chmod(0o700)
    assert f"{closed}: Permission denied" in refused.err
    assert "Permission denied" in listed.out
    assert other.name in listed.out


def test_without_a_home_a_place_for_runs_is_asked_for(place: World) -> None:
    for command in ("runs", "doctor"):
        ends(place, place.start(command, env={"HOME": ""}, prologue=NOBODY_KNOWN), ExitCode.USAGE, "home directory", "--runs-dir")


def test_without_a_home_a_run_needs_none(place: World) -> None:
    ends(place, place.start("run", "look", env={"HOME": ""}, prologue=NOBODY_KNOWN), ExitCode.PASS, "no configuration file of the user's")


# -- full disks


def test_the_free_space_limit_stops_writers_who_recover(place: World) -> None:
    run = place.start("run", "busy", "--duration", "90s", "--set", f"options.write-random-files.free-space-limit={1 << 60}")
    run.wait_for(Recovered)
    place.do("stop", str(run.directory))
    ends(place, run, ExitCode.INCONCLUSIVE)
    assert "nothing was written" in run.out
    refused = [result for result in run.events(Result) if result.error and result.error.cause == "no-space"]
    assert {result.action for result in refused} == {"write-random-files"}


def test_a_full_server_says_so_and_clients_recover_and_all_it_had_acknowledged_is_verified(place: World) -> None:
    run = place.start("run", "busy", "--duration", "90s", "--set", "embedded.quota_bytes=600000", "--set", "mix.run-gc=0")
    run.wait_for(Recovered)
    place.do("stop", str(run.directory))
    code = run.end()
    # Whether a client can snapshot again at the end depends on what has been deleted until then.
    assert code in (ExitCode.PASS, ExitCode.INCONCLUSIVE), run.out + run.err
    refused = [result for result in run.events(Result) if result.error and "507" in result.error.message]
    assert {result.error.cause for result in refused if result.error} == {"no-space"}
    assert {(finding.check, finding.damage) for finding in run.events(Finding)} <= {("liveness", "no-space")}
    assert [phase.name for phase in run.events(Phase) if phase.state == "end"][-2:] == ["verify", "report"]
    assert "may or may not have happened" not in run.out
    ends(place, run, ExitCode(code))


def test_a_full_disk_of_the_clients_is_recovered_from(place: World) -> None:
    # Of 40 MiB the journal keeps 4 back and the limit 24: room enough for one restore at a time of all that can be written.
    sizes = ("--set", "options.write-random-files.max-file-size=1MiB", "--set", "options.write-random-files.free-space-limit=24MiB")
    with small_disk(place.runs_dir, "40m"):
        prefix = str(place.root / "prefix")
        run = place.start("run", "busy", "--duration", "90s", "--set", "in_flight=1", *sizes, "--repo-path-prefix", prefix)
        run.wait_for(Recovered)
        place.do("stop", str(run.directory))
        ends(place, run, ExitCode.PASS)
        causes = {result.error.cause for result in run.events(Result) if result.error}
    assert "no-space" in causes
    assert causes <= {"no-space", "contended"}


@pytest.mark.parametrize("greedy", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["once", "on and on"])
def test_a_disk_too_full_for_the_journal_ends_the_run_with_all_that_was_written(place: World, greedy: bool) -> None:
    with small_disk(place.runs_dir, "24m"):
        run = place.start("run", "busy", "--duration", "5m", *NO_LIMIT_OF_OURS, "--repo-path-prefix", str(place.root / "prefix"))
        run.chaos()
        filler = Filler(run.directory / "filler", greedy=greedy)
        try:
            ends(place, run, ExitCode.BROKEN, str(run.directory), "disk is full", "make room", "everything up to here is kept")
        finally:
            filler.close()
        assert [record.seq for record in run.records()] == list(range(1, len(run.records()) + 1))
        if not greedy:
            assert "the disk is full" in ended(run).reason
        ends(place, place.start("run", "look", "--repo-path-prefix", str(place.root / "prefix")), ExitCode.PASS)


class Filler:
    """Somebody else's file that takes the room of a disk. Owner: the test; ``greedy`` takes on a thread what is given back meanwhile."""

    def __init__(self, path: Path, *, greedy: bool = False) -> None:
        self._path, self._file = path, path.open("wb", buffering=0)
        self._stop = threading.Event()
        self._fill(4096)
        self._thread = threading.Thread(target=self._fill_on)
        if greedy:
            self._thread.start()

    def close(self) -> None:
        """Give all of it back."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._file.close()
        self._path.unlink()

    def _fill(self, piece: int) -> None:
        try:
            while self._file.write(bytes(piece)) == piece:
                pass
        except OSError:
            return

    def _fill_on(self) -> None:
        while not self._stop.is_set():
            self._fill(512)
            SYSTEM_CLOCK.wait(self._stop, 0.005)
