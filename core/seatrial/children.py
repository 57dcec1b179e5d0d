"""Children: every other program we start, each in a session of its own, none of which outlives us.

Output goes to files, so that no program ever blocks on us reading. Each child has one thread that blocks until it ends; one alarm
thread for all of them ends those past their deadline (TERM to the group, KILL after a grace). When a child has ended, what is left
of its process group is killed. Should we vanish ourselves, the guard process (``guard.py``) does all that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from seatrial.alarms import Alarms
from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.context import Context
from seatrial.errors import HarnessError, SeatrialError, UsageError
from seatrial.guard import TOKEN_VARIABLE
from seatrial.guardian import Guardian

OUTPUT_LIMIT_BYTES = 16 << 20
"""Of each stream of a ``Completed``."""
GRACE_S = 5.0
"""Between TERM and KILL."""
_UNKILLABLE_S = 30.0
_LOOK_S = 0.25
_TAIL_BYTES = 16 << 10
_EXHAUSTED = {
    errno.EAGAIN: "raise the limit of processes (ulimit -u) or lower in_flight and clients",
    errno.ENOMEM: "free memory, or lower in_flight and clients",
    errno.EMFILE: "raise the limit of open files (ulimit -n) or lower in_flight and clients",
    errno.ENFILE: "the machine has no open files left: end other programs, or lower in_flight and clients",
}
_ALWAYS = {"TZ": "UTC", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that has ended."""

    returncode: int
    """Negative for a signal, as in ``subprocess``."""
    stdout: str
    """The first ``OUTPUT_LIMIT_BYTES``; bytes that are not UTF-8 as ``\\xNN``."""
    stderr: str
    """The last ``OUTPUT_LIMIT_BYTES``, likewise."""
    timed_out: bool = False
    """We ended it at its deadline."""
    cancelled: bool = False
    """We ended it because its context was cancelled."""
    truncated: bool = False
    """There was more output than is kept here."""
    given_up: bool = False
    """We ended it because of what it had said, and it had not come to a good end by then."""
    pid: int = 0
    """Its process's number, by which it may have left something behind. 0 for what never ran."""


class Child:
    """One process in a session, and so a process group, of its own.

    Threading: any thread. The lock guards ``_returncode``, ``_alarm`` and the process's number: no signal is sent once it is reaped.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        argv: Sequence[str],
        *,
        stdout: Path,
        stderr: Path,
        guardian: Guardian,
        alarms: Alarms,
        clock: Clock,
        grace_s: float,
    ) -> None:
        self.argv: tuple[str, ...] = tuple(argv)
        self.pid: int = process.pid
        """Also the number of its process group and session."""
        self.stdout: Path = stdout
        self.stderr: Path = stderr
        self._process = process
        self._guardian, self._alarms, self._clock, self._grace_s = guardian, alarms, clock, grace_s
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._returncode: int | None = None
        self._alarm: Callable[[], None] = lambda: None
        self._timed_out = self._cancelled = False

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for a signal."""
        with self._lock:
            return self._returncode

    @property
    def timed_out(self) -> bool:
        """Whether its deadline passed while it ran."""
        return self._timed_out

    @property
    def cancelled(self) -> bool:
        """Whether it was still running when ``cancel`` was called."""
        return self._cancelled

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Block until it has ended, its group is killed and it is reaped; None when ``timeout_s`` passes first."""
        if timeout_s is None:
            self._ended.wait()
        else:
            self._clock.wait(self._ended, timeout_s)
        return self.returncode

    def terminate(self, grace_s: float = GRACE_S) -> int:
        """TERM to the group, KILL after the grace; returns the exit code. Fine on one that has ended."""
        self._send(signal.SIGTERM)
        code = self.wait(grace_s)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """KILL the group now; returns the exit code. Raises ``HarnessError`` if it does not die (stuck in the kernel)."""
        self._send(signal.SIGKILL)
        code = self.wait(_UNKILLABLE_S)
        if code is None:
            raise HarnessError(
                f"process {self.pid} does not die, it hangs in the kernel",
                where=self.argv[0],
                remedy="look at the disk or mount it works on",
            )
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the group. Fine on one that has ended."""
        self._send(number)

    def cancel(self) -> None:
        """TERM to the group now, KILL after the grace; does not block. Fine on one that has ended."""
        self._cancelled = self._cancelled or self.returncode is None
        self._stop_softly()

    def end_at(self, deadline_s: float) -> None:
        """TERM once the monotonic clock shows ``deadline_s``, KILL after the grace; takes the place of an earlier deadline."""
        self._set_alarm(deadline_s, self._overstay)

    def attend(self) -> None:
        """Block until the process ends, then kill what is left of its group and reap it. For its one waiting thread."""
        if hasattr(os, "waitid"):
            # Without reaping: the number stays taken until group and guard are done with it.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        with self._lock:
            self._alarm()
            _signal_group(self.pid, signal.SIGKILL)
            self._guardian.remove_group(self.pid)
            self._returncode = self._process.wait()
        self._ended.set()

    def _overstay(self) -> None:
        self._timed_out = self.returncode is None
        self._stop_softly()

    def _stop_softly(self) -> None:
        self._send(signal.SIGTERM)
        self._set_alarm(self._clock.monotonic_s() + self._grace_s, lambda: self._send(signal.SIGKILL))

    def _set_alarm(self, when_s: float, callback: Callable[[], None]) -> None:
        with self._lock:
            if self._returncode is None:
                self._alarm()
                self._alarm = self._alarms.at(when_s, callback)

    def _send(self, number: int) -> None:
        with self._lock:
            if self._returncode is None:
                _signal_group(self.pid, number)


class Children:
    """All processes of a run.

    Threading: any thread. The lock guards the set of living children and ``_closed``.

    ``environment`` is what children inherit, ours where it is None. ``deadline_s`` everywhere is a point of the monotonic clock, as in
    ``Context.deadline_s``; at that point the child gets TERM, and KILL ``grace_s`` later.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, environment: Mapping[str, str] | None = None, grace_s: float = GRACE_S) -> None:
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            raise HarnessError("SIGCHLD is ignored here, so no exit code would be known", remedy="start seatrial from an ordinary shell")
        inherited = dict(os.environ if environment is None else environment)  # noqa: TID251 - the one place where children inherit it
        self._clock, self._grace_s = clock, grace_s
        self._alarms = Alarms(clock)
        self._guardian = Guardian(inherited, self._alarms)
        above = inherited.get(TOKEN_VARIABLE)
        token = self._guardian.token
        self._environment = inherited | _ALWAYS | {TOKEN_VARIABLE: f"{above},{token}" if above else token}
        self._lock = threading.Lock()
        self._living: dict[Child, threading.Thread] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def guard_pid(self) -> int:
        """Of the guard process; 0 before the first child and after ``close``."""
        return self._guardian.pid

    def spawn(
        self,
        argv: Sequence[str],
        *,
        stdout: Path,
        stderr: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        deadline_s: float | None = None,
        on_exit: Callable[[Child], object] | None = None,
        without: Sequence[str] = (),
    ) -> Child:
        """Start a program.

        Output is appended to ``stdout`` and ``stderr`` (None: the same file), so that the log of a server goes on over its restarts.
        ``env`` is added to what it inherits, where ``TZ=UTC`` and ``LC_ALL=C.UTF-8`` are set already; variables whose names begin with
        one of ``without`` are not inherited. ``stdin`` is all it can read.
        ``on_exit(child)`` is called once, on the child's own thread, right after it has ended and whatever ended it; it may start
        another child.

        Raises ``UsageError`` where there is no such program, directory or output file, ``HarnessError`` where the machine has no more
        processes, memory or descriptors, and after ``close``.
        """
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(_open_output(stdout))
            err = stack.enter_context(_open_output(stderr)) if stderr is not None else out
            return self._launch(
                argv,
                out,
                err,
                (stdout, stderr or stdout),
                env=self._environment_of(env, without),
                cwd=cwd,
                stdin=stdin,
                deadline_s=deadline_s,
                on_exit=on_exit,
            )

    def run(
        self,
        argv: Sequence[str],
        *,
        scratch: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        deadline_s: float | None = None,
        ctx: Context | None = None,
        without: Sequence[str] = (),
        hopeless: Callable[[str], bool] | None = None,
    ) -> Completed:
        """Start a program, as ``spawn`` does, and block until it has ended.

        Its output goes to nameless files in ``scratch``, which is made where it is missing. The earlier of ``deadline_s`` and the
        context's deadline ends it (``timed_out``), and so does the context's cancellation (``cancelled``): what it did until then is
        for the caller to judge. A context that is over before it starts raises ``CancelledError``, and nothing has happened.

        ``hopeless`` is shown the last of what it says on stderr, four times a second; once it says True, the program is ended
        (``given_up``): for those that go on trying what cannot be.
        """
        if ctx is not None:
            ctx.check()
            deadline_s = min((limit for limit in (deadline_s, ctx.deadline_s) if limit is not None), default=None)
        with _scratch_file(scratch) as out, _scratch_file(scratch) as err:
            child = self._launch(
                argv,
                out,
                err,
                (scratch, scratch),
                env=self._environment_of(env, without),
                cwd=cwd,
                stdin=stdin,
                deadline_s=deadline_s,
                on_exit=None,
            )
            forget = ctx.cancel.on_cancel(child.cancel) if ctx is not None else (lambda: None)
            try:
                given_up = hopeless is not None and _ended_as_hopeless(child, err, hopeless)
                code = child.wait()
            finally:
                forget()
                if child.returncode is None:  # interrupted: Ctrl-C in the main thread
                    child.kill()
            text_out, more_out = _read(out, from_end=False)
            text_err, more_err = _read(err, from_end=True)
        return Completed(
            returncode=code if code is not None else -signal.SIGKILL,
            stdout=text_out,
            stderr=text_err,
            timed_out=child.timed_out,
            cancelled=child.cancelled and not given_up,
            truncated=more_out or more_err,
            given_up=given_up and code != 0,
            pid=child.pid,
        )

    def adopt_directory(self, path: Path) -> None:
        """Have this marked directory (``resources.marked_directory``) removed when we vanish, or at ``close``."""
        self._guardian.add_directory(path)

    def release_directory(self, path: Path) -> None:
        """It is removed already, or is to stay."""
        self._guardian.remove_directory(path)

    def close(self, grace_s: float | None = None) -> None:
        """End every child (TERM to all, KILL after one common grace), then the guard, which removes the directories still adopted.

        Idempotent; every thread and descriptor is given back.
        """
        with self._lock:
            self._closed = True
            living = dict(self._living)
        for child in living:
            child._send(signal.SIGTERM)
        limit_s = self._clock.monotonic_s() + (self._grace_s if grace_s is None else grace_s)
        for child in living:
            child.wait(max(0.0, limit_s - self._clock.monotonic_s()))
        for child, thread in living.items():
            child.kill()
            if thread is not threading.current_thread():
                thread.join()
        self._guardian.close()
        self._alarms.close()

    def _environment_of(self, env: Mapping[str, str] | None, without: Sequence[str]) -> dict[str, str]:
        inherited = {name: value for name, value in self._environment.items() if not name.startswith(tuple(without))}
        return inherited | dict(env or {})

    def _launch(
        self,
        argv: Sequence[str],
        out: IO[bytes],
        err: IO[bytes],
        files: tuple[Path, Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        stdin: bytes,
        deadline_s: float | None,
        on_exit: Callable[[Child], object] | None,
    ) -> Child:
        if self._closed:
            raise HarnessError("no program can be started any more: the run is closing", where=argv[0])
        self._guardian.start()
        try:
            with contextlib.ExitStack() as stack:
                process = subprocess.Popen(
                    list(argv),
                    stdin=stack.enter_context(_stdin_file(stdin)) if stdin else subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            raise _explain(error, argv[0], cwd) from error
        child = Child(
            process,
            argv,
            stdout=files[0],
            stderr=files[1],
            guardian=self._guardian,
            alarms=self._alarms,
            clock=self._clock,
            grace_s=self._grace_s,
        )
        self._attend(child, on_exit)
        if deadline_s is not None:
            child.end_at(deadline_s)
        return child

    def _attend(self, child: Child, on_exit: Callable[[Child], object] | None) -> None:
        """Tell the guard of a new child and give it its thread; whatever fails, the child does not stay."""
        thread = threading.Thread(target=self._serve, args=(child, on_exit), name=f"child-{child.pid}", daemon=True)
        try:
            self._guardian.add_group(child.pid)
            with self._lock:
                if self._closed:
                    raise HarnessError("the run is closing", where=child.argv[0])
                self._living[child] = thread
                thread.start()
        except BaseException as error:
            with self._lock:
                self._living.pop(child, None)
            child._send(signal.SIGKILL)
            child.attend()
            if isinstance(error, RuntimeError):  # what threading says where there are no more threads
                raise HarnessError(f"no thread for a child: {error}", where=child.argv[0], remedy=_EXHAUSTED[errno.EAGAIN]) from error
            raise

    def _serve(self, child: Child, on_exit: Callable[[Child], object] | None) -> None:
        try:
            child.attend()
            if on_exit is not None:
                on_exit(child)
        finally:
            with self._lock:
                self._living.pop(child, None)


def _signal_group(group: int, number: int) -> None:
    # Nobody there, nobody of ours there, or (macOS) only zombies there.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _open_output(path: Path) -> IO[bytes]:
    try:
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")  # noqa: PTH123 - mode and owner in one step
    except OSError as error:
        raise _explain_file(error, path) from error


def _scratch_file(directory: Path) -> IO[bytes]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=directory)
    except OSError as error:
        raise _explain_file(error, directory) from error


def _stdin_file(content: bytes) -> IO[bytes]:
    # A file, not a pipe: nobody has to write while the child reads, and nobody blocks on one that never reads.
    file = open(os.memfd_create("stdin"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()  # noqa: SIM115, PTH123 - returned open
    file.write(content)
    file.seek(0)
    return file


def _read(file: IO[bytes], *, from_end: bool) -> tuple[str, bool]:
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, size_bytes - OUTPUT_LIMIT_BYTES) if from_end else 0)
    return file.read(OUTPUT_LIMIT_BYTES).decode(errors="backslashreplace"), size_bytes > OUTPUT_LIMIT_BYTES


def _ended_as_hopeless(child: Child, said: IO[bytes], hopeless: Callable[[str], bool]) -> bool:
    """Wait until the child ends by itself (False), or is told to because of what it says (True)."""
    while child.wait(_LOOK_S) is None:
        if hopeless(_tail(said)):
            child.cancel()
            return True
    return False


def _tail(file: IO[bytes]) -> str:
    """What a child that is still writing has written last; its own position in the file is not ours to move."""
    size_bytes = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), _TAIL_BYTES, max(0, size_bytes - _TAIL_BYTES)).decode(errors="backslashreplace")


def _explain_file(error: OSError, path: Path) -> SeatrialError:
    if error.errno in _EXHAUSTED:
        return HarnessError(f"cannot be opened for output: {error.strerror}", where=str(path), remedy=_EXHAUSTED[error.errno])
    return UsageError(
        f"cannot be opened for output: {error.strerror}",
        where=str(path),
        remedy="choose a directory that exists, is writable and has space",
    )


def _explain(error: OSError | ValueError, program: str, cwd: Path | None) -> SeatrialError:
    if isinstance(error, ValueError):
        return UsageError(f"not a possible command line: {error}", where=program, remedy="take the NUL character out of it")
    if cwd is not None and not cwd.is_dir():
        return UsageError("the directory to run in does not exist", where=str(cwd), remedy=f"make it before {program} is started")
    if error.errno in _EXHAUSTED:
        return HarnessError(f"cannot be started: {error.strerror}", where=program, remedy=_EXHAUSTED[error.errno])
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UsageError("no such program", where=program, remedy="install it, or name it with --exe; seatrial doctor shows what is found")
    if error.errno == errno.EACCES:
        return UsageError("not executable", where=program, remedy="name the program itself with --exe, or chmod +x it")
    if error.errno == errno.ENOEXEC:
        return UsageError(
            "not a program for this machine", where=program, remedy="install the build for this system, or name it with --exe"
        )
    return HarnessError(f"cannot be started: {error.strerror}", where=program, remedy="see the system's message")
