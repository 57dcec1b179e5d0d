"""The ``seatrial`` command as its users run it: a process in a session of its own, and a close look at what it leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

from seatrial.errors import SeatrialError
from seatrial.history.events import Event, Phase, Record, ServerEvent
from seatrial.history.reader import read_journal
from seatrial.history.segments import segment_numbers
from tests.support.processes import SOURCE_ROOT
from tests.support.waiting import eventually

TRACE = "TRACE_OF_A_TEST"
"""A variable that all processes of a world inherit, by which what outlived it is found."""
COMES_S, ENDS_S, GONE_S = 30.0, 60.0, 6.0
"""For an event that is due; for a run's end; for what was killed or has ended to be gone."""
E = TypeVar("E", bound=Event)


class Command:
    """One running ``seatrial``. Its output goes to files, so that nobody has to read along."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path, directory: Callable[[], Path | None]) -> None:
        self.process, self._out, self._err, self._directory = process, out, err, directory

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._err.read_text()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def directory(self) -> Path:
        """Its run directory, which must be there."""
        found = self._directory()
        assert found is not None, f"no run directory: {self.out}{self.err}"
        return found

    def records(self) -> list[Record]:
        """Its journal so far."""
        found = self._directory()
        return list(read_journal(found)) if found is not None and segment_numbers(found) else []

    def events(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [record.event for record in self.records() if isinstance(record.event, kind)]

    def wait_for(self, kind: type[E], timeout_s: float = COMES_S, **fields: object) -> E:
        """The first event of ``kind`` with these fields; an error where the command ends without one."""
        found: list[E] = []

        def look() -> bool:
            over = self.over
            found.extend(event for event in self.events(kind) if fields.items() <= msgspec.structs.asdict(event).items())
            return bool(found) or over

        assert eventually(look, timeout_s), f"no {kind.__name__} {fields} came:\n{self.out}{self.err}"
        assert found, f"it ended with {self.process.returncode} and no {kind.__name__} {fields}:\n{self.out}{self.err}"
        return found[0]

    def chaos(self) -> ServerEvent:
        """Wait until clients act; the server they act on."""
        self.wait_for(Phase, name="chaos", state="begin")
        return self.wait_for(ServerEvent, state="ready")

    def end(self, timeout_s: float = ENDS_S) -> int:
        """Wait for its end; its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.out}{self.err}") from None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


class World:
    """A home, a place for runs and one for temporary files, all below ``root``; nothing of the user's own is seen or touched."""

    def __init__(self, root: Path, *, runs: str = "runs") -> None:
        self.root, self.runs_dir, self.temporary = root, root / runs, root / "t"
        self.home = root / "home"
        for directory in (self.runs_dir, self.temporary, self.home):
            directory.mkdir(parents=True)
        self._token = uuid.uuid4().hex
        self._commands: list[Command] = []

    def config(self, **presets: dict[str, Any]) -> None:
        """Presets of this world."""
        lines: list[str] = []
        for name, keys in presets.items():
            lines += [f"[presets.{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
        (self.root / "config.toml").write_text("\n".join(lines))

    def environment(self) -> dict[str, str]:
        """As little as a user may have."""
        return {
            "PATH": os.defpath,
            "PYTHONPATH": SOURCE_ROOT,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            TRACE: self._token,
        }

    def start(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        runs_dir: Path | None = None,
        prologue: str = "",
        cwd: Path | None = None,
        terminal: bool = False,
    ) -> Command:
        """Start ``seatrial``; a variable of ``env`` that is empty is left out. ``prologue`` is Python that the process runs first.

        ``terminal``: standard input and output are one, of 80 columns.
        """
        environment = {name: value for name, value in (self.environment() | (env or {})).items() if value}
        number = len(self._commands)
        out, err = self.root / f"{number}.out", self.root / f"{number}.err"
        known = set(self.runs(runs_dir))
        if arguments[:1] == ("run",):
            arguments = (*arguments, "--runs-dir", str(runs_dir or self.runs_dir))
        program = f"{prologue}\nfrom seatrial.cli.main import main\nmain()"
        argv = [sys.executable, "-c", program] if prologue else [sys.executable, "-m", "seatrial.cli.main"]
        with ExitStack() as files:
            out_file, err_file = (files.enter_context(path.open("wb")) for path in (out, err))
            screen = files.enter_context(_terminal(out)) if terminal else None
            process = subprocess.Popen(
                [*argv, *arguments],
                stdin=subprocess.DEVNULL if screen is None else screen,
                stdout=out_file if screen is None else screen,
                stderr=err_file,
                env=environment,
                cwd=cwd or self.root,
                start_new_session=True,
            )
        command = Command(process, out, err, lambda: next((run for run in self.runs(runs_dir) if run not in known), None))
        self._commands.append(command)
        return command

    def do(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command that is soon over: exit code, output, errors."""
        command = self.start(*arguments)
        return command.end(), command.out, command.err

    def runs(self, runs_dir: Path | None = None) -> list[Path]:
        """All run directories, the oldest first."""
        place = runs_dir or self.runs_dir
        return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    # -- what is left

    def left(self) -> list[str]:
        """Processes, ports and temporary directories of runs that are still there."""
        return [*self._processes(), *self._ports(), *self._directories()]

    def gone(self) -> bool:
        """Whether nothing is left, soon."""
        return eventually(lambda: not self.left(), GONE_S)

    def close(self) -> None:
        """Kill what still runs, so that a test that fails harms no other: first the commands, whose guards then clear away the rest."""
        for command in self._commands:
            command.process.kill()
            command.process.wait()
        eventually(lambda: not any(self._bearers()), GONE_S)
        for process in self._bearers():
            process.kill()

    def _bearers(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(TRACE) == self._token and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue

    def _processes(self) -> list[str]:
        return [f"process {process.pid} {_command_line(process)}" for process in self._bearers()]

    def _ports(self) -> list[str]:
        addresses = {event.address for run in self.runs() for event in _events(run) if isinstance(event, ServerEvent) and event.address}
        ports = {int(address.split(":")[2].split("/")[0]) for address in addresses}
        return [f"port {port}" for port in sorted(ports - self._strangers()) if _listens(port)]

    def _strangers(self) -> set[int]:
        """Ports on which processes listen that are none of ours: a port that was given back may be anybody's."""
        ours = {process.pid for process in self._bearers()}
        with suppress(psutil.AccessDenied):  # some systems tell nobody but root
            listening = (each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
            return {each.laddr[1] for each in listening if each.laddr and each.pid is not None and each.pid not in ours}
        return set()

    def _directories(self) -> list[str]:
        left = [path for path in self.temporary.iterdir() if not path.name.startswith("seatrial-crash-")]
        for run in self.runs():
            left += [path for path in run.iterdir() if path.name.startswith("engine-data-")]
            address = run / "control.json"
            if address.exists():
                place = Path(msgspec.json.decode(address.read_bytes())["socket"]).parent
                left += [place] if place != run and place.exists() else []
        return [f"directory {path}" for path in dict.fromkeys(left)]


@contextmanager
def world(root: Path, *, runs: str = "runs") -> Iterator[World]:
    """A world that is closed at the end."""
    made = World(root, runs=runs)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _terminal(copy: Path) -> Iterator[int]:
    """A terminal to be handed down; what is written to it is kept in ``copy`` by a thread that ends when nobody holds it any more."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def keep() -> None:
        with copy.open("ab") as file, suppress(OSError):  # its end reads as an error
            while data := os.read(ours, 1 << 16):
                file.write(data)
                file.flush()
        os.close(ours)

    threading.Thread(target=keep, name="terminal", daemon=True).start()
    try:
        yield theirs
    finally:
        os.close(theirs)


def _events(run: Path) -> list[Event]:
    try:
        return [record.event for record in read_journal(run)] if segment_numbers(run) else []
    except SeatrialError:
        return []


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "(gone)"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return msgspec.json.encode(value).decode()
